//! How well chunks serve retrieval: what of the gold excerpts is found and at what price (Chroma
//! 2024, "Evaluating Chunking Strategies for Retrieval"), and the measures of a ranked list.

use std::cmp::Ordering;
use std::ops::Range;

use serde::Serialize;

/// A stretch of a document of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Index of the document.
    pub document: usize,
    /// Code points of it.
    pub chars: Range<usize>,
}

impl Excerpt {
    /// Whether the two have a code point in common.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        self.document == other.document
            && self.chars.start.max(other.chars.start) < self.chars.end.min(other.chars.end)
    }
}

/// What chunks have of the gold excerpts of a question, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExcerptScores {
    /// Share of the gold code points that were retrieved.
    pub recall: f64,
    /// Share of the retrieved code points that are gold. A code point in two chunks counts twice
    /// in what was retrieved, so that overlap has its price.
    pub precision: f64,
    /// The precision if every chunk that touches gold, and no other, were retrieved.
    pub precision_omega: f64,
    /// Gold retrieved, over all retrieved and what gold was not.
    pub iou: f64,
}

impl ExcerptScores {
    /// Compares the chunks `retrieved` of `pool` with the `gold` excerpts, whose overlaps count
    /// once.
    ///
    /// # Panics
    /// When there is no gold.
    #[must_use]
    pub fn of(gold: &[Excerpt], retrieved: &[&Excerpt], pool: &[Excerpt]) -> Self {
        let gold_size = size(&union(gold));
        assert!(gold_size > 0, "a question has gold excerpts");
        let touching: Vec<&Excerpt> =
            pool.iter().filter(|chunk| gold.iter().any(|gold| gold.touches(chunk))).collect();
        let found = intersection(gold, retrieved);
        let read: usize = retrieved.iter().map(|chunk| chunk.chars.len()).sum();
        let touched: usize = touching.iter().map(|chunk| chunk.chars.len()).sum();
        Self {
            recall: found as f64 / gold_size as f64,
            precision: ratio(found, read),
            precision_omega: ratio(intersection(gold, &touching), touched),
            iou: ratio(found, read + gold_size - found),
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Code points in both.
fn intersection(gold: &[Excerpt], chunks: &[&Excerpt]) -> usize {
    let common = gold.iter().flat_map(|gold| {
        chunks.iter().filter(|chunk| gold.touches(chunk)).map(|chunk| Excerpt {
            document: gold.document,
            chars: gold.chars.start.max(chunk.chars.start)..gold.chars.end.min(chunk.chars.end),
        })
    });
    size(&union(&common.collect::<Vec<_>>()))
}

/// The same code points as excerpts that do not overlap.
fn union(excerpts: &[Excerpt]) -> Vec<Excerpt> {
    let mut sorted: Vec<&Excerpt> = excerpts.iter().collect();
    sorted.sort_by_key(|excerpt| (excerpt.document, excerpt.chars.start));
    let mut union: Vec<Excerpt> = Vec::new();
    for excerpt in sorted {
        match union.last_mut() {
            Some(last)
                if last.document == excerpt.document && excerpt.chars.start <= last.chars.end =>
            {
                last.chars.end = last.chars.end.max(excerpt.chars.end);
            }
            _ => union.push(excerpt.clone()),
        }
    }
    union
}

fn size(excerpts: &[Excerpt]) -> usize {
    excerpts.iter().map(|excerpt| excerpt.chars.len()).sum()
}

/// The places of the `k` greatest `scores`, the greatest first; negative infinity is none. `before`
/// says of two places with equal scores which comes first.
#[must_use]
pub fn ranked(scores: &[f32], k: usize, before: impl Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let found = |&place: &usize| scores[place] > f32::NEG_INFINITY;
    let mut order: Vec<usize> = (0..scores.len()).filter(found).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then_with(|| before(a, b)));
    order.truncate(k);
    order
}

/// 1 where one of the first `k` of a ranked list gains something. `gains` are by rank.
#[must_use]
pub fn hit(gains: &[f64], k: usize) -> f64 {
    if first(gains, k).iter().any(|&gain| gain > 0.0) { 1.0 } else { 0.0 }
}

/// One over the rank of the first that gains something, 0 where none of the first `k` does.
#[must_use]
pub fn reciprocal_rank(gains: &[f64], k: usize) -> f64 {
    let rank = first(gains, k).iter().position(|&gain| gain > 0.0);
    rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)
}

/// The share of `relevant` items, more than none, among the first `k`.
#[must_use]
pub fn recall(gains: &[f64], relevant: usize, k: usize) -> f64 {
    ratio(first(gains, k).iter().filter(|&&gain| gain > 0.0).count(), relevant)
}

/// Normalised discounted cumulative gain of the first `k`, gains as they are and those below 0 as
/// 0, as in `trec_eval` and BEIR. `judged` are the gains of all items that have one, in any order;
/// all are finite.
#[must_use]
pub fn ndcg(gains: &[f64], judged: &[f64], k: usize) -> f64 {
    let mut ideal = judged.to_vec();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = discounted(first(&ideal, k));
    if best > 0.0 { discounted(first(gains, k)) / best } else { 0.0 }
}

fn discounted(gains: &[f64]) -> f64 {
    let discounted = |(rank, gain): (usize, &f64)| gain.max(0.0) / ((rank + 2) as f64).log2();
    gains.iter().enumerate().map(discounted).sum()
}

fn first(gains: &[f64], k: usize) -> &[f64] {
    &gains[..k.min(gains.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Excerpt, ExcerptScores, hit, ndcg, recall, reciprocal_rank};

    fn points(excerpts: &[&Excerpt]) -> BTreeSet<(usize, usize)> {
        let points = excerpts.iter().flat_map(|e| e.chars.clone().map(|char| (e.document, char)));
        points.collect()
    }

    fn excerpt() -> impl Strategy<Value = Excerpt> {
        (0_usize..3, 0_usize..40, 1_usize..12).prop_map(|(document, start, length)| Excerpt {
            document,
            chars: start..start + length,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn scores_equal_those_of_sets_of_code_points(
            gold in prop::collection::vec(excerpt(), 1..5),
            pool in prop::collection::vec(excerpt(), 0..12),
            count in 0_usize..6,
        ) {
            let retrieved: Vec<&Excerpt> = pool.iter().take(count).collect();
            let x = points(&gold.iter().collect::<Vec<_>>());
            let scores = ExcerptScores::of(&gold, &retrieved, &pool);
            let divide = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
            let precision = |chunks: &[&Excerpt]| {
                let lengths = chunks.iter().map(|chunk| chunk.chars.len()).sum();
                divide(points(chunks).intersection(&x).count(), lengths)
            };
            let found = points(&retrieved).intersection(&x).count();
            let read: usize = retrieved.iter().map(|chunk| chunk.chars.len()).sum();
            let touching: Vec<&Excerpt> =
                pool.iter().filter(|chunk| points(&[chunk]).intersection(&x).count() > 0).collect();
            prop_assert!((scores.recall - divide(found, x.len())).abs() < 1e-12);
            prop_assert!((scores.precision - precision(&retrieved)).abs() < 1e-12);
            prop_assert!((scores.precision_omega - precision(&touching)).abs() < 1e-12);
            prop_assert!((scores.iou - divide(found, read + x.len() - found)).abs() < 1e-12);
        }
    }

    #[test]
    fn ranked_lists_are_read_to_k() {
        let gains = [0.0, 2.0, 0.0, 1.0];
        assert!((hit(&gains, 2) - 1.0).abs() < 1e-12 && hit(&gains, 1).abs() < 1e-12);
        assert!((reciprocal_rank(&gains, 10) - 0.5).abs() < 1e-12);
        assert!(reciprocal_rank(&gains, 1).abs() < 1e-12);
        assert!((recall(&gains, 4, 3) - 0.25).abs() < 1e-12);
        assert!((recall(&gains, 4, 10) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn ndcg_is_that_of_trec_eval() {
        // pytrec_eval: qrels {a: 2, b: 1, c: 1}, run x > a > y > b.
        let dcg = 2.0 / 3.0_f64.log2() + 1.0 / 5.0_f64.log2();
        let ideal = 2.0 + 1.0 / 3.0_f64.log2() + 0.5;
        let found = ndcg(&[0.0, 2.0, 0.0, 1.0], &[1.0, 2.0, 1.0], 10);
        assert!((found - dcg / ideal).abs() < 1e-12);
        // Cut at two: the ideal list is cut as well.
        let ideal = 2.0 + 1.0 / 3.0_f64.log2();
        let found = ndcg(&[0.0, 2.0, 0.0, 1.0], &[1.0, 2.0, 1.0], 2);
        assert!((found - (2.0 / 3.0_f64.log2()) / ideal).abs() < 1e-12);
        assert!(ndcg(&[0.0], &[], 10).abs() < 1e-12);
    }

    #[test]
    fn a_gain_below_zero_is_none() {
        // The ideal list would lose by it, and a list without it have more than all.
        assert!((ndcg(&[1.0], &[1.0, -1.0], 10) - 1.0).abs() < 1e-12);
        let found = ndcg(&[-1.0, 1.0], &[1.0, -1.0], 10);
        assert!((found - 1.0 / 3.0_f64.log2()).abs() < 1e-12);
    }
}
