//! What can go wrong with rows.

use crate::compute;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes or formats that do not go together, or a failure of the device.
    #[error(transparent)]
    Compute(#[from] compute::Error),
    /// More rows than indices of 32 bits can name.
    #[error("{rows} rows, at most {limit} are searched")]
    TooManyRows {
        /// As given.
        rows: usize,
        /// The most there may be.
        limit: usize,
    },
}
