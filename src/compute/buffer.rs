//! Activations: what all groups of operations read and write.

use super::error::Error;

/// Memory of an executor's device for activations.
///
/// A buffer is a row-major f32 matrix that stays on the device. What
/// [`attention`](super::Attend::attention) and an epilogue other than none give may be held in a
/// narrower format, which [`Dense`](super::Dense) alone reads.
pub trait Buffers: Send + Sync + 'static {
    /// Activations `[rows, cols]`.
    type Buffer: Send + Sync;

    /// Brings rows `[rows, cols]` from the host.
    ///
    /// # Errors
    /// When `data` is no multiple of `cols`.
    fn upload(&self, data: &[f32], cols: usize) -> Result<Self::Buffer, Error>;
}
