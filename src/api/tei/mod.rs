//! The family of text-embeddings-inference (1.9): its routes, bodies, status codes, messages and
//! headers, so that its clients work unmodified.

mod embed;
mod info;
mod input;
mod rerank;
mod timing;
mod tokens;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::answer;
use super::failure::{Failure, Kind};
use super::health;
use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/", get(health::ready).post(embed::by_task))
        .route("/embed", post(embed::embed))
        .route("/embed_all", post(embed::embed_all))
        .route("/embed_sparse", post(embed::embed_sparse))
        .route("/similarity", post(embed::similarity))
        .route("/rerank", post(rerank::rerank))
        .route("/predict", post(rerank::predict))
        .route("/tokenize", post(tokens::tokenize))
        .route("/decode", post(tokens::decode))
        .route("/info", get(info::info))
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_type: &'static str,
}

/// A failure as `{"error", "error_type"}`, with the status codes of its code rather than of its
/// documentation.
pub(super) fn render(failure: &Failure) -> Response {
    let (status, error_type) = match failure.kind {
        Kind::Empty => (StatusCode::BAD_REQUEST, "Empty"),
        Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Validation"),
        Kind::WrongModel | Kind::Internal => (StatusCode::FAILED_DEPENDENCY, "Backend"),
        Kind::Expired => (failure.kind.status(), "Backend"),
        Kind::Overloaded => (failure.kind.status(), "Overloaded"),
        Kind::Unavailable => (failure.kind.status(), "Unhealthy"),
        Kind::Malformed
        | Kind::NotFound
        | Kind::Method
        | Kind::SlowBody
        | Kind::TooLarge
        | Kind::MediaType => (failure.kind.status(), "Validation"),
    };
    let message = match failure.kind {
        // Clients look for this.
        Kind::Overloaded => format!("Model is overloaded: {}", failure.message),
        Kind::Invalid => format!("Input validation error: {}", failure.message),
        _ => failure.message.clone(),
    };
    answer::json_with(status, &ErrorBody { error: &message, error_type })
}
