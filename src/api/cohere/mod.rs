//! Cohere's family: its embeddings and rankings, its error object.

mod embed;
mod rerank;

use axum::Router;
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;

use super::answer;
use super::failure::Failure;
use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/v2/embed", post(embed::v2))
        .route("/v1/embed", post(embed::v1))
        .route("/v2/rerank", post(rerank::v2))
}

/// `POST /v1/rerank`, which Jina's clients use as well as Cohere's.
pub(super) fn rankings() -> Router<SharedService> {
    Router::new().route("/v1/rerank", post(rerank::v1))
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
}

pub(super) fn render(failure: &Failure) -> Response {
    answer::json_with(failure.kind.status(), &ErrorBody { message: &failure.message })
}

/// What `meta` says of the API and of what was read.
#[derive(Serialize)]
struct Meta {
    api_version: ApiVersion,
    billed_units: BilledUnits,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ApiVersion {
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum BilledUnits {
    InputTokens(usize),
    SearchUnits(usize),
}

impl Meta {
    fn new(version: &'static str, billed_units: BilledUnits, truncated: &[Option<usize>]) -> Self {
        let warnings = answer::cuts(truncated).map(|(index, length)| {
            format!("input {index} has at least {length} tokens and was cut")
        });
        Self { api_version: ApiVersion { version }, billed_units, warnings: warnings.collect() }
    }
}
