//! `POST /v1/chunk`: documents in, chunks out, in one pass.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embeddings::{Usage, blocking, dimensions, texts};
use super::error::{ApiError, ApiJson};
use super::models::check_model;
use super::{CancelOnDrop, SharedState};
use crate::chunking::{Chunk, ChunkSpec};
use crate::results::{ChunkRecord, chunk_records};
use crate::{Error, pipeline};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// A document or a list of them.
    input: Value,
    model: Option<String>,
    max_tokens: Option<usize>,
    target_tokens: Option<usize>,
    size_weight: Option<f64>,
    /// Whether each chunk carries its vector.
    #[serde(default)]
    vectors: bool,
    dimensions: Option<i64>,
}

#[derive(Serialize)]
struct Body<'a> {
    object: &'static str,
    data: Vec<Document<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Document<'a> {
    object: &'static str,
    index: usize,
    chunks: Vec<ChunkRecord<'a>>,
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Response, ApiError> {
    check_model(&state, request.model.as_deref())?;
    let spec = ChunkSpec {
        max_tokens: request.max_tokens.unwrap_or(state.chunk.max_tokens),
        target_tokens: request.target_tokens.unwrap_or_else(|| {
            // A lower limit alone is no contradiction.
            state.chunk.target_tokens.min(request.max_tokens.unwrap_or(usize::MAX))
        }),
        size_weight: request.size_weight.unwrap_or(state.chunk.size_weight),
    };
    let dimensions = dimensions(request.dimensions);
    let texts = texts(request.input)?;
    let guard = CancelOnDrop::default();
    let queued = state.worker.with_model(Arc::clone(&state.model), guard.flag());
    let (texts, chunked) = blocking(move || {
        let chunked: Result<Vec<Vec<Chunk>>, Error> =
            texts.iter().map(|text| pipeline::chunk(&queued, text, &spec, dimensions)).collect();
        Ok((texts, chunked?))
    })
    .await?;
    let data = texts.iter().zip(&chunked).enumerate().map(|(index, (text, chunks))| Document {
        object: "document",
        index,
        chunks: chunk_records(text, chunks, request.vectors).collect(),
    });
    let tokens = chunked.iter().flatten().map(|chunk| chunk.tokens).sum();
    let body = Body {
        object: "list",
        data: data.collect(),
        model: state.model.name(),
        usage: Usage::new(tokens),
    };
    Ok(Json(body).into_response())
}
