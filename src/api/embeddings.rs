//! `POST /v1/embeddings`, as OpenAI's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::SharedState;
use super::error::{ApiError, ApiJson};
use super::input::Texts;
use super::models::check_model;
use crate::embeddings::EmbedOptions;

/// Texts that were cut which are named one by one.
const MAX_NAMED_CUTS: usize = 100;

/// Fields that we do not know are ignored, as OpenAI's own clients expect.
#[derive(Deserialize)]
pub(super) struct Request {
    input: Texts,
    model: Option<String>,
    encoding_format: Option<EncodingFormat>,
    dimensions: Option<i64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
pub(super) struct Response {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    /// Little-endian f32.
    Base64(String),
}

/// Tokens of a request.
#[derive(Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    pub(super) fn new(tokens: usize) -> Self {
        Self { prompt_tokens: tokens, total_tokens: tokens }
    }
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(HeaderMap, Json<Response>), ApiError> {
    check_model(&state, request.model.as_deref())?;
    let texts = request.input.of("input")?;
    let options =
        EmbedOptions { dimensions: dimensions(request.dimensions), ..state.options.clone() };
    // Tokenising is work: it must not hold up the threads that answer.
    let loaded = Arc::clone(&state.loaded);
    let planned = blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(loaded.model().embed(&texts, &options)?)
    })
    .await?;
    let embeddings = state.answer(planned).await?;
    let data = embeddings.rows().enumerate().map(|(index, row)| Embedding {
        object: "embedding",
        index,
        embedding: encode(row, request.encoding_format.unwrap_or_default()),
    });
    let response = Response {
        object: "list",
        data: data.collect(),
        model: state.model().name().to_owned(),
        usage: Usage::new(embeddings.tokens.iter().sum()),
    };
    Ok((truncated_header(&embeddings.truncated), Json(response)))
}

/// Runs `work` on the pool for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Zero and less are left to the model's own check, which names its limit.
pub(super) fn dimensions(asked: Option<i64>) -> Option<usize> {
    asked.map(|dimensions| usize::try_from(dimensions).unwrap_or(0))
}

fn encode(row: &[f32], format: EncodingFormat) -> Vector {
    match format {
        EncodingFormat::Float => Vector::Float(row.to_vec()),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            Vector::Base64(STANDARD.encode(bytes))
        }
    }
}

fn truncated_header(truncated: &[Option<usize>]) -> HeaderMap {
    let cut = truncated.iter().enumerate().filter(|(_, length)| length.is_some());
    header_of_cuts(cut.map(|(index, _)| index.to_string()))
}

/// `x-truncated-inputs: 0,3` where texts were cut: never silently. What is beyond
/// [`MAX_NAMED_CUTS`] is counted, as in `..,99,+1800`: clients refuse long headers.
pub(super) fn header_of_cuts(mut cut: impl Iterator<Item = String>) -> HeaderMap {
    let mut named: Vec<String> = cut.by_ref().take(MAX_NAMED_CUTS).collect();
    let more = cut.count();
    if more > 0 {
        named.push(format!("+{more}"));
    }
    let mut headers = HeaderMap::new();
    if !named.is_empty()
        && let Ok(value) = named.join(",").parse()
    {
        headers.insert("x-truncated-inputs", value);
    }
    headers
}
