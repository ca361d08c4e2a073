//! `POST /v1/embeddings`, as OpenAI's, with Jina's fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::answer::{self, Usage, cuts, header_of_cuts};
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::output::{OutputType, Vector, encode};
use super::super::service::{Asked, Plan, Served, SharedService, blocking};

/// Fields that we do not know are ignored, as OpenAI's own clients expect.
#[derive(Deserialize)]
struct Request<'a> {
    /// A text or a list of them.
    #[serde(borrow)]
    input: Unread<'a>,
    model: Option<String>,
    encoding_format: Option<EncodingFormat>,
    dimensions: Option<i64>,
    /// The name of a prompt of the model's.
    prompt_name: Option<String>,
    /// Jina's: what the vectors are for.
    task: Option<String>,
    /// Jina's, in place of `encoding_format`.
    embedding_type: Option<OutputTypes>,
    /// Jina's: whether vectors are brought to length one.
    normalized: Option<bool>,
    /// Jina's: whether texts that are too long are cut; where it says no they are refused.
    truncate: Option<bool>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    Float,
    Base64,
}

impl Request<'_> {
    fn asked(&self, served: &Served) -> Asked<'_> {
        let task = self.task.as_deref().and_then(|task| served.prompt_of(prompts_of(task)));
        Asked {
            dimensions: self.dimensions,
            normalize: self.normalized,
            prompt: self.prompt_name.as_deref().or(task),
            ..Asked::default()
        }
    }

    fn types(&self) -> Vec<OutputType> {
        match (&self.embedding_type, self.encoding_format) {
            (Some(OutputTypes::Several(types)), _) => types.clone(),
            (Some(OutputTypes::One(one)), _) => vec![*one],
            (None, Some(EncodingFormat::Base64)) => vec![OutputType::Base64],
            (None, Some(EncodingFormat::Float) | None) => vec![OutputType::Float],
        }
    }
}

/// Names under which models have a prompt for one of Jina's tasks.
fn prompts_of(task: &str) -> &'static [&'static str] {
    match task {
        "retrieval.query" => &["retrieval.query", "query", "search_query"],
        "retrieval.passage" => &["retrieval.passage", "passage", "document", "search_document"],
        "text-matching" => &["text-matching", "STS"],
        "classification" => &["classification", "Classification"],
        "separation" => &["separation", "clustering", "Clustering"],
        _ => &[],
    }
}

/// One type, or several of one run of the model.
#[derive(Deserialize)]
#[serde(untagged)]
enum OutputTypes {
    One(OutputType),
    Several(Vec<OutputType>),
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    embedding: Output<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    One(Vector<'a>),
    /// By their types.
    Several(BTreeMap<OutputType, Vector<'a>>),
}

pub(super) async fn create(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: Request<'_> = body.read()?;
        let served = Arc::clone(service.models.find(request.model.as_deref())?);
        let texts = request.input.texts("input", service.settings.max_texts)?;
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let planned = served.model().embed(&texts, &served.options(request.asked(&served))?)?;
        if request.truncate == Some(false) {
            refuse_cuts(&planned.reader().truncated)?;
        }
        Ok(Plan { served: Arc::clone(&served), planned, rest: (served, request.types()) })
    });
    let (embeddings, (served, types)) = plan.await?;
    blocking(move || {
        let data = embeddings.rows().enumerate().map(|(index, row)| Embedding {
            object: "embedding",
            index,
            embedding: match types[..] {
                [one] => Output::One(encode(row, one)),
                _ => Output::Several(types.iter().map(|&of| (of, encode(row, of))).collect()),
            },
        });
        let answer = answer::json(&Answer {
            object: "list",
            data: data.collect(),
            model: served.model().name(),
            usage: Usage::new(embeddings.tokens.iter().sum()),
        });
        Ok((header_of_cuts(&embeddings.truncated), answer?).into_response())
    })
    .await
}

fn refuse_cuts(truncated: &[Option<usize>]) -> Result<(), Failure> {
    let Some((index, length)) = cuts(truncated).next() else { return Ok(()) };
    let message =
        format!("text {index} has at least {length} tokens, too many where `truncate` is false");
    Err(Failure::invalid("input", message))
}
