//! Chunks as they are written, and as JSON lines.

use serde::Serialize;

use super::jsonl::write_line;
use super::{Destination, Error};
use crate::chunking::Chunk;

/// A chunk as it is written, in files and in answers.
#[derive(Debug, Serialize)]
pub struct ChunkRecord<'a> {
    chunk: usize,
    start: usize,
    end: usize,
    start_char: usize,
    end_char: usize,
    tokens: usize,
    strength: Option<f32>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
}

/// A line: a chunk with its document's name.
#[derive(Serialize)]
struct Line<'a> {
    document: &'a str,
    #[serde(flatten)]
    chunk: ChunkRecord<'a>,
}

/// The records of the chunks of `text`, with vectors only if asked.
pub fn chunk_records<'a>(
    text: &'a str,
    chunks: &'a [Chunk],
    vectors: bool,
) -> impl Iterator<Item = ChunkRecord<'a>> {
    chunks.iter().enumerate().map(move |(index, chunk)| ChunkRecord {
        chunk: index,
        start: chunk.bytes.start,
        end: chunk.bytes.end,
        start_char: chunk.chars.start,
        end_char: chunk.chars.end,
        tokens: chunk.tokens,
        strength: chunk.strength,
        text: &text[chunk.bytes.clone()],
        vector: vectors.then_some(&chunk.vector[..]),
    })
}

/// Writes one object a chunk.
pub struct ChunkWriter {
    destination: Destination,
    vectors: bool,
}

impl ChunkWriter {
    /// Writes to `destination`, vectors only if asked.
    #[must_use]
    pub fn new(destination: Destination, vectors: bool) -> Self {
        Self { destination, vectors }
    }

    /// Appends the chunks of one document. `document` names it.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, document: &str, text: &str, chunks: &[Chunk]) -> Result<(), Error> {
        for chunk in chunk_records(text, chunks, self.vectors) {
            write_line(&mut self.destination, &Line { document, chunk })?;
        }
        Ok(())
    }

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    pub fn finish(self) -> Result<(), Error> {
        self.destination.commit()
    }
}
