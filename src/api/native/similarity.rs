//! `POST /v1/similarity`: cosines of texts and vectors, all or the best of them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::answer::{self, Usage, cuts, header_of_names};
use super::super::body::Body;
use super::super::failure::{Failure, Kind};
use super::super::input::{List, Unread};
use super::super::service::{Asked, Plan, Served, SharedService, blocking};
use crate::Error;
use crate::embeddings::Embeddings;
use crate::similarity::{self, Device, Pairs, Rows, UnitRows};

/// The most scores of a request: a matrix of them is some 12 MB of JSON.
const MAX_SCORES: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    /// A text, or a list of texts or of vectors.
    #[serde(borrow)]
    a: Unread<'a>,
    /// The same; without it, `a` is compared with itself.
    b: Option<Unread<'a>>,
    /// The best of `b` for each of `a`, instead of all scores.
    top_k: Option<usize>,
    /// The pairs with at least this score, instead of all scores.
    threshold: Option<f64>,
    model: Option<String>,
    dimensions: Option<i64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    #[serde(flatten)]
    found: Found,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Found {
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

/// What is compared, once its texts are planned.
struct Compared {
    served: Arc<Served>,
    wanted: Wanted,
    a: Side,
    b: Option<Side>,
}

/// One of the two lists.
enum Side {
    /// So many texts, whose vectors are to come.
    Texts(usize),
    /// `[len, dim]`.
    Vectors(Vec<f32>, usize),
}

pub(super) async fn create(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: Request<'_> = body.read()?;
        let served = service.models.find(request.model.as_deref())?.clone();
        let wanted = request.wanted()?;
        let max_texts = service.settings.max_texts;
        let a = request.a.items("a", max_texts)?;
        let b = request.b.map(|b| b.items("b", max_texts)).transpose()?;
        check_size(&a, b.as_ref(), max_texts)?;
        check_dimensions(&served, request.dimensions, &a, b.as_ref())?;
        // One job for both: a text's vector is the same in any company.
        let texts: Vec<&str> = a.texts().chain(b.iter().flat_map(List::texts)).collect();
        let options = served.options(Asked::of_dimensions(request.dimensions))?;
        let planned = served.model().embed(&texts, &options)?;
        let (a, b) = (Side::from(a), b.map(Side::from));
        Ok(Plan { served: Arc::clone(&served), planned, rest: Compared { served, wanted, a, b } })
    });
    let (embeddings, compared) = plan.await?;
    blocking(move || compared.answer(&service.device, embeddings)).await
}

impl Compared {
    fn answer(self, device: &Device, texts: Embeddings) -> Result<Response, Failure> {
        let Self { served, wanted, a, b } = self;
        let of_a = if let Side::Texts(len) = a { len } else { 0 };
        let headers =
            header_of_names(cuts(&texts.truncated).map(
                |(index, _)| match index.checked_sub(of_a) {
                    None => format!("a[{index}]"),
                    Some(index) => format!("b[{index}]"),
                },
            ));
        let usage = Usage::new(texts.tokens.iter().sum());
        let (dim, mut rows) = (texts.dim, texts.data);
        let rows_of_b = rows.split_off(of_a * dim);
        let vectors = |side, rows| match side {
            Side::Texts(_) => (rows, dim),
            Side::Vectors(values, dim) => (values, dim),
        };
        let (a, b) = (vectors(a, rows), b.map(|b| vectors(b, rows_of_b)));
        let found = find(device, a, b, wanted)?;
        let model = served.model().name();
        let answer = answer::json(&Answer { object: "similarity", found, model, usage })?;
        Ok((headers, answer).into_response())
    }
}

impl From<List<'_>> for Side {
    fn from(list: List<'_>) -> Self {
        match list {
            List::Texts(texts) => Self::Texts(texts.len()),
            List::Vectors(values, dim) => Self::Vectors(values, dim),
        }
    }
}

