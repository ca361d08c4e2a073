//! Around every request: its id, a log line, a time limit and a net for panics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

use super::SharedState;
use super::error::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_BYTES: usize = 64;

pub(super) async fn around(
    State(state): State<SharedState>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route as written in the router: a path could carry anything.
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, %method, route);
    let limit = state.request_timeout;
    let answer = timeout(limit, caught(next.run(request))).instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(|_| {
        let message = format!("the request took longer than {} s", limit.as_secs());
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).into_response()
    });
    // An id is ASCII by construction.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let latency_ms = start.elapsed().as_secs_f64() * 1e3;
    span.in_scope(|| tracing::info!(request_id = id, status, latency_ms, "answered"));
    response
}

/// Runs `handler` in a task of its own, so that a panic ends that task alone; the task ends when
/// the request is dropped.
async fn caught(handler: impl Future<Output = Response> + Send + 'static) -> Response {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(handler.in_current_span());
    if let Some(Ok(response)) = tasks.join_next().await {
        return response;
    }
    tracing::error!("a handler panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}

/// The client's id if it is one, or else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let safe = |id: &&str| {
        (1..=MAX_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    given.filter(safe).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
