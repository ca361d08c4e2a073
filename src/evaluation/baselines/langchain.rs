//! The rules of LangChain's `SemanticChunker` (langchain-experimental 0.4.2): cut where the
//! distance of neighbours is above a threshold that the document itself gives.

use serde::{Deserialize, Serialize};

use super::lengths::lengths;
use crate::chunking::{Threshold, above};

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

/// Cuts units with `vectors`, `[units, dim]` f32 row-major of length one. Every gap above the
/// threshold is cut, also where the one beside it is: this is what LangChain does.
///
/// # Panics
/// When `dim` is 0.
#[must_use]
pub fn langchain(vectors: &[f32], dim: usize, rule: LangchainRule) -> Vec<usize> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let distance = |pair: &[&[f32]]| {
        let products = pair[0].iter().zip(pair[1]).map(|(&x, &y)| f64::from(x) * f64::from(y));
        (1.0 - products.sum::<f64>()) as f32
    };
    let distances: Vec<f32> = rows.windows(2).map(distance).collect();
    lengths(rows.len(), &cuts(&distances, rule))
}

/// The gaps to cut, where distance `i` is that of units `i` and `i + 1`.
fn cuts(distances: &[f32], rule: LangchainRule) -> Vec<usize> {
    let (threshold, k) = match rule {
        LangchainRule::Percentile => (Threshold::Percentile, 95.0),
        LangchainRule::StandardDeviation => (Threshold::Deviation, 3.0),
        LangchainRule::Interquartile => (Threshold::Iqr, 1.5),
        LangchainRule::Gradient => (Threshold::Gradient, 95.0),
    };
    let above = above(distances, threshold, k);
    (0..above.len()).filter(|&i| above[i]).map(|i| i + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::{LangchainRule, cuts, langchain};

    const DISTANCES: [f32; 24] = [
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
    fn short_texts_stay_whole() {
        let e = [1.0, 0.0, 0.0, 1.0];
        assert_eq!(langchain(&e[..2], 2, LangchainRule::Percentile), [1]);
        assert_eq!(langchain(&e, 2, LangchainRule::Gradient), [2]);
        // One distance is not above its own percentile.
        assert_eq!(langchain(&e, 2, LangchainRule::Percentile), [2]);
        assert!(langchain(&[], 2, LangchainRule::Percentile).is_empty());
    }
}
