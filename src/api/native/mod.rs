//! Our own family: chunks and similarities, whose errors are OpenAI's since they stand under `/v1`.

mod chunk;
mod similarity;

use axum::Router;
use axum::routing::post;

use super::service::SharedService;

pub(super) fn routes() -> Router<SharedService> {
    Router::new()
        .route("/v1/chunk", post(chunk::create))
        .route("/v1/similarity", post(similarity::create))
}
