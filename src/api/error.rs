//! OpenAI's error object and the one mapping from error kinds to HTTP statuses.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::SharedState;
use crate::{Error, ErrorKind, chunking, embeddings};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
    retry_after_s: Option<u64>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after_s: None }
    }

    /// A bad value of the request's field `param`.
    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    pub(super) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            _ if matches!(error, Error::Embeddings(embeddings::Error::TooMuch { .. })) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            _ if matches!(error, Error::Embeddings(embeddings::Error::Expired)) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            ErrorKind::Input => StatusCode::BAD_REQUEST,
            ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let param = match &error {
            Error::Embeddings(embeddings::Error::Dimensions { .. }) => Some("dimensions"),
            Error::Chunking(error) => Some(chunking::Error::field(error)),
            _ => None,
        };
        let retry_after_s = match &error {
            Error::Embeddings(embeddings::Error::Overloaded { retry_after_s, .. }) => {
                Some(*retry_after_s)
            }
            _ => None,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "request failed");
        }
        Self { param, retry_after_s, ..Self::new(status, error.to_string()) }
    }
}

impl From<embeddings::Error> for ApiError {
    fn from(error: embeddings::Error) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        let Self { message, param, code, .. } = &self;
        let body = Envelope { error: Body { message, kind, param: *param, code: *code } };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer as JSON, which is written where this is called: large ones not on the threads that
/// answer.
pub(super) fn json_answer(body: &impl Serialize) -> Result<Response, ApiError> {
    let json = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer is no JSON");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// A JSON body whose rejection is an [`ApiError`].
pub(super) struct ApiJson<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<SharedState> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &SharedState) -> Result<Self, ApiError> {
        let limit = state.max_body_bytes;
        let too_large = || {
            let message = format!("the body is larger than {limit} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        // A body that says its size need not be sent to be refused.
        let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if length.and_then(|length| length.parse().ok()).is_some_and(|bytes: usize| bytes > limit) {
            return Err(too_large());
        }
        let rejection = match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => return Ok(Self(body)),
            Err(rejection) => rejection,
        };
        let message = rejection.body_text();
        Err(match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
            }
            JsonRejection::BytesRejection(_)
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                too_large()
            }
            _ => ApiError::new(StatusCode::BAD_REQUEST, message),
        })
    }
}

pub(super) async fn not_found(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("no route {method} {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not allowed on {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
