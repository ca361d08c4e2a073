//! OpenAI's family: its embeddings, its list of models, its error object.

mod embeddings;
mod models;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::answer;
use super::failure::{Failure, Kind};
use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
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
    param: Option<&'a str>,
    code: Option<&'static str>,
}

/// A failure as OpenAI's error object.
pub(super) fn render(failure: &Failure) -> Response {
    let status: StatusCode = failure.kind.status();
    let kind = match failure.kind {
        Kind::Overloaded => "rate_limit_error",
        _ if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    };
    let Failure { message, field, code, .. } = failure;
    answer::json_with(
        status,
        &Envelope { error: Body { message, kind, param: field.as_deref(), code: *code } },
    )
}
