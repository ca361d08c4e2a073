//! What a difference between two runs is worth: the paired bootstrap over items.

use serde::Serialize;

use crate::chunking::random::SplitMix64;
use crate::chunking::statistics::percentile;

/// Resamples of the items.
const RESAMPLES: usize = 10_000;

/// The mean of `after - before` over the same items, with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// Number of items.
    pub count: usize,
    /// Mean difference.
    pub mean: f64,
    /// 2.5th percentile of the mean over resamples.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Difference {
    /// Whether zero is outside the interval.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Resamples items with replacement (Efron 1979), each item's two values together, 10,000 times;
/// the interval is the percentile one. The same seed gives the same interval.
///
/// # Panics
/// When the runs differ in length or have no item.
#[must_use]
pub fn paired_bootstrap(before: &[f64], after: &[f64], seed: u64) -> Difference {
    assert_eq!(before.len(), after.len(), "one value an item in both runs");
    let differences: Vec<f64> = before.iter().zip(after).map(|(x, y)| y - x).collect();
    let count = differences.len();
    let mut random = SplitMix64(seed);
    let means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..count).map(|_| differences[random.below(count)]).sum();
            sum / count as f64
        })
        .collect();
    Difference {
        count,
        mean: differences.iter().sum::<f64>() / count as f64,
        low: percentile(&means, 2.5),
        high: percentile(&means, 97.5),
    }
}

#[cfg(test)]
mod tests {
    use super::{SplitMix64, paired_bootstrap};

    #[test]
    fn the_interval_is_that_of_the_normal_distribution_for_many_items() {
        let mut random = SplitMix64(5);
        let values: Vec<f64> = (0..2_000).map(|_| random.below(1_000) as f64 / 1_000.0).collect();
        let zeros = vec![0.0; values.len()];
        let found = paired_bootstrap(&zeros, &values, 1);
        let mean = values.iter().sum::<f64>() / 2_000.0;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2_000.0;
        let half = 1.959_964 * (variance / 2_000.0).sqrt();
        assert!((found.mean - mean).abs() < 1e-12);
        assert!((found.low - (mean - half)).abs() < 0.05 * half, "{found:?}");
        assert!((found.high - (mean + half)).abs() < 0.05 * half, "{found:?}");
        assert!(found.is_significant());
        assert_eq!(found, paired_bootstrap(&zeros, &values, 1));
        assert_ne!(found, paired_bootstrap(&zeros, &values, 2));
    }

    #[test]
    fn a_constant_difference_has_no_width() {
        let found = paired_bootstrap(&[1.0, 5.0, 3.0], &[0.5, 4.5, 2.5], 7);
        for value in [found.mean, found.low, found.high] {
            assert!((value + 0.5).abs() < 1e-12);
        }
        assert!(!paired_bootstrap(&[1.0, 2.0], &[2.0, 1.0], 7).is_significant());
    }
}
