//! Embedded rows and the formats that they are written in.

use clap::ValueEnum;

use super::{Destination, Error, jsonl, npy, parquet, text};
use crate::embeddings::Embeddings;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line: index, id, tokens, truncated, embedding.
    Jsonl,
    /// Columns index, id, tokens, truncated and embedding, a fixed-size list of f32.
    Parquet,
    /// One NumPy array [rows, dimensions] of f32.
    Npy,
    /// One line a vector, numbers separated by spaces.
    Text,
}

impl Format {
    /// The format that a file's suffix names.
    #[must_use]
    pub fn from_suffix(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            "npy" => Some(Self::Npy),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Consecutive rows of the input with their vectors.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Position of the first row in the input, from 0.
    pub first_index: u64,
    /// The id of each row where the input has one.
    pub ids: &'a [Option<String>],
    /// The vectors.
    pub embeddings: &'a Embeddings,
}

/// Takes rows in order and writes them.
pub trait Sink {
    /// Appends rows.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error>;

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A sink of `format` for vectors of `dimensions`.
///
/// # Errors
/// When this build does not have the format or its first bytes cannot be written.
pub fn open_sink(
    format: Format,
    destination: Destination,
    dimensions: usize,
) -> Result<Box<dyn Sink>, Error> {
    match format {
        Format::Jsonl => Ok(Box::new(jsonl::JsonlSink::new(destination))),
        Format::Text => Ok(Box::new(text::TextSink::new(destination))),
        Format::Npy => Ok(Box::new(npy::NpySink::new(destination, dimensions)?)),
        Format::Parquet => parquet::open(destination, dimensions),
    }
}
