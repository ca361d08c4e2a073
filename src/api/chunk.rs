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
use crate::chunking::{Chunk, ChunkOptions, Cuts};
use crate::embeddings::EmbedOptions;
use crate::results::{ChunkRecord, chunk_records};
use crate::{Error, pipeline};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// A document or a list of them.
    input: Value,
    model: Option<String>,
    /// How documents are cut, over the service's own settings.
    #[serde(default)]
    spec: ChunkOptions,
    /// Whether each chunk carries its vector.
    #[serde(default)]
    vectors: bool,
    /// Whether each document carries its units and how far the topic moves between them.
    #[serde(default)]
    curve: bool,
    /// Whether each document carries the similarities of neighbouring units.
    #[serde(default)]
    band: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<Curve<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<Vec<&'a [f32]>>,
}

/// Units and the gaps between them.
#[derive(Serialize)]
struct Curve<'a> {
    /// `[units]` the byte at which each ends.
    unit_ends: Vec<usize>,
    /// `[units - 1]` from 0 to 2.
    strengths: &'a [f32],
}

/// A document's answer, to be made once the work is done.
struct Cut {
    chunks: Vec<Chunk>,
    cuts: Cuts,
    unit_ends: Vec<usize>,
    tokens: usize,
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Response, ApiError> {
    check_model(&state, request.model.as_deref())?;
    let spec = request.spec.over(state.chunk).resolve().map_err(Error::from)?;
    let options =
        EmbedOptions { dimensions: dimensions(request.dimensions), ..state.options.clone() };
    let texts = texts(request.input, "input")?;
    let guard = CancelOnDrop::default();
    let queued = state.worker.with_model(Arc::clone(&state.model), guard.flag());
    let (texts, cuts) = blocking(move || {
        let cut = |text: &String| -> Result<Cut, Error> {
            let chunked = pipeline::chunk(&queued, text, &spec, &options)?;
            let unit_ends = chunked.document.units().iter().map(|unit| unit.bytes.end).collect();
            let tokens = chunked.document.tokens();
            Ok(Cut { chunks: chunked.chunks, cuts: chunked.cuts, unit_ends, tokens })
        };
        let cuts: Result<Vec<Cut>, Error> = texts.iter().map(cut).collect();
        Ok((texts, cuts?))
    })
    .await?;
    let data = texts.iter().zip(&cuts).enumerate().map(|(index, (text, cut))| Document {
        object: "document",
        index,
        chunks: chunk_records(text, &cut.chunks, request.vectors).collect(),
        curve: request
            .curve
            .then(|| Curve { unit_ends: cut.unit_ends.clone(), strengths: &cut.cuts.curve }),
        band: request.band.then(|| cut.cuts.band.rows().collect()),
    });
    let body = Body {
        object: "list",
        data: data.collect(),
        model: state.model.name(),
        usage: Usage::new(cuts.iter().map(|cut| cut.tokens).sum()),
    };
    Ok(Json(body).into_response())
}
