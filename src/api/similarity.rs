//! `POST /v1/similarity`: cosines of texts and vectors, all or the best of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SharedState;
use super::embeddings::{Usage, blocking, dimensions, header_of_cuts, texts};
use super::error::{ApiError, ApiJson};
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
    a: Value,
    /// The same; without it, `a` is compared with itself.
    b: Option<Value>,
    /// The best of `b` for each of `a`, instead of all scores.
    top_k: Option<usize>,
    /// The pairs with at least this score, instead of all scores.
    threshold: Option<f32>,
    model: Option<String>,
    dimensions: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Body {
    object: &'static str,
    #[serde(flatten)]
    answer: Answer,
    model: String,
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

/// One of the two lists.
enum Side {
    Texts(Vec<String>),
    /// `[len, dim]`.
    Vectors(Vec<f32>, usize),
}

pub(super) async fn create(
    State(state): State<SharedState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<(HeaderMap, Json<Body>), ApiError> {
    check_model(&state, request.model.as_deref())?;
    let wanted = wanted(&request)?;
    let a = Side::read("a", request.a)?;
    let b = request.b.map(|b| Side::read("b", b)).transpose()?;
    check_size(&a, b.as_ref())?;
    let options =
        EmbedOptions { dimensions: dimensions(request.dimensions), ..state.options.clone() };
    let (a, a_read) = a.embed(&state, &options).await?;
    let (b, b_read) = match b {
        Some(b) => b.embed(&state, &options).await.map(|(b, read)| (Some(b), read))?,
        None => (None, Read::default()),
    };
    let answer = blocking(move || answer(a, b, wanted)).await?;
    let cuts = [("a", &a_read), ("b", &b_read)]
        .into_iter()
        .flat_map(|(side, read)| read.cut.iter().map(move |index| format!("{side}[{index}]")));
    let body = Body {
        object: "similarity",
        answer,
        model: state.model.name().to_owned(),
        usage: Usage::new(a_read.tokens + b_read.tokens),
    };
    Ok((header_of_cuts(&cuts.collect::<Vec<String>>()), Json(body)))
}

fn wanted(request: &Request) -> Result<Wanted, ApiError> {
    match (request.top_k, request.threshold) {
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("top_k", "`top_k` and `threshold` do not go together"))
        }
        (Some(0), None) => Err(ApiError::invalid("top_k", "`top_k` is 0, expected at least 1")),
        (Some(k), None) => Ok(Wanted::Best(k)),
        (None, Some(least)) if (-1.0..=1.0).contains(&least) => Ok(Wanted::AtLeast(least)),
        (None, Some(least)) => {
            let message = format!("`threshold` is {least}, expected -1 to 1");
            Err(ApiError::invalid("threshold", message))
        }
        (None, None) => Ok(Wanted::All),
    }
}

fn check_size(a: &Side, b: Option<&Side>) -> Result<(), ApiError> {
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

impl Side {
    fn read(field: &'static str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Array(items) if items.first().is_some_and(Value::is_array) => {
                vectors(field, items)
            }
            Value::Array(items) if items.first().is_some_and(Value::is_number) => {
                let message = format!("`{field}` is a list of numbers, expected a list of vectors");
                Err(ApiError::invalid(field, message))
            }
            value => Ok(Self::Texts(texts(value, field)?)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Vectors(values, dim) => values.len() / dim,
        }
    }

    async fn embed(
        self,
        state: &SharedState,
        options: &EmbedOptions,
    ) -> Result<((Vec<f32>, usize), Read), ApiError> {
        let texts = match self {
            Self::Texts(texts) => texts,
            Self::Vectors(values, dim) => return Ok(((values, dim), Read::default())),
        };
        let (model, options) = (Arc::clone(&state.model), options.clone());
        let (job, embeddings) = blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            Ok(model.plan(&texts, &options)?)
        })
        .await?;
        let cut = embeddings.truncated.iter().enumerate();
        let cut = cut.filter(|(_, length)| length.is_some()).map(|(index, _)| index).collect();
        let read = Read { tokens: embeddings.tokens.iter().sum(), cut };
        Ok(((state.forward(job).await?, embeddings.dim), read))
    }
}

fn vectors(field: &'static str, items: Vec<Value>) -> Result<Side, ApiError> {
    let invalid = |message: String| ApiError::invalid(field, message);
    let (mut values, mut dim) = (Vec::new(), 0);
    for (index, item) in items.into_iter().enumerate() {
        let Value::Array(row) = item else {
            return Err(invalid(format!("`{field}` holds vectors, number {index} is {item}")));
        };
        if index == 0 {
            dim = row.len();
        }
        if row.len() != dim || dim == 0 {
            let length = row.len();
            return Err(invalid(format!(
                "`{field}`: vector {index} has {length} dimensions, expected {}",
                dim.max(1)
            )));
        }
        for value in row {
            let number = value.as_f64().map(|number| number as f32);
            let Some(number) = number.filter(|number| number.is_finite()) else {
                return Err(invalid(format!(
                    "`{field}`: vector {index} holds {value}, expected a number in the range of f32"
                )));
            };
            values.push(number);
        }
    }
    Ok(Side::Vectors(values, dim))
}

/// Compares `[len, dim]` vectors; `a` with itself where there is no `b`: then no row is its own
/// neighbour, and each pair stands once.
fn answer(
    a: (Vec<f32>, usize),
    b: Option<(Vec<f32>, usize)>,
    wanted: Wanted,
) -> Result<Answer, ApiError> {
    if let Some((_, dim)) = &b
        && *dim != a.1
    {
        let message = format!("`b` has vectors of {dim} dimensions, those of `a` have {}", a.1);
        return Err(ApiError::invalid("b", message));
    }
    let alone = b.is_none();
    let a = UnitRows::from_f32(a.0, a.1).map_err(Error::from)?;
    let b = b.map(|(values, dim)| UnitRows::from_f32(values, dim)).transpose();
    let b = b.map_err(Error::from)?;
    let rows = a.rows().map_err(Error::from)?;
    let columns = b.as_ref().unwrap_or(&a).rows().map_err(Error::from)?;
    Ok(compare(rows, columns, alone, wanted)?)
}

fn compare(a: Rows<'_>, b: Rows<'_>, alone: bool, wanted: Wanted) -> Result<Answer, Error> {
    let device = Device::default();
    Ok(match wanted {
        Wanted::All => {
            let mut scores = vec![0.0; a.len() * b.len()];
            similarity::pairwise(&device, a, b, &mut scores)?;
            Answer::Scores(scores.chunks_exact(b.len()).map(<[f32]>::to_vec).collect())
        }
        Wanted::Best(k) => {
            let named = |found: Vec<similarity::Neighbour>| {
                let found = found.into_iter();
                found.map(|near| Neighbour { index: near.row, score: near.score }).collect()
            };
            let found = similarity::top_k(&device, a, b, k, alone)?;
            Answer::Neighbours(found.into_iter().map(named).collect())
        }
        Wanted::AtLeast(least) => {
            let pairs = if alone { Pairs::Upper } else { Pairs::All };
            let found = similarity::threshold(&device, a, b, least, pairs)?.into_iter();
            let named = found.map(|pair| Pair { a: pair.first, b: pair.second, score: pair.score });
            Answer::Pairs(named.collect())
        }
    })
}
