//! The banded Gram matrix: similarities of neighbours, `n * width` values, never `n * n`.

/// `B[i, d] = <e_i, e_(i+d)>` for rows `e` of a document, `d < width`.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    width: usize,
    data: Vec<f32>,
}

impl Band {
    /// Takes `[n, width]` f32 row-major, as [`gram`](crate::compute::Band::gram) gives it.
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

    /// `[n, width]` row-major.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.data
    }

    /// Its rows, each without what is past the last one.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let n = self.len();
        let rows = self.data.chunks_exact(self.width.max(1)).enumerate();
        rows.map(move |(i, row)| &row[..self.width.min(n - i)])
    }

    /// Similarity of rows `i` and `j`, in either order.
    ///
    /// # Panics
    /// When they are `width` or more apart or there is no such row.
    #[must_use]
    pub fn similarity(&self, i: usize, j: usize) -> f32 {
        let (first, offset) = (i.min(j), i.abs_diff(j));
        assert!(offset < self.width, "rows {i} and {j} are not within the band");
        // Past the last row the band is padded, with what is no similarity.
        assert!((first + offset) * self.width < self.data.len(), "no rows {i} and {j}");
        self.data[first * self.width + offset]
    }

    /// Mean similarity of two different rows within the band, added in f64; 0 where there are none.
    #[must_use]
    pub fn mean_of_pairs(&self) -> f64 {
        let pairs = self.rows().map(|row| &row[1.min(row.len())..]);
        let (sum, count) = pairs.fold((0.0, 0), |(sum, count), pairs| {
            (sum + pairs.iter().map(|&x| f64::from(x)).sum::<f64>(), count + pairs.len())
        });
        if count > 0 { sum / count as f64 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Band;

    #[test]
    fn rows_of_the_band_have_similarities_in_either_order() {
        let band = Band::new(vec![1.0, 0.5, 1.0, 0.0], 2);
        for (i, j, expected) in [(0, 1, 0.5_f32), (1, 0, 0.5), (1, 1, 1.0)] {
            assert_eq!(band.similarity(i, j).to_bits(), expected.to_bits());
        }
    }

    #[test]
    #[should_panic(expected = "no rows 1 and 2")]
    fn padding_is_no_similarity() {
        let _ = Band::new(vec![1.0, 0.5, 1.0, 0.0], 2).similarity(1, 2);
    }
}
