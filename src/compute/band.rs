//! The banded Gram matrix, which every boundary is found in.

use super::error::Error;
use super::pool::{Pool, Projection};

/// Similarities of neighbours.
pub trait Band: Pool {
    /// The banded Gram matrix of rows `e`: `[n, width]`, element `(i, d)` is `<e_i, e_(i+d)>`,
    /// zero where `i + d` is past the last row.
    ///
    /// # Errors
    /// Those of the device.
    fn gram(&self, rows: &Self::Buffer, width: usize) -> Result<Vec<f32>, Error>;

    /// [`finish`](Pool::finish) of rows, and the [`gram`](Self::gram) of what they become:
    /// `[rows, finish.dims]` and `[rows, width]`, brought to the host together.
    ///
    /// # Errors
    /// As theirs.
    fn finish_gram(
        &self,
        rows: Self::Buffer,
        finish: Projection,
        width: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let finished = self.finish(rows, finish)?;
        let band = self.gram(&self.upload(&finished, finish.dims)?, width)?;
        Ok((finished, band))
    }
}
