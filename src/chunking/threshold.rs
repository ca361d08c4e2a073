//! What the score of a gap must exceed to be cut.

use super::spec::Threshold;

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
    let limit = match threshold {
        Threshold::Percentile | Threshold::Gradient => percentile(&values, k),
        Threshold::Deviation => mean(&values) + k * deviation(&values),
        Threshold::Iqr => mean(&values) + k * range(&values),
        Threshold::Quartile => percentile(&values, 75.0) + k * range(&values),
    };
    let mut values = values.into_iter();
    scores.iter().map(|s| s.is_finite() && values.next().is_some_and(|x| x > limit)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    (squares / values.len() as f64).sqrt()
}

/// Between the first and the third quartile.
fn range(values: &[f64]) -> f64 {
    percentile(values, 75.0) - percentile(values, 25.0)
}

fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = p / 100.0 * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
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
