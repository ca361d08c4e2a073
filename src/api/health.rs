//! Probes: `/healthz` says that the process answers, `/readyz` that it takes requests.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        // As text-embeddings-inference has it.
        .route("/health", get(ready))
}

/// Once no device is left, only a new process helps.
async fn live(State(service): State<SharedService>) -> (StatusCode, &'static str) {
    if service.scheduler.is_alive() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no device is left")
    }
}

/// The model is loaded before the port is opened, so only the end is left to tell, and the loss of
/// a device.
pub(super) async fn ready(State(service): State<SharedService>) -> (StatusCode, &'static str) {
    if service.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !service.scheduler.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "a device is lost")
    } else {
        (StatusCode::OK, "ready")
    }
}
