//! Documents ranked for a query by a reranker, for every family.

use super::failure::{Failure, Kind};
use super::service::Served;
use crate::embeddings::{self, Pair, Planned, ScoreReader, Scores};

/// A document's place among those of the request, and its score.
pub(super) struct Ranked {
    pub(super) index: usize,
    pub(super) score: f32,
}

/// Plans the scores of `texts` for `query`.
///
/// # Errors
/// When one of them is empty or the model gives no single score of a pair.
pub(super) fn plan(
    served: &Served,
    query: &str,
    texts: &[&str],
) -> Result<Planned<ScoreReader>, Failure> {
    let empty = |field, message: &str| Failure {
        field: Some(std::borrow::Cow::Borrowed(field)),
        ..Failure::new(Kind::Empty, message)
    };
    if query.is_empty() {
        return Err(empty("query", "`query` cannot be empty"));
    }
    if texts.is_empty() {
        return Err(empty("documents", "there are no documents to rank"));
    }
    let pairs: Vec<Pair<'_>> = texts.iter().map(|text| Pair::of(query, text)).collect();
    let planned = served.model().logits(&pairs)?;
    match served.model().labels().len() {
        1 => Ok(planned),
        labels => Err(embeddings::Error::Labels { labels }.into()),
    }
}

/// The documents, the best first, equal ones in their order; by the logistic function of their
/// logits unless these are wanted `raw`.
pub(super) fn ranked(scores: &Scores, raw: bool) -> Vec<Ranked> {
    let score = |&logit: &f32| if raw { logit } else { sigmoid(logit) };
    let ranked = scores.data.iter().map(score).enumerate();
    let mut ranked: Vec<Ranked> = ranked.map(|(index, score)| Ranked { index, score }).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
