//! The banded Gram matrix: similarities of neighbours, `n * width` values, never `n * n`.

use std::ops::Range;

/// `B[i, d] = <e_i, e_(i+d)>` for rows `e` of a document, `d < width`.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    width: usize,
    data: Vec<f32>,
}

impl Band {
    /// Takes `[n, width]` f32 row-major, as [`Exec::gram`](crate::compute::Exec::gram) gives it.
    #[must_use]
    pub fn new(data: Vec<f32>, width: usize) -> Self {
        Self { width, data }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Neighbours held of each row, itself included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Similarity of rows `i` and `j`, in either order.
    ///
    /// # Panics
    /// When they are `width` or more apart or there is no such row.
    #[must_use]
    pub fn similarity(&self, i: usize, j: usize) -> f32 {
        let (first, offset) = (i.min(j), i.abs_diff(j));
        assert!(offset < self.width, "rows {i} and {j} are not within the band");
        self.data[first * self.width + offset]
    }

    /// Sum of the similarities of all ordered pairs within `rows`: `|sum of e_i|^2`.
    ///
    /// # Panics
    /// When `rows` is longer than the band is wide.
    #[must_use]
    pub fn block_sum(&self, rows: Range<usize>) -> f32 {
        let mut sum = 0.0;
        for i in rows.clone() {
            sum += self.similarity(i, i);
            for j in i + 1..rows.end {
                sum += 2.0 * self.similarity(i, j);
            }
        }
        sum
    }

    /// Cosine of the mean vectors of up to `window` rows on either side of the gap before row
    /// `gap`; both sides get equally many rows.
    ///
    /// # Panics
    /// When `gap` is no inner gap or the two windows do not fit the band's width.
    #[must_use]
    pub fn gap_cosine(&self, gap: usize, window: usize) -> f32 {
        assert!(gap > 0 && gap < self.len(), "gap {gap} is not between two rows");
        let window = window.min(gap).min(self.len() - gap);
        let left = self.block_sum(gap - window..gap);
        let right = self.block_sum(gap..gap + window);
        let cross = (self.block_sum(gap - window..gap + window) - left - right) / 2.0;
        let norm = (left * right).max(0.0).sqrt();
        if norm > 0.0 { (cross / norm).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Band;
    use proptest::prelude::*;

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    proptest! {
        #[test]
        fn gap_cosine_is_the_cosine_of_summed_vectors(
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
            for gap in 1..n {
                let w = window.min(gap).min(n - gap);
                let sum = |range: std::ops::Range<usize>| -> Vec<f64> {
                    (0..5).map(|c| range.clone().map(|i| rows[i][c]).sum()).collect()
                };
                let (left, right) = (sum(gap - w..gap), sum(gap..gap + w));
                let norm = (dot(&left, &left) * dot(&right, &right)).sqrt();
                prop_assume!(norm > 0.05);
                let expected = dot(&left, &right) / norm;
                prop_assert!((f64::from(band.gap_cosine(gap, window)) - expected).abs() < 1e-3);
            }
        }
    }
}
