//! `POST /rerank` and `/predict`: scores of classifiers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::answer;
use super::super::body::Body;
use super::super::failure::{Failure, Kind};
use super::super::input::Unread;
use super::super::ranking::{self, Ranked, sigmoid};
use super::super::service::{Plan, SharedService, blocking};
use super::input;
use super::timing::Planning;
use crate::embeddings::Pair;
use crate::models::Task;

#[derive(Deserialize)]
struct RerankRequest<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow)]
    texts: Unread<'a>,
    truncate: Option<bool>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
}

#[derive(Serialize)]
struct Rank {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    score: f32,
}

pub(super) async fn rerank(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: RerankRequest<'_> = body.read()?;
        let served = Arc::clone(service.models.of_task(Task::Reranker));
        let texts = request.texts.texts("texts", service.settings.max_texts)?;
        let borrowed: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let planned = ranking::plan(&served, &request.query, &borrowed)?;
        input::check_cuts(request.truncate, &served, planned.reader().truncated())?;
        let characters = texts.iter().map(|text| text.chars().count()).sum::<usize>();
        let planning = Planning::since(start, characters + request.query.chars().count());
        let kept = request
            .return_text
            .then(|| texts.into_iter().map(Cow::into_owned).collect::<Vec<String>>());
        let rest = (Arc::clone(&served), planning, kept, request.raw_scores);
        Ok(Plan { served, planned, rest })
    });
    let (scores, (served, planning, texts, raw)) = plan.await?;
    blocking(move || {
        let rank = |Ranked { index, score }| Rank {
            index,
            text: texts.as_ref().map(|texts| texts[index].clone()),
            score,
        };
        let ranks: Vec<Rank> = ranking::ranked(&scores, raw).into_iter().map(rank).collect();
        let headers = planning.headers(served.device(), &scores.tokens, &scores.truncated);
        Ok((headers, answer::json(&ranks)?).into_response())
    })
    .await
}

#[derive(Deserialize)]
struct PredictRequest<'a> {
    #[serde(borrow)]
    inputs: &'a RawValue,
    truncate: Option<bool>,
    #[serde(default)]
    raw_scores: bool,
}

/// One text, or one pair; a list of one or two strings is one input, too.
#[derive(Deserialize)]
#[serde(untagged)]
enum PredictInput {
    Text(String),
    Parts(Vec<String>),
}

#[derive(Serialize)]
struct Prediction<'a> {
    score: f32,
    label: &'a str,
}

pub(super) async fn predict(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let start = Instant::now();
    let plan = service.answer(move |service| {
        let request: PredictRequest<'_> = body.read()?;
        let served = Arc::clone(service.models.of_task(Task::Reranker));
        let (inputs, is_batch) = predict_inputs(request.inputs, service.settings.max_texts)?;
        let pairs = inputs.iter().map(pair).collect::<Result<Vec<Pair<'_>>, _>>()?;
        let planned = served.model().logits(&pairs)?;
        input::check_cuts(request.truncate, &served, planned.reader().truncated())?;
        let characters = |pair: &Pair<'_>| {
            pair.first.chars().count() + pair.second.map_or(0, |text| text.chars().count())
        };
        let planning = Planning::since(start, pairs.iter().map(characters).sum());
        let rest = (Arc::clone(&served), planning, is_batch, request.raw_scores);
        Ok(Plan { served, planned, rest })
    });
    let (scores, (served, planning, is_batch, raw)) = plan.await?;
    blocking(move || {
        let labels = served.model().labels();
        let rows = scores.data.chunks_exact(scores.labels.max(1));
        let rows: Vec<Vec<Prediction<'_>>> =
            rows.map(|row| predictions(row, labels, raw)).collect();
        let headers = planning.headers(served.device(), &scores.tokens, &scores.truncated);
        let body = if is_batch { answer::json(&rows)? } else { answer::json(&rows[0])? };
        Ok((headers, body).into_response())
    })
    .await
}

/// The inputs, and whether they are a batch.
fn predict_inputs(
    inputs: &RawValue,
    max_texts: usize,
) -> Result<(Vec<PredictInput>, bool), Failure> {
    let wrong = || {
        let message = "`inputs` must be a string, a list of one or two strings, or a list of such \
                       lists";
        Failure::invalid("inputs", message)
    };
    if let Ok(single) = serde_json::from_str::<PredictInput>(inputs.get()) {
        return Ok((vec![single], false));
    }
    let batch: Vec<PredictInput> = serde_json::from_str(inputs.get()).map_err(|_| wrong())?;
    if batch.len() > max_texts {
        let given = batch.len();
        let message = format!("`inputs` holds {given} inputs, at most {max_texts} are allowed");
        return Err(Failure::new(Kind::TooLarge, message));
    }
    Ok((batch, true))
}

fn pair(input: &PredictInput) -> Result<Pair<'_>, Failure> {
    let pair = match input {
        PredictInput::Text(text) => Pair { first: text, second: None },
        PredictInput::Parts(parts) => match &parts[..] {
            [first] => Pair { first, second: None },
            [first, second] => Pair::of(first, second),
            _ => {
                let given = parts.len();
                let message = format!("`inputs` must have one or two texts, found {given}");
                return Err(Failure::invalid("inputs", message));
            }
        },
    };
    if pair.first.is_empty() { Err(input::empty()) } else { Ok(pair) }
}

/// The labels of a row of logits, the likeliest first: by softmax, or the logistic function of the
/// only one.
fn predictions<'a>(logits: &[f32], labels: &'a [String], raw: bool) -> Vec<Prediction<'a>> {
    let scores: Vec<f32> = match logits {
        _ if raw => logits.to_vec(),
        &[only] => vec![sigmoid(only)],
        _ => {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
            let sum: f32 = powers.iter().sum();
            powers.iter().map(|power| power / sum).collect()
        }
    };
    let mut predictions: Vec<Prediction<'_>> =
        scores.into_iter().zip(labels).map(|(score, label)| Prediction { score, label }).collect();
    predictions.sort_by(|a, b| b.score.total_cmp(&a.score));
    predictions
}
