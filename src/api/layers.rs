//! Around every request: its id, a log line, a place among those in flight, a time limit and a net
//! for panics.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::failure::{Failure, Kind};
use super::service::SharedService;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_BYTES: usize = 64;

/// Gives a request its id and a line of the log.
pub(super) async fn observe(
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
    let left = Left(Some(span.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    left.answered();
    // An id is ASCII by construction.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let status = response.status().as_u16();
    let latency_ms = start.elapsed().as_secs_f64() * 1e3;
    span.in_scope(|| {
        // Its work was done for nothing.
        if status == StatusCode::GATEWAY_TIMEOUT {
            tracing::warn!(request_id = id, status, latency_ms, "answered");
        } else {
            tracing::info!(request_id = id, status, latency_ms, "answered");
        }
    });
    response
}

/// Says that a client left before it was answered.
struct Left(Option<Span>);

impl Left {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(span) = &self.0 {
            span.in_scope(|| tracing::warn!("the client left before it was answered"));
        }
    }
}

/// Refuses a request that does not say which host it is for, or says two.
pub(super) async fn check_host(request: Request, next: Next) -> Result<Response, Failure> {
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        let message = format!("the request has {hosts} `Host` headers, expected one");
        return Err(Failure::new(Kind::Malformed, message));
    }
    Ok(next.run(request).await)
}

/// Refuses a request when too many are in flight.
pub(super) async fn admit(
    State(service): State<SharedService>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Ok(_permit) = service.requests.try_acquire() else {
        let limit = service.settings.max_requests;
        return Err(Failure::overloaded(format!("{limit} requests are in flight, limit {limit}")));
    };
    Ok(next.run(request).await)
}

/// Answers for a handler that takes too long or panics.
pub(super) async fn bound(
    State(service): State<SharedService>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let seconds = service.settings.request_timeout_s;
    let answer = timeout(Duration::from_secs(seconds), caught(next.run(request))).await;
    answer.unwrap_or_else(|_| {
        Err(Failure::new(Kind::Expired, format!("the request took longer than {seconds} s")))
    })
}

/// Runs `handler` in a task of its own, so that a panic ends that task alone; the task ends when
/// the request is dropped.
pub(super) async fn caught(
    handler: impl Future<Output = Response> + Send + 'static,
) -> Result<Response, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(handler.in_current_span());
    if let Some(Ok(response)) = tasks.join_next().await {
        return Ok(response);
    }
    tracing::error!("a handler panicked");
    Err(Failure::new(Kind::Internal, "internal error"))
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
