//! `POST /v1/similarity`: cosines of texts and vectors, all or the best of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::SharedState;
use super::embeddings::{Usage, blocking, dimensions, header_of_cuts};
use super::error::{ApiError, ApiJson, json_answer};
use super::input::{Items, List};
use super::models::check_model;
use crate::Error;
use crate::embeddings::EmbedOptions;
use crate::similarity::{self, Device, Pairs, Rows, UnitRows};

/// The most scores of a request: a matrix of them is some 12 MB of JSON.
const MAX_SCORES: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// A text, or a list of texts or of vectors.
    a: Items,
    /// The same; without it, `a` is compared with itself.
    b: Option<Items>,
    /// The best of `b` for each of `a`, instead of all scores.
    top_k: Option<usize>,
    /// The pairs with at least this score, instead of all scores.
    threshold: Option<f64>,
    model: Option<String>,
    dimensions: Option<i64>,
}

#[derive(Serialize)]
struct Body<'a> {
    object: &'static str,
    #[serde(flatten)]
    answer: Answer,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// `[a, b]`.
    Scores(Vec<Vec<f32>>),
    /// `[a]`, the best first.
    Neighbours(Vec<Vec<Neighbour>>),
    /// Sorted by `a` and `b`.
    Pairs(Vec<Pair>),
}

#[derive(Serialize)]
struct Neighbour {
    index: u32,
    score: f32,
}

#[derive(Serialize)]
struct Pair {
    a: u32,
    b: u32,
    score: f32,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    Best(usize),
    AtLeast(f32),
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(HeaderMap, Response), ApiError> {
    check_model(&state, request.model.as_deref())?;
    let wanted = wanted(&request)?;
    let a = request.a.of("a")?;
    let b = request.b.map(|b| b.of("b")).transpose()?;
    check_size(&a, b.as_ref())?;
    check_dimensions(&state, request.dimensions, &a, b.as_ref())?;
    let options =
        EmbedOptions { dimensions: dimensions(request.dimensions), ..state.options.clone() };
    let (a, a_read) = embed(a, &state, &options).await?;
    let (b, b_read) = match b {
        Some(b) => embed(b, &state, &options).await.map(|(b, read)| (Some(b), read))?,
        None => (None, Read::default()),
    };
    let cuts = [("a", &a_read), ("b", &b_read)]
        .into_iter()
        .flat_map(|(side, read)| read.cut.iter().map(move |index| format!("{side}[{index}]")));
    let headers = header_of_cuts(cuts);
    let usage = Usage::new(a_read.tokens + b_read.tokens);
    let body = blocking(move || {
        let answer = answer(&state.device, a, b, wanted)?;
        json_answer(&Body { object: "similarity", answer, model: state.model().name(), usage })
    });
    Ok((headers, body.await?))
}

fn wanted(request: &Request) -> Result<Wanted, ApiError> {
    match (request.top_k, request.threshold) {
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("top_k", "`top_k` and `threshold` do not go together"))
        }
        (Some(0), None) => Err(ApiError::invalid("top_k", "`top_k` is 0, expected at least 1")),
        (Some(k), None) => Ok(Wanted::Best(k)),
        (None, Some(least)) if (-1.0..=1.0).contains(&least) => {
            Ok(Wanted::AtLeast(similarity::min_cosine(least as f32)))
        }
        (None, Some(least)) => {
            let message = format!("`threshold` is {least:?}, expected -1 to 1");
            Err(ApiError::invalid("threshold", message))
        }
        (None, None) => Ok(Wanted::All),
    }
}

fn check_size(a: &List, b: Option<&List>) -> Result<(), ApiError> {
    let (rows, columns) = (a.len(), b.unwrap_or(a).len());
    if rows.saturating_mul(columns) <= MAX_SCORES {
        return Ok(());
    }
    let scores = rows.saturating_mul(columns);
    let message = format!(
        "`a` with {rows} items has {scores} scores with {columns} others, at most {MAX_SCORES} are \
         allowed"
    );
    Err(ApiError::invalid("a", message))
}

