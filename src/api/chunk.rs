//! `POST /v1/chunk`: documents in, chunks out, in one pass.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::SharedState;
use super::embeddings::{Usage, blocking, dimensions};
use super::error::{ApiError, ApiJson, json_answer};
use super::input::Texts;
use super::models::check_model;
use crate::Error;
use crate::chunking::{Chunk, ChunkOptions, ChunkSpec};
use crate::embeddings::{EmbedOptions, Engine};
use crate::pipeline::{self, Chunked};
use crate::records::Chunks;
use crate::similarity::Band;

/// The most values of a request's bands: some 12 MB of JSON. A document has as many as the product
/// of its units and `max_units`, however short it is.
const MAX_BAND_VALUES: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// A document or a list of them.
    input: Texts,
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
    chunks: Chunks<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<Curve<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<Vec<&'a [f32]>>,
}

/// Units and the gaps between them.
#[derive(Serialize)]
struct Curve<'a> {
    /// `[units]` the byte at which each ends.
    unit_ends: &'a [usize],
    /// `[units - 1]` from 0 to 2.
    strengths: &'a [f32],
}

/// What is asked of each document.
struct Wanted {
    spec: ChunkSpec,
    options: EmbedOptions,
    vectors: bool,
    curve: bool,
    band: bool,
}

/// A document's answer, to be made once the work is done.
struct Cut {
    chunks: Vec<Chunk>,
    /// The ends of units, and how far the topic moves between them.
    curve: Option<(Vec<usize>, Vec<f32>)>,
    band: Option<Band>,
    tokens: usize,
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Response, ApiError> {
    let Request { input, model, spec, vectors, curve, band, dimensions: asked } = request;
    check_model(&state, model.as_deref())?;
    let spec = spec.over(state.chunk).resolve().map_err(Error::from)?;
    let options = EmbedOptions { dimensions: dimensions(asked), ..state.options.clone() };
    let texts = input.of("input")?;
    let (engine, _guard) = state.engine();
    let wanted = Wanted { spec, options, vectors, curve, band };
    blocking(move || {
        let cuts = wanted.cut_all(&engine, &texts)?;
        json_answer(&wanted.body(&texts, &cuts, engine.model().name()))
    })
    .await
}

impl Wanted {
    fn cut_all(&self, engine: &dyn Engine, texts: &[String]) -> Result<Vec<Cut>, ApiError> {
        let (mut cuts, mut values) = (Vec::with_capacity(texts.len()), 0);
        for (index, text) in texts.iter().enumerate() {
            let cut = self.cut(engine, text)?;
            values += cut.band.iter().flat_map(Band::rows).map(<[f32]>::len).sum::<usize>();
            if values > MAX_BAND_VALUES {
                let message = format!(
                    "`band` has {values} values with document {index}, at most {MAX_BAND_VALUES} \
                     are allowed: ask for fewer documents or a smaller `max_units`"
                );
                return Err(ApiError::invalid("band", message));
            }
            cuts.push(cut);
        }
        Ok(cuts)
    }

    /// Cuts a document and keeps what was asked for.
    fn cut(&self, engine: &dyn Engine, text: &str) -> Result<Cut, Error> {
        let Chunked { chunks, cuts, document } =
            pipeline::chunk(engine, text, &self.spec, &self.options)?;
        let unit_ends = || document.units().iter().map(|unit| unit.bytes.end).collect();
        Ok(Cut {
            chunks,
            curve: self.curve.then(|| (unit_ends(), cuts.curve)),
            band: self.band.then_some(cuts.band),
            tokens: document.tokens(),
        })
    }

    fn body<'a>(&self, texts: &'a [String], cuts: &'a [Cut], model: &'a str) -> Body<'a> {
        let data = texts.iter().zip(cuts).enumerate().map(|(index, (text, cut))| Document {
            object: "document",
            index,
            chunks: Chunks { document: None, text, chunks: &cut.chunks, vectors: self.vectors },
            curve: cut.curve.as_ref().map(|(unit_ends, strengths)| Curve { unit_ends, strengths }),
            band: cut.band.as_ref().map(|band| band.rows().collect()),
        });
        Body {
            object: "list",
            data: data.collect(),
            model,
            usage: Usage::new(cuts.iter().map(|cut| cut.tokens).sum()),
        }
    }
}
