//! What goes wrong with a request, before it is told in a family's dialect: the one mapping from
//! this crate's errors to what clients are told.

use std::borrow::Cow;

use axum::Extension;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::{Error, ErrorKind, chunking, embeddings};

/// Seconds after which a request may be tried again that met too many others.
const RETRY_AFTER_S: u64 = 1;

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body is no JSON.
    Malformed,
    /// The request is wrong.
    Invalid,
    /// There is no text where one must be.
    Empty,
    /// The model does not give what is asked for.
    WrongModel,
    /// There is no such route or model.
    NotFound,
    /// The route has other methods.
    Method,
    /// The body did not come in time.
    SlowBody,
    /// The request is more than is ever taken.
    TooLarge,
    /// The body is of another type.
    MediaType,
    /// Too much is in flight or waits.
    Overloaded,
    /// A fault of this program or its device.
    Internal,
    /// The service stops, or has lost what it needs.
    Unavailable,
    /// The answer was not ready in time.
    Expired,
}

impl Kind {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Invalid | Self::Empty | Self::WrongModel => {
                StatusCode::BAD_REQUEST
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Expired => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// An error answer without its body, which the route's [family](super::family) writes.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
    /// The request's field that is wrong.
    pub(super) field: Option<Cow<'static, str>>,
    /// A name of the problem for programs.
    pub(super) code: Option<&'static str>,
    pub(super) retry_after_s: Option<u64>,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, code: None, retry_after_s: None }
    }

    /// A bad value of the request's `field`.
    pub(super) fn invalid(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Kind::Invalid, message) }
    }

    /// Too much is in flight.
    pub(super) fn overloaded(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(Kind::Overloaded, message) }
    }

    pub(super) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let kind = match (&error, error.kind()) {
            (Error::Embeddings(embeddings::Error::TooMuch { .. }), _) => Kind::TooLarge,
            (Error::Embeddings(embeddings::Error::Expired), _) => Kind::Expired,
            (
                Error::Embeddings(
                    embeddings::Error::WrongKind { .. } | embeddings::Error::Labels { .. },
                ),
                _,
            ) => Kind::WrongModel,
            (_, ErrorKind::Input) => Kind::Invalid,
            (_, ErrorKind::Overloaded) => Kind::Overloaded,
            (_, ErrorKind::Unavailable) => Kind::Unavailable,
            _ => Kind::Internal,
        };
        let field = match &error {
            Error::Embeddings(embeddings::Error::Dimensions { .. }) => Some("dimensions"),
            Error::Embeddings(embeddings::Error::UnknownPrompt { .. }) => Some("prompt_name"),
            Error::Embeddings(embeddings::Error::WrongKind { .. }) => Some("model"),
            Error::Chunking(error) => Some(chunking::Error::field(error)),
            _ => None,
        };
        let retry_after_s = match &error {
            Error::Embeddings(embeddings::Error::Overloaded { retry_after_s, .. }) => {
                Some(*retry_after_s)
            }
            _ => None,
        };
        if kind == Kind::Internal {
            tracing::error!(%error, "request failed");
        }
        let field = field.map(Cow::Borrowed);
        Self { field, retry_after_s, ..Self::new(kind, error.to_string()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.kind.status(), Extension(self)).into_response()
    }
}

pub(super) async fn not_found(method: Method, uri: Uri) -> Failure {
    Failure::new(Kind::NotFound, format!("no route {method} {}", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::new(Kind::Method, format!("{method} is not allowed on {}", uri.path()))
}
