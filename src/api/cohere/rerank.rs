//! `POST /v2/rerank`, and `/v1/rerank` as Cohere and Jina have it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::answer::{self, Usage, header_of_cuts};
use super::super::body::Body;
use super::super::failure::{Failure, Kind};
use super::super::ranking::{self, Ranked};
use super::super::service::{Plan, SharedService, blocking};
use super::{BilledUnits, Meta};

#[derive(Deserialize)]
struct Request {
    model: Option<String>,
    query: String,
    documents: Vec<Document>,
    top_n: Option<usize>,
    /// Of Jina's: it is so unless it says no; of Cohere's: unless it says yes.
    return_documents: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Text(String),
    Object { text: String },
}

impl Document {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { text } => text,
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    results: Vec<Ranking<'a>>,
    meta: Meta,
}

#[derive(Serialize)]
struct Ranking<'a> {
    index: usize,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

pub(super) async fn v2(state: State<SharedService>, body: Body) -> Result<Response, Failure> {
    rerank(state, body, "2").await
}

pub(super) async fn v1(state: State<SharedService>, body: Body) -> Result<Response, Failure> {
    rerank(state, body, "1").await
}

async fn rerank(
    State(service): State<SharedService>,
    body: Body,
    version: &'static str,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: Request = body.read()?;
        let served = Arc::clone(service.models.find(request.model.as_deref())?);
        check_documents(request.documents.len(), service.settings.max_texts)?;
        let texts: Vec<String> = request.documents.into_iter().map(Document::into_text).collect();
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let planned = ranking::plan(&served, &request.query, &borrowed)?;
        let kept = request.return_documents.unwrap_or(false).then_some(texts);
        Ok(Plan { served: Arc::clone(&served), planned, rest: (served, kept, request.top_n) })
    });
    let (scores, (served, texts, top_n)) = plan.await?;
    blocking(move || {
        let ranked = ranking::ranked(&scores, false).into_iter().take(top_n.unwrap_or(usize::MAX));
        let ranking = |Ranked { index, score }| Ranking {
            index,
            relevance_score: score,
            document: texts.as_ref().map(|texts| Text { text: &texts[index] }),
        };
        let answer = answer::json(&Answer {
            id: Uuid::now_v7().to_string(),
            model: (version == "1").then(|| served.model().name()),
            usage: (version == "1").then(|| Usage::new(scores.tokens.iter().sum())),
            results: ranked.map(ranking).collect(),
            meta: Meta::new(version, BilledUnits::SearchUnits(1), &scores.truncated),
        })?;
        Ok((header_of_cuts(&scores.truncated), answer).into_response())
    })
    .await
}

fn check_documents(given: usize, limit: usize) -> Result<(), Failure> {
    if given > limit {
        let message = format!("`documents` holds {given} texts, at most {limit} are allowed");
        let failure = Failure::new(Kind::TooLarge, message);
        return Err(Failure { field: Some("documents".into()), ..failure });
    }
    Ok(())
}
