//! The rules of LangChain's `SemanticChunker` (langchain-experimental 0.4.2): cut where the
//! distance of neighbours is above a threshold that the document itself gives.

use serde::{Deserialize, Serialize};

use super::lengths;
use crate::evaluation::statistics::{Summary, percentile};

/// How the threshold follows from the distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LangchainRule {
    /// Their 95th percentile.
    #[default]
    Percentile,
    /// Their mean and three standard deviations.
    StandardDeviation,
    /// Their mean and one and a half times their interquartile range.
    Interquartile,
    /// The 95th percentile of their gradient, which stands in for the distances.
    Gradient,
}

/// Cuts units with `vectors`, `[units, dim]` f32 row-major of length one.
///
/// # Panics
/// When `dim` is 0.
#[must_use]
pub fn langchain(vectors: &[f32], dim: usize, rule: LangchainRule) -> Vec<usize> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let distances: Vec<f64> = rows
        .windows(2)
        .map(|pair| {
            let products = pair[0].iter().zip(pair[1]).map(|(&x, &y)| f64::from(x) * f64::from(y));
            1.0 - products.sum::<f64>()
        })
        .collect();
    lengths(rows.len(), &cuts(&distances, rule))
}

/// The gaps to cut, where distance `i` is that of units `i` and `i + 1`.
fn cuts(distances: &[f64], rule: LangchainRule) -> Vec<usize> {
    if distances.is_empty() || (rule == LangchainRule::Gradient && distances.len() == 1) {
        return Vec::new();
    }
    let summary = Summary::of(distances);
    let gradient = gradient(distances);
    let (curve, threshold) = match rule {
        LangchainRule::Percentile => (distances, percentile(distances, 95.0)),
        LangchainRule::StandardDeviation => (distances, summary.mean + 3.0 * summary.sd),
        LangchainRule::Interquartile => {
            let range = percentile(distances, 75.0) - percentile(distances, 25.0);
            (distances, summary.mean + 1.5 * range)
        }
        LangchainRule::Gradient => (&gradient[..], percentile(&gradient, 95.0)),
    };
    (0..curve.len()).filter(|&i| curve[i] > threshold).map(|i| i + 1).collect()
}

/// Central differences, one-sided at the ends, as NumPy's `gradient` gives them.
fn gradient(values: &[f64]) -> Vec<f64> {
    let last = values.len() - 1;
    let at = |i: usize| {
        let (before, after) = (i.saturating_sub(1), (i + 1).min(last));
        (values[after] - values[before]) / (after - before).max(1) as f64
    };
    (0..values.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::{LangchainRule, cuts, gradient, langchain};

    const DISTANCES: [f64; 24] = [
        0.21, 0.34, 0.15, 0.27, 0.62, 0.31, 0.18, 0.25, 0.41, 0.12, 0.29, 0.33, 0.24, 0.52, 0.22,
        0.19, 0.28, 0.35, 0.14, 0.26, 0.23, 0.98, 0.17, 0.3,
    ];

    /// Gaps, from numpy 2 and the rules of `_calculate_breakpoint_threshold`.
    const EXPECTED: [(LangchainRule, &[usize]); 4] = [
        (LangchainRule::Percentile, &[5, 22]),
        (LangchainRule::StandardDeviation, &[22]),
        (LangchainRule::Interquartile, &[5, 14, 22]),
        (LangchainRule::Gradient, &[4, 21]),
    ];

    #[test]
    fn every_rule_cuts_where_langchain_does() {
        for (rule, expected) in EXPECTED {
            assert_eq!(cuts(&DISTANCES, rule), expected, "{rule:?}");
        }
    }

    #[test]
    fn gradients_are_one_sided_at_the_ends() {
        assert_eq!(gradient(&[1.0, 2.0, 4.0, 7.0]), [1.0, 1.5, 2.5, 3.0]);
    }

    #[test]
    fn short_texts_stay_whole() {
        let e = [1.0, 0.0, 0.0, 1.0];
        assert_eq!(langchain(&e[..2], 2, LangchainRule::Percentile), [1]);
        assert_eq!(langchain(&e, 2, LangchainRule::Gradient), [2]);
        // One distance is not above its own percentile.
        assert_eq!(langchain(&e, 2, LangchainRule::Percentile), [2]);
        assert!(langchain(&[], 2, LangchainRule::Percentile).is_empty());
    }
}