impl Request<'_> {
    fn wanted(&self) -> Result<Wanted, Failure> {
        match (self.top_k, self.threshold) {
            (Some(_), Some(_)) => {
                Err(Failure::invalid("top_k", "`top_k` and `threshold` do not go together"))
            }
            (Some(0), None) => Err(Failure::invalid("top_k", "`top_k` is 0, expected at least 1")),
            (Some(k), None) => Ok(Wanted::Best(k)),
            (None, Some(threshold)) if (-1.0..=1.0).contains(&threshold) => {
                Ok(Wanted::AtLeast(similarity::min_cosine(threshold as f32)))
            }
            (None, Some(threshold)) => {
                let message = format!("`threshold` is {threshold:?}, expected -1 to 1");
                Err(Failure::invalid("threshold", message))
            }
            (None, None) => Ok(Wanted::All),
        }
    }
}

fn check_size(a: &List<'_>, b: Option<&List<'_>>, max_texts: usize) -> Result<(), Failure> {
    let texts = a.texts().chain(b.into_iter().flat_map(List::texts)).count();
    if texts > max_texts {
        let message = format!("`a` and `b` hold {texts} texts, at most {max_texts} are allowed");
        return Err(Failure { field: Some("b".into()), ..Failure::new(Kind::TooLarge, message) });
    }
    let (rows, columns) = (a.len(), b.unwrap_or(a).len());
    if rows.saturating_mul(columns) <= MAX_SCORES {
        return Ok(());
    }
    let scores = rows.saturating_mul(columns);
    let message = format!(
        "`a` with {rows} items has {scores} scores with {columns} others, at most {MAX_SCORES} are \
         allowed"
    );
    Err(Failure::invalid("a", message))
}

/// Refuses what cannot be compared before any text is embedded.
fn check_dimensions(
    served: &Served,
    asked: Option<i64>,
    a: &List<'_>,
    b: Option<&List<'_>>,
) -> Result<(), Failure> {
    let is_text = |list: &List<'_>| matches!(list, List::Texts(_));
    let of_texts = if is_text(a) || b.is_some_and(is_text) {
        served.model().check_dimensions(served.options(Asked::of_dimensions(asked))?.dimensions)?
    } else if let Some(asked) = asked {
        let message = format!("`dimensions` is {asked}, and neither `a` nor `b` holds texts");
        return Err(Failure::invalid("dimensions", message));
    } else {
        0
    };
    let of = |list: &List<'_>| match list {
        List::Texts(_) => of_texts,
        List::Vectors(_, dim) => *dim,
    };
    match (of(a), b.map(of)) {
        (of_a, Some(of_b)) if of_a != of_b => {
            let message = format!("`b` has vectors of {of_b} dimensions, those of `a` have {of_a}");
            Err(Failure::invalid("b", message))
        }
        _ => Ok(()),
    }
}

/// `[len, dim]`.
type Vectors = (Vec<f32>, usize);

/// Compares `[len, dim]` vectors; `a` with itself where there is no `b`: then no row is its own
/// neighbour, and each pair stands once.
fn find(device: &Device, a: Vectors, b: Option<Vectors>, wanted: Wanted) -> Result<Found, Error> {
    let alone = b.is_none();
    let a = UnitRows::from_f32(a.0, a.1)?;
    let b = b.map(|(values, dim)| UnitRows::from_f32(values, dim)).transpose()?;
    let rows = a.rows()?;
    let columns = b.as_ref().unwrap_or(&a).rows()?;
    compare(device, rows, columns, alone, wanted)
}

fn compare(
    device: &Device,
    a: Rows<'_>,
    b: Rows<'_>,
    alone: bool,
    wanted: Wanted,
) -> Result<Found, Error> {
    Ok(match wanted {
        Wanted::All => {
            let mut scores = vec![0.0; a.len() * b.len()];
            similarity::pairwise(device, a, b, &mut scores)?;
            Found::Scores(scores.chunks_exact(b.len()).map(<[f32]>::to_vec).collect())
        }
        Wanted::Best(k) => {
            let named = |found: Vec<similarity::Neighbour>| {
                let found = found.into_iter();
                found.map(|near| Neighbour { index: near.row, score: near.score }).collect()
            };
            let found = similarity::top_k(device, a, b, k, alone)?;
            Found::Neighbours(found.into_iter().map(named).collect())
        }
        Wanted::AtLeast(threshold) => {
            let pairs = if alone { Pairs::Upper } else { Pairs::All };
            let found = similarity::threshold(device, a, b, threshold, pairs)?.into_iter();
            let named = found.map(|pair| Pair { a: pair.first, b: pair.second, score: pair.score });
            Found::Pairs(named.collect())
        }
    })
}
