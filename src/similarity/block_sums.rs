//! Sums of similarities over blocks of neighbouring rows, from a band by additions alone.

use super::Band;

/// `W(a, b)`, the sum over the pairs of rows `a..b`, for all blocks within the band.
///
/// `W(a, b) = W(a, b - 1) + 2 C(a, b) - S(b - 1, b - 1)` with `C(a, b) = sum of S(i, b - 1)`: sums
/// grow by additions, which f32 carries safely; differences of prefix sums would not.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockSums {
    width: usize,
    /// Element `a * width + l - 1` is `W(a, a + l)`; 0 past the last row.
    data: Vec<f32>,
}

impl BlockSums {
    /// Over all ordered pairs: `|sum of e_i|^2`.
    #[must_use]
    pub fn new(band: &Band) -> Self {
        Self::sum(band, true)
    }

    /// Over all ordered pairs of two different rows.
    #[must_use]
    pub fn of_pairs(band: &Band) -> Self {
        Self::sum(band, false)
    }

    fn sum(band: &Band, diagonal: bool) -> Self {
        let (n, width) = (band.len(), band.width());
        let mut data = vec![0.0_f32; n * width];
        for last in 0..n {
            let own = if diagonal { band.similarity(last, last) } else { 0.0 };
            let mut column = 0.0;
            for d in 0..width.min(last + 1) {
                let at = (last - d) * width + d;
                if d > 0 || diagonal {
                    column += band.values()[at];
                }
                let before = if d > 0 { data[at - 1] } else { 0.0 };
                data[at] = before + (2.0 * column - own);
            }
        }
        Self { width, data }
    }

    /// The most rows of a block.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// `W(a, a + 1), W(a, a + 2), ..`: the blocks that start at row `a`.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn from(&self, a: usize) -> &[f32] {
        &self.data[a * self.width..(a + 1) * self.width]
    }

    /// Cosine of the sums of up to `window` rows on either side of the gap before row `gap`, each
    /// side as many as it has. 0 where a side is zero. Of sums over all ordered pairs.
    ///
    /// # Panics
    /// When `gap` is no inner gap or the two windows do not fit the width.
    #[must_use]
    pub fn gap_cosine(&self, band: &Band, gap: usize, window: usize) -> f32 {
        let n = band.len();
        assert!(gap > 0 && gap < n, "gap {gap} is not between two rows");
        let (before, after) = (window.min(gap), window.min(n - gap));
        let (left, right) = (self.from(gap - before)[before - 1], self.from(gap)[after - 1]);
        let cross = if before + after == 2 {
            // One neighbour's similarity is in the band without a difference of sums.
            band.similarity(gap - 1, gap)
        } else {
            (self.from(gap - before)[before + after - 1] - left - right) / 2.0
        };
        let norm = (left * right).max(0.0).sqrt();
        if norm > 0.0 { (cross / norm).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Band, BlockSums};

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    proptest! {
        #[test]
        fn blocks_and_gaps_are_those_of_summed_vectors(
            rows in prop::collection::vec(prop::collection::vec(-1.0_f64..1.0, 5), 2..12),
            window in 1_usize..4,
        ) {
            let n = rows.len();
            let width = 2 * window;
            let mut data = vec![0.0_f32; n * width];
            for i in 0..n {
                for d in 0..width.min(n - i) {
                    data[i * width + d] = dot(&rows[i], &rows[i + d]) as f32;
                }
            }
            let band = Band::new(data, width);
            let (sums, pairs) = (BlockSums::new(&band), BlockSums::of_pairs(&band));
            let sum = |range: std::ops::Range<usize>| -> Vec<f64> {
                (0..5).map(|c| range.clone().map(|i| rows[i][c]).sum()).collect()
            };
            for a in 0..n {
                for l in 1..=width.min(n - a) {
                    let whole = dot(&sum(a..a + l), &sum(a..a + l));
                    let own: f64 = rows[a..a + l].iter().map(|row| dot(row, row)).sum();
                    prop_assert!((f64::from(sums.from(a)[l - 1]) - whole).abs() < 1e-4);
                    prop_assert!((f64::from(pairs.from(a)[l - 1]) - whole + own).abs() < 1e-4);
                }
            }
            for gap in 1..n {
                let left = sum(gap.saturating_sub(window)..gap);
                let right = sum(gap..n.min(gap + window));
                let norm = (dot(&left, &left) * dot(&right, &right)).sqrt();
                prop_assume!(norm > 0.05);
                let expected = dot(&left, &right) / norm;
                let found = f64::from(sums.gap_cosine(&band, gap, window));
                prop_assert!((found - expected).abs() < 1e-3);
            }
        }
    }
}
