//! Mean, standard deviation and percentiles of values, in f64.

use serde::Serialize;

/// Count, mean and population standard deviation of values; zeros where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The root of their mean squared deviation, as NumPy's `std` gives it.
    pub sd: f64,
}

impl Summary {
    /// Of `values`.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        Self { count: values.len(), mean, sd: variance.sqrt() }
    }
}

/// The percentile `p` (0 to 100) with linear interpolation between order statistics, as NumPy's
/// `percentile` has it by default.
///
/// # Panics
/// When there is no value.
#[must_use]
pub fn percentile(values: &[f64], p: f64) -> f64 {
    assert!(!values.is_empty(), "no value has a percentile");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let place = (p / 100.0 * last as f64).clamp(0.0, last as f64);
    let below = place.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let t = place - below as f64;
    // From the nearer end, as NumPy does: the result stays between the two.
    if t < 0.5 { a + (b - a) * t } else { b - (b - a) * (1.0 - t) }
}

#[cfg(test)]
mod tests {
    use super::{Summary, percentile};

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], p)
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        for (p, expected) in [
            (0.0, 1.0),
            (25.0, 1.75),
            (50.0, 3.5),
            (75.0, 5.25),
            (95.0, 7.949_999_999_999_999),
            (100.0, 9.0),
        ] {
            let found = percentile(&values, p);
            assert!((found - expected).abs() < 1e-12, "{p}: {found}");
        }
        assert!((percentile(&[7.0], 95.0) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_summary_divides_by_the_count() {
        let summary = Summary::of(&[1.0, 2.0, 3.0, 6.0]);
        assert_eq!(summary.count, 4);
        assert!((summary.mean - 3.0).abs() < 1e-12);
        assert!((summary.sd - 3.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(&[]), Summary::default());
    }
}
