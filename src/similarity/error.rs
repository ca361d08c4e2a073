//! What can go wrong with rows and their files.

use std::io;
use std::path::PathBuf;

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
    /// A file of rows cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of rows is not what it should be.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
}
