//! What can go wrong with files, on their way in and out.

use std::io;
use std::path::PathBuf;

use crate::compute;

/// Errors of this module. A `place` is a file, with a line or row where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An input, or a folder of them, cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The input.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading failed half way.
    #[error("cannot read {place}")]
    Read {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// Text that is none.
    #[error("{place}: invalid UTF-8 at byte {byte}")]
    Utf8 {
        /// Where.
        place: String,
        /// The first byte that is wrong, from the start of the place.
        byte: usize,
    },
    /// A line or document that would not fit in memory.
    #[error("{place}: longer than {limit} bytes")]
    TooLong {
        /// Where.
        place: String,
        /// The most that are read.
        limit: usize,
    },
    /// A line that should hold a JSON object.
    #[error("{place}:{column}: not a JSON object: {problem}")]
    Json {
        /// Where.
        place: String,
        /// The byte of the line at which it went wrong, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// Contents that are not what they should be.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file that is not Parquet, or is damaged.
    #[error("{place}: not readable as Parquet")]
    Parquet {
        /// Where.
        place: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A Parquet file, which this build does not read.
    #[error("{place}: Parquet is not in this build")]
    NoParquet {
        /// The file.
        place: String,
    },
    /// Rows of a file that have no scores.
    #[error(transparent)]
    Compute(#[from] compute::Error),
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
    /// A format that this build does not write.
    #[error("format {0} is not in this build")]
    NotBuilt(&'static str),
    /// Records with a field that the format has no place for.
    #[error("format {format} holds no {field}")]
    NoPlace {
        /// The format.
        format: &'static str,
        /// What the field holds.
        field: &'static str,
    },
    /// Values that do not belong together.
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
