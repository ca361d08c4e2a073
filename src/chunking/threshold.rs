//! What the score of a gap must exceed to be cut.

use super::spec::Threshold;
use super::statistics::{Summary, percentile};

/// Whether the score of each gap is above the threshold, `k` its percentile or factor. Scores of
/// minus infinity, where no cut is allowed, are never above it and have no part in it. Standard
/// deviations are of the population, percentiles interpolated linearly, both as NumPy's defaults.
#[must_use]
pub fn above(scores: &[f32], threshold: Threshold, k: f64) -> Vec<bool> {
    let finite: Vec<f64> =
        scores.iter().map(|&score| f64::from(score)).filter(|score| score.is_finite()).collect();
    let values = match threshold {
        Threshold::Gradient => gradient(&finite),
        _ => finite,
    };
    if values.is_empty() {
        return vec![false; scores.len()];
    }
    let summary = Summary::of(&values);
    let limit = match threshold {
        Threshold::Percentile | Threshold::Gradient => percentile(&values, k),
        Threshold::Deviation => summary.mean + k * summary.sd,
        Threshold::Iqr => summary.mean + k * range(&values),
        Threshold::Quartile => percentile(&values, 75.0) + k * range(&values),
    };
    let mut values = values.into_iter();
    scores.iter().map(|s| s.is_finite() && values.next().is_some_and(|x| x > limit)).collect()
}

/// Between the first and the third quartile.
fn range(values: &[f64]) -> f64 {
    percentile(values, 75.0) - percentile(values, 25.0)
}

/// Central differences, one-sided at the ends, as `numpy.gradient`.
fn gradient(scores: &[f64]) -> Vec<f64> {
    let last = scores.len().saturating_sub(1);
    let slope = |gap: usize| {
        let (from, to) = (gap.saturating_sub(1), (gap + 1).min(last));
        (scores[to] - scores[from]) / (to - from).max(1) as f64
    };
    (0..scores.len()).map(slope).collect()
}
