//! What can go wrong while results are written.

use std::io;
use std::path::PathBuf;

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output is there already.
    #[error("{path} exists (use --force to replace it)")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The output cannot be created.
    #[error("cannot create {path}")]
    Create {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing failed; what was written so far is removed.
    #[error("cannot write {path}")]
    Write {
        /// The output.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A format that this build does not have.
    #[error("format {0} is not in this build")]
    NotBuilt(&'static str),
    /// Vectors where the format has no place for them.
    #[error("format {0} holds no vectors")]
    NoVectors(&'static str),
    /// Rows that do not belong together.
    #[error("{what} has {actual} values, expected {expected}")]
    Shape {
        /// What was measured.
        what: &'static str,
        /// Its length.
        actual: usize,
        /// The length of its neighbours.
        expected: usize,
    },
}
