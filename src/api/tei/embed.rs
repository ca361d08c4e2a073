//! `POST /embed`, `/embed_all`, `/embed_sparse`, `/similarity`, and `/`, which is one of them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::super::answer;
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::service::{Asked, Plan, Served, SharedService, blocking};
use super::input::{self, Direction, Options};
use super::rerank;
use super::timing::Planning;
use crate::Error;
use crate::embeddings::Embeddings;
use crate::models::Task;
use crate::similarity::{self, Rows};

#[derive(Deserialize)]
struct EmbedRequest<'a> {
    #[serde(borrow)]
    inputs: Unread<'a>,
    truncate: Option<bool>,
    truncation_direction: Option<Direction>,
    prompt_name: Option<String>,
    /// Whether vectors are brought to length one; they are unless it says no.
    normalize: Option<bool>,
    dimensions: Option<i64>,
}

impl EmbedRequest<'_> {
    fn options(&self) -> Options {
        Options {
            truncate: self.truncate,
            truncation_direction: self.truncation_direction,
            prompt_name: self.prompt_name.clone(),
        }
    }
}

#[derive(Deserialize)]
struct SimilarityRequest<'a> {
    #[serde(borrow)]
    inputs: SimilarityInputs<'a>,
    #[serde(default)]
    parameters: Options,
}

#[derive(Deserialize)]
struct SimilarityInputs<'a> {
    #[serde(borrow)]
    source_sentence: Cow<'a, str>,
    #[serde(borrow)]
    sentences: Unread<'a>,
}

/// What the first model gives; similarities where `inputs` are those of `/similarity`.
pub(super) async fn by_task(state: State<SharedService>, body: Body) -> Result<Response, Failure> {
    match state.models.first().model().kind() {
        Task::Embedding if is_object(&body) => similarity(state, body).await,
        Task::Embedding => embed(state, body).await,
        Task::Reranker => rerank::rerank(state, body).await,
        Task::Sparse => embed_sparse(state, body).await,
    }
}

pub(super) async fn embed(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: EmbedRequest<'_> = body.read()?;
        let options = request.options();
        let EmbedRequest { inputs, normalize, dimensions, .. } = request;
        let served = Arc::clone(service.models.of_task(Task::Embedding));
        let texts = input::texts(inputs, &served, service.settings.max_texts)?;
        let normalize = Some(normalize.unwrap_or(true));
        let asked = served.options(Asked { dimensions, normalize, ..options.asked() })?;
        let planned = served.model().embed(&borrowed(&texts), &asked)?;
        input::check_cuts(options.truncate, &served, &planned.reader().truncated)?;
        let rest = (Arc::clone(&served), planning(start, &texts));
        Ok(Plan { served, planned, rest })
    });
    let (embeddings, (served, planning)) = plan.await?;
    blocking(move || {
        let rows: Vec<&[f32]> = embeddings.rows().collect();
        Ok((headers(&planning, &served, &embeddings), answer::json(&rows)?).into_response())
    })
    .await
}

pub(super) async fn embed_all(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: EmbedRequest<'_> = body.read()?;
        let (inputs, options) = (request.inputs, request.options());
        let served = Arc::clone(service.models.of_task(Task::Embedding));
        let texts = input::texts(inputs, &served, service.settings.max_texts)?;
        let asked = served.options(options.asked())?;
        let planned = served.model().embed_tokens(&borrowed(&texts), &asked)?;
        input::check_cuts(options.truncate, &served, &planned.reader().truncated)?;
        let rest = (Arc::clone(&served), planning(start, &texts));
        Ok(Plan { served, planned, rest })
    });
    let (embeddings, (served, planning)) = plan.await?;
    blocking(move || {
        let rows = |index| embeddings.text_rows(index).chunks_exact(embeddings.dim.max(1));
        let texts = embeddings.cu_rows.len() - 1;
        let rows: Vec<Vec<&[f32]>> = (0..texts).map(|index| rows(index).collect()).collect();
        Ok((headers(&planning, &served, &embeddings), answer::json(&rows)?).into_response())
    })
    .await
}

pub(super) async fn embed_sparse(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: EmbedRequest<'_> = body.read()?;
        let (inputs, options) = (request.inputs, request.options());
        let served = Arc::clone(service.models.of_task(Task::Sparse));
        let texts = input::texts(inputs, &served, service.settings.max_texts)?;
        let asked = served.options(options.asked())?;
        let planned = served.model().embed_sparse(&borrowed(&texts), &asked)?;
        input::check_cuts(options.truncate, &served, planned.reader().truncated())?;
        let rest = (Arc::clone(&served), planning(start, &texts));
        Ok(Plan { served, planned, rest })
    });
    let (sparse, (served, planning)) = plan.await?;
    blocking(move || {
        let headers = planning.headers(served.device(), &sparse.tokens, &sparse.truncated);
        Ok((headers, answer::json(&sparse.rows)?).into_response())
    })
    .await
}

pub(super) async fn similarity(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let SimilarityRequest { inputs, parameters } = body.read()?;
        let served = Arc::clone(service.models.of_task(Task::Embedding));
        let sentences = inputs.sentences.texts("sentences", service.settings.max_texts)?;
        if inputs.source_sentence.is_empty() {
            return Err(input::empty());
        }
        let texts: Vec<Cow<'_, str>> =
            std::iter::once(inputs.source_sentence).chain(sentences).collect();
        let asked = served.options(Asked { normalize: Some(true), ..parameters.asked() })?;
        let planned = served.model().embed(&borrowed(&texts), &asked)?;
        input::check_cuts(parameters.truncate, &served, &planned.reader().truncated)?;
        let rest = (Arc::clone(&served), planning(start, &texts));
        Ok(Plan { served, planned, rest })
    });
    let (embeddings, (served, planning)) = plan.await?;
    blocking(move || {
        let (source, sentences) = embeddings.data.split_at(embeddings.dim);
        let rows = |values| Rows::f32(values, embeddings.dim).map_err(similarity::Error::from);
        let (source, sentences) = (rows(source)?, rows(sentences)?);
        let mut scores = vec![0.0; sentences.len()];
        similarity::pairwise(&service.device, source, sentences, &mut scores)
            .map_err(Error::from)?;
        Ok((headers(&planning, &served, &embeddings), answer::json(&scores)?).into_response())
    })
    .await
}

/// Whether `inputs` are an object. Only their first bytes are looked at: the body may be large.
fn is_object(body: &Body) -> bool {
    let text = body.start().trim_ascii_start();
    let inputs = text.strip_prefix(b"{").and_then(|text| {
        text.trim_ascii_start().strip_prefix(b"\"inputs\"")?.trim_ascii_start().strip_prefix(b":")
    });
    inputs.is_some_and(|inputs| inputs.trim_ascii_start().starts_with(b"{"))
}

fn headers(planning: &Planning, served: &Served, embeddings: &Embeddings) -> HeaderMap {
    planning.headers(served.device(), &embeddings.tokens, &embeddings.truncated)
}

fn borrowed<'a>(texts: &'a [Cow<'_, str>]) -> Vec<&'a str> {
    texts.iter().map(AsRef::as_ref).collect()
}

fn planning(start: Instant, texts: &[Cow<'_, str>]) -> Planning {
    Planning::since(start, texts.iter().map(|text| text.chars().count()).sum())
}
