//! Ollama's family: its embeddings, its list of models and version, its error object.

mod embed;
mod models;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::answer;
use super::failure::Failure;
use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/api/embed", post(embed::embed))
        .route("/api/embeddings", post(embed::legacy))
        .route("/api/tags", get(models::tags))
        .route("/api/version", get(models::version))
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
}

pub(super) fn render(failure: &Failure) -> Response {
    answer::json_with(failure.kind.status(), &ErrorBody { error: &failure.message })
}
