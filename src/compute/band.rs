//! The banded Gram matrix, which every boundary is found in.

use super::buffer::Buffers;
use super::error::Error;

/// Similarities of neighbours.
pub trait Band: Buffers {
    /// The banded Gram matrix of rows `e`: `[n, width]`, element `(i, d)` is `<e_i, e_(i+d)>`,
    /// zero where `i + d` is past the last row.
    ///
    /// # Errors
    /// Those of the device.
    fn gram(&self, rows: &Self::Buffer, width: usize) -> Result<Vec<f32>, Error>;
}
