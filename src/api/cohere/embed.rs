//! `POST /v2/embed` and `/v1/embed`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::answer::{self, cuts, header_of_cuts};
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::output::{OutputType, Vector, encode};
use super::super::service::{Asked, Plan, Served, SharedService, blocking};
use super::{BilledUnits, Meta};
use crate::embeddings::{Embeddings, Truncate};

#[derive(Deserialize)]
struct Request<'a> {
    model: Option<String>,
    #[serde(borrow)]
    texts: Option<Unread<'a>>,
    images: Option<Unread<'a>>,
    inputs: Option<Unread<'a>>,
    input_type: Option<InputType>,
    output_dimension: Option<i64>,
    embedding_types: Option<Vec<OutputType>>,
    #[serde(default)]
    truncate: Cut,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum InputType {
    SearchDocument,
    SearchQuery,
    Classification,
    Clustering,
    Image,
}

impl InputType {
    /// Names under which models have a prompt for it.
    fn prompts(self) -> &'static [&'static str] {
        match self {
            Self::SearchDocument => &["document", "passage", "search_document"],
            Self::SearchQuery => &["query", "search_query"],
            Self::Classification => &["classification", "Classification"],
            Self::Clustering => &["clustering", "Clustering"],
            Self::Image => &[],
        }
    }
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Cut {
    None,
    Start,
    #[default]
    End,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: String,
    response_type: &'static str,
    embeddings: Vectors<'a>,
    texts: &'a [String],
    meta: Meta,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vectors<'a> {
    ByType(ByType<'a>),
    Floats(Vec<Vector<'a>>),
}

/// Vectors of the types that were asked for.
#[derive(Default, Serialize)]
struct ByType<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<Vec<Vector<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Vec<Vector<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    int8: Option<Vec<Vector<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uint8: Option<Vec<Vector<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<Vec<Vector<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ubinary: Option<Vec<Vector<'a>>>,
}

impl<'a> ByType<'a> {
    fn new(embeddings: &'a Embeddings, types: &[OutputType]) -> Self {
        let mut all = Self::default();
        for &output in types {
            let place = match output {
                OutputType::Float => &mut all.float,
                OutputType::Base64 => &mut all.base64,
                OutputType::Int8 => &mut all.int8,
                OutputType::Uint8 => &mut all.uint8,
                OutputType::Binary => &mut all.binary,
                OutputType::Ubinary => &mut all.ubinary,
            };
            *place = Some(embeddings.rows().map(|row| encode(row, output)).collect());
        }
        all
    }
}

/// What is left of a request once its texts are planned.
struct Rest {
    texts: Vec<String>,
    types: Option<Vec<OutputType>>,
}

pub(super) async fn v2(state: State<SharedService>, body: Body) -> Result<Response, Failure> {
    embed(state, body, "2").await
}

pub(super) async fn v1(state: State<SharedService>, body: Body) -> Result<Response, Failure> {
    embed(state, body, "1").await
}

async fn embed(
    State(service): State<SharedService>,
    body: Body,
    version: &'static str,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: Request<'_> = body.read()?;
        let served = Arc::clone(service.models.find(request.model.as_deref())?);
        request.check(version)?;
        let Some(texts) = request.texts else {
            let message =
                "`texts` is missing: this model reads texts alone, not `images` or `inputs`";
            return Err(Failure::invalid("texts", message));
        };
        let texts = texts.texts("texts", service.settings.max_texts)?;
        let borrowed: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let planned = served.model().embed(&borrowed, &served.options(request.asked(&served))?)?;
        request.check_cuts(&planned.reader().truncated)?;
        let texts = texts.into_iter().map(String::from).collect();
        Ok(Plan { served, planned, rest: Rest { texts, types: request.embedding_types } })
    });
    let (embeddings, Rest { texts, types }) = plan.await?;
    blocking(move || {
        let types = types.or_else(|| (version == "2").then(|| vec![OutputType::Float]));
        let (response_type, vectors) = if let Some(types) = types {
            ("embeddings_by_type", Vectors::ByType(ByType::new(&embeddings, &types)))
        } else {
            let rows = embeddings.rows().map(Vector::Float);
            ("embeddings_floats", Vectors::Floats(rows.collect()))
        };
        let units = BilledUnits::InputTokens(embeddings.tokens.iter().sum());
        let answer = answer::json(&Answer {
            id: Uuid::now_v7().to_string(),
            response_type,
            embeddings: vectors,
            texts: &texts,
            meta: Meta::new(version, units, &embeddings.truncated),
        })?;
        Ok((header_of_cuts(&embeddings.truncated), answer).into_response())
    })
    .await
}

impl Request<'_> {
    fn check(&self, version: &str) -> Result<(), Failure> {
        if self.images.is_some()
            || self.inputs.is_some()
            || self.input_type == Some(InputType::Image)
        {
            let message = "this model reads texts alone: `texts` is what can be sent";
            return Err(Failure::invalid("texts", message));
        }
        if version == "2" && self.input_type.is_none() {
            let message = "`input_type` is missing: search_document, search_query, classification \
                           or clustering";
            return Err(Failure::invalid("input_type", message));
        }
        Ok(())
    }

    fn asked(&self, served: &Served) -> Asked<'static> {
        let names = self.input_type.map_or(&[][..], InputType::prompts);
        let truncate = match self.truncate {
            Cut::Start => Truncate::Left,
            Cut::None | Cut::End => Truncate::Right,
        };
        Asked {
            dimensions: self.output_dimension,
            prompt: served.prompt_of(names),
            truncate: Some(truncate),
            ..Asked::default()
        }
    }

    fn check_cuts(&self, truncated: &[Option<usize>]) -> Result<(), Failure> {
        let cut = cuts(truncated).next().filter(|_| self.truncate == Cut::None);
        let Some((index, length)) = cut else { return Ok(()) };
        let message =
            format!("text {index} has at least {length} tokens, too many with `truncate` NONE");
        Err(Failure::invalid("texts", message))
    }
}
