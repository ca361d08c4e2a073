//! `POST /v1/chunk`: documents in, chunks out, in one pass.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::embeddings::{Usage, blocking, dimensions, texts};
use super::error::{ApiError, ApiJson};
use super::models::check_model;
use super::{CancelOnDrop, SharedState};
use crate::chunking::{Chunk, ChunkSpec};
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
pub(super) struct Response {
    object: &'static str,
    data: Vec<Document>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Document {
    object: &'static str,
    index: usize,
    chunks: Vec<ChunkObject>,
}

#[derive(Serialize)]
struct ChunkObject {
    index: usize,
    start: usize,
    end: usize,
    start_char: usize,
    end_char: usize,
    tokens: usize,
    strength: Option<f32>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
}

impl ChunkObject {
    fn new(index: usize, chunk: Chunk, text: &str, vectors: bool) -> Self {
        Self {
            index,
            start: chunk.bytes.start,
            end: chunk.bytes.end,
            start_char: chunk.chars.start,
            end_char: chunk.chars.end,
            tokens: chunk.tokens,
            strength: chunk.strength,
            text: text[chunk.bytes].to_owned(),
            vector: vectors.then_some(chunk.vector),
        }
    }
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Response>, ApiError> {
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
    let data = blocking(move || {
        let documents = texts.iter().enumerate().map(|(index, text)| {
            let chunks = pipeline::chunk(&queued, text, &spec, dimensions)?.into_iter().enumerate();
            let chunks = chunks.map(|(n, chunk)| ChunkObject::new(n, chunk, text, request.vectors));
            Ok(Document { object: "document", index, chunks: chunks.collect() })
        });
        Ok(documents.collect::<Result<Vec<_>, Error>>()?)
    })
    .await?;
    let tokens = data.iter().flat_map(|document| &document.chunks).map(|chunk| chunk.tokens).sum();
    let model = state.model.name().to_owned();
    Ok(Json(Response { object: "list", data, model, usage: Usage::new(tokens) }))
}
