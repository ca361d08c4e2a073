//! Embedded rows, and what takes them in each format.

use super::{Destination, Error, Format, jsonl, npy, parquet, text};
use crate::embeddings::Embeddings;

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
