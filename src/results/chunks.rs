//! Chunks as they are written, and as JSON lines.

use serde::Serialize;

use super::jsonl::write_line;
use super::{Destination, Error, RecordFormat, chunk_text, parquet};
use crate::chunking::Chunk;

/// Takes the chunks of documents in order and writes them.
pub trait ChunkSink {
    /// Appends the chunks of one document. `document` names it.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, document: &str, text: &str, chunks: &[Chunk]) -> Result<(), Error>;

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A sink of `format`. Where `vectors` is given, each chunk's vector is written too, of so many
/// dimensions.
///
/// # Errors
/// When the format holds no vectors or is not in this build, or its first bytes cannot be written.
pub fn open_chunk_sink(
    format: RecordFormat,
    destination: Destination,
    vectors: Option<usize>,
) -> Result<Box<dyn ChunkSink>, Error> {
    match format {
        RecordFormat::Jsonl => {
            Ok(Box::new(JsonlChunks { destination, vectors: vectors.is_some() }))
        }
        RecordFormat::Parquet => parquet::open_chunks(destination, vectors),
        RecordFormat::Text if vectors.is_some() => Err(Error::NoVectors("text")),
        RecordFormat::Text => Ok(Box::new(chunk_text::TextChunks::new(destination))),
    }
}

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

/// A line: a chunk with its document's name.
#[derive(Serialize)]
struct Line<'a> {
    document: &'a str,
    #[serde(flatten)]
    chunk: ChunkRecord<'a>,
}

/// Writes one object a chunk.
struct JsonlChunks {
    destination: Destination,
    vectors: bool,
}

impl ChunkSink for JsonlChunks {
    fn write(&mut self, document: &str, text: &str, chunks: &[Chunk]) -> Result<(), Error> {
        for chunk in chunk_records(text, chunks, self.vectors) {
            write_line(&mut self.destination, &Line { document, chunk })?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}
