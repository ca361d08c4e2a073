//! `POST /v1/chunk`: documents in, chunks out, in one pass.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::answer::{self, Usage};
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::service::{Asked, SharedService};
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
struct Request<'a> {
    /// A document or a list of them.
    #[serde(borrow)]
    input: Unread<'a>,
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
struct Answer<'a> {
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
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let cut = service.run(move |service, submission| {
        let request: Request<'_> = body.read()?;
        let Request { input, model, spec, vectors, curve, band, dimensions } = request;
        let served = service.models.find(model.as_deref())?;
        let spec = spec.over(service.chunk).resolve()?;
        let texts = input.texts("input", service.settings.max_texts)?;
        let wanted = Wanted {
            spec,
            options: served.options(Asked::of_dimensions(dimensions))?,
            vectors,
            curve,
            band,
        };
        let engine = service.engine(served, submission);
        let cuts = wanted.cut_all(&engine, &texts)?;
        answer::json(&wanted.answer(&texts, &cuts, engine.model().name()))
    });
    cut.await
}

impl Wanted {
    fn cut_all(&self, engine: &dyn Engine, texts: &[Cow<'_, str>]) -> Result<Vec<Cut>, Failure> {
        let (mut cuts, mut values) = (Vec::with_capacity(texts.len()), 0);
        for (index, text) in texts.iter().enumerate() {
            let cut = self.cut(engine, text)?;
            values += cut.band.iter().flat_map(Band::rows).map(<[f32]>::len).sum::<usize>();
            if values > MAX_BAND_VALUES {
                let message = format!(
                    "`band` has {values} values with document {index}, at most {MAX_BAND_VALUES} \
                     are allowed: ask for fewer documents or a smaller `max_units`"
                );
                return Err(Failure::invalid("band", message));
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

    fn answer<'a>(&self, texts: &'a [Cow<'_, str>], cuts: &'a [Cut], model: &'a str) -> Answer<'a> {
        let data = texts.iter().zip(cuts).enumerate().map(|(index, (text, cut))| Document {
            object: "document",
            index,
            chunks: Chunks {
                document: None,
                text,
                mark: "",
                chunks: &cut.chunks,
                vectors: self.vectors,
            },
            curve: cut.curve.as_ref().map(|(unit_ends, strengths)| Curve { unit_ends, strengths }),
            band: cut.band.as_ref().map(|band| band.rows().collect()),
        });
        Answer {
            object: "list",
            data: data.collect(),
            model,
            usage: Usage::new(cuts.iter().map(|cut| cut.tokens).sum()),
        }
    }
}
