//! `POST /api/embed` and `/api/embeddings`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::answer::{self, header_of_cuts};
use super::super::body::Body;
use super::super::failure::{Failure, Kind};
use super::super::input::Unread;
use super::super::service::{Asked, Plan, Served, Service, SharedService, blocking};

/// `keep_alive` and `options` say nothing to a service whose models stay.
#[derive(Deserialize)]
struct Request<'a> {
    model: String,
    #[serde(borrow)]
    input: Option<Unread<'a>>,
    truncate: Option<bool>,
    dimensions: Option<i64>,
}

#[derive(Deserialize)]
struct LegacyRequest {
    model: String,
    #[serde(default)]
    prompt: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    embeddings: Vec<&'a [f32]>,
    /// Nanoseconds.
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: usize,
}

#[derive(Serialize)]
struct LegacyAnswer<'a> {
    embedding: &'a [f32],
}

pub(super) async fn embed(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: Request<'_> = body.read()?;
        let served = Arc::clone(find(service, &request.model)?);
        let texts =
            match request.input.map(|input| input.texts("input", service.settings.max_texts)) {
                None => Vec::new(),
                // As it answers: no vectors for no text.
                Some(Err(failure)) if failure.kind == Kind::Empty => Vec::new(),
                Some(texts) => texts?,
            };
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let asked =
            Asked { dimensions: request.dimensions, normalize: Some(true), ..Asked::default() };
        let planned = served.model().embed(&texts, &served.options(asked)?)?;
        let is_cut = planned.reader().truncated.iter().any(Option::is_some);
        if is_cut && request.truncate == Some(false) {
            return Err(Failure::invalid("input", "the input length exceeds the context length"));
        }
        Ok(Plan { served, planned, rest: request.model })
    });
    let (embeddings, model) = plan.await?;
    blocking(move || {
        let answer = answer::json(&Answer {
            model: &model,
            embeddings: embeddings.rows().collect(),
            total_duration: start.elapsed().as_nanos() as u64,
            load_duration: 0,
            prompt_eval_count: embeddings.tokens.iter().sum(),
        })?;
        Ok((header_of_cuts(&embeddings.truncated), answer).into_response())
    })
    .await
}

pub(super) async fn legacy(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: LegacyRequest = body.read()?;
        let served = Arc::clone(find(service, &request.model)?);
        let prompt = &request.prompt;
        let texts = if prompt.is_empty() { vec![] } else { vec![prompt.as_str()] };
        let asked = Asked { normalize: Some(true), ..Asked::default() };
        let planned = served.model().embed(&texts, &served.options(asked)?)?;
        Ok(Plan { served, planned, rest: () })
    });
    let (embeddings, ()) = plan.await?;
    let answer = answer::json(&LegacyAnswer { embedding: &embeddings.data })?;
    Ok((header_of_cuts(&embeddings.truncated), answer).into_response())
}

/// A model by its name, which may have Ollama's tag behind it.
fn find<'a>(service: &'a Service, asked: &str) -> Result<&'a Arc<Served>, Failure> {
    let name = asked.strip_suffix(":latest").unwrap_or(asked);
    service.models.find(Some(name)).map_err(|failure| match failure.kind {
        Kind::NotFound => {
            let message = format!("model '{asked}' not found: {}", failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    })
}