/// What texts were to the tokenizer.
#[derive(Default)]
struct Read {
    tokens: usize,
    /// The texts that were cut.
    cut: Vec<usize>,
}

/// Refuses what cannot be compared before any text is embedded.
fn check_dimensions(
    state: &SharedState,
    asked: Option<i64>,
    a: &List,
    b: Option<&List>,
) -> Result<(), ApiError> {
    let is_text = |list: &List| matches!(list, List::Texts(_));
    let of_texts = if is_text(a) || b.is_some_and(is_text) {
        state.model().check_dimensions(dimensions(asked))?
    } else if let Some(asked) = asked {
        let message = format!("`dimensions` is {asked}, and neither `a` nor `b` holds texts");
        return Err(ApiError::invalid("dimensions", message));
    } else {
        0
    };
    let of = |list: &List| match list {
        List::Texts(_) => of_texts,
        List::Vectors(_, dim) => *dim,
    };
    match (of(a), b.map(of)) {
        (of_a, Some(of_b)) if of_a != of_b => {
            let message = format!("`b` has vectors of {of_b} dimensions, those of `a` have {of_a}");
            Err(ApiError::invalid("b", message))
        }
        _ => Ok(()),
    }
}

/// `[len, dim]`.
type Vectors = (Vec<f32>, usize);

/// The vectors of a list.
async fn embed(
    list: List,
    state: &SharedState,
    options: &EmbedOptions,
) -> Result<(Vectors, Read), ApiError> {
    let texts = match list {
        List::Texts(texts) => texts,
        List::Vectors(values, dim) => return Ok(((values, dim), Read::default())),
    };
    let (loaded, options) = (Arc::clone(&state.loaded), options.clone());
    let planned = blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(loaded.model().embed(&texts, &options)?)
    })
    .await?;
    let embeddings = state.answer(planned).await?;
    let cut = embeddings.truncated.iter().enumerate();
    let cut = cut.filter(|(_, length)| length.is_some()).map(|(index, _)| index).collect();
    let read = Read { tokens: embeddings.tokens.iter().sum(), cut };
    Ok(((embeddings.data, embeddings.dim), read))
}

/// Compares `[len, dim]` vectors; `a` with itself where there is no `b`: then no row is its own
/// neighbour, and each pair stands once.
fn answer(
    device: &Device,
    a: Vectors,
    b: Option<Vectors>,
    wanted: Wanted,
) -> Result<Answer, ApiError> {
    let alone = b.is_none();
    let a = UnitRows::from_f32(a.0, a.1).map_err(Error::from)?;
    let b = b.map(|(values, dim)| UnitRows::from_f32(values, dim)).transpose();
    let b = b.map_err(Error::from)?;
    let rows = a.rows().map_err(Error::from)?;
    let columns = b.as_ref().unwrap_or(&a).rows().map_err(Error::from)?;
    Ok(compare(device, rows, columns, alone, wanted)?)
}

fn compare(
    device: &Device,
    a: Rows<'_>,
    b: Rows<'_>,
    alone: bool,
    wanted: Wanted,
) -> Result<Answer, Error> {
    Ok(match wanted {
        Wanted::All => {
            let mut scores = vec![0.0; a.len() * b.len()];
            similarity::pairwise(device, a, b, &mut scores)?;
            Answer::Scores(scores.chunks_exact(b.len()).map(<[f32]>::to_vec).collect())
        }
        Wanted::Best(k) => {
            let named = |found: Vec<similarity::Neighbour>| {
                let found = found.into_iter();
                found.map(|near| Neighbour { index: near.row, score: near.score }).collect()
            };
            let found = similarity::top_k(device, a, b, k, alone)?;
            Answer::Neighbours(found.into_iter().map(named).collect())
        }
        Wanted::AtLeast(least) => {
            let pairs = if alone { Pairs::Upper } else { Pairs::All };
            let found = similarity::threshold(device, a, b, least, pairs)?.into_iter();
            let named = found.map(|pair| Pair { a: pair.first, b: pair.second, score: pair.score });
            Answer::Pairs(named.collect())
        }
    })
}
