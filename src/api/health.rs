//! Probes: `/healthz` says that the process answers, `/readyz` that it takes requests.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;

use super::SharedState;

/// Once no device is left, only a new process helps.
pub(super) async fn live(State(state): State<SharedState>) -> (StatusCode, &'static str) {
    if state.scheduler.is_alive() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no device is left")
    }
}

/// The model is loaded before the port is opened, so only the end is left to tell, and the loss of
/// a device.
pub(super) async fn ready(State(state): State<SharedState>) -> (StatusCode, &'static str) {
    if state.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !state.scheduler.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "a device is lost")
    } else {
        (StatusCode::OK, "ready")
    }
}
