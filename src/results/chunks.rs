//! Chunks and the formats that they are written in.

use clap::ValueEnum;
use serde::Serialize;

use super::jsonl::write_line;
use super::{Destination, Error, chunk_text, parquet};
use crate::chunking::Chunk;

/// How chunks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChunkFormat {
    /// One JSON object a chunk.
    Jsonl,
    /// The same fields as columns; the vector is a fixed-size list of f32, `embedding`.
    Parquet,
    /// The text, each chunk followed by a line that says what it is. For people: no vectors.
    Text,
}

impl ChunkFormat {
    /// The format that a file's suffix names.
    #[must_use]
    pub fn from_suffix(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

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
    format: ChunkFormat,
    destination: Destination,
    vectors: Option<usize>,
) -> Result<Box<dyn ChunkSink>, Error> {
    match format {
        ChunkFormat::Jsonl => Ok(Box::new(JsonlChunks { destination, vectors: vectors.is_some() })),
        ChunkFormat::Parquet => parquet::open_chunks(destination, vectors),
        ChunkFormat::Text if vectors.is_some() => Err(Error::NoVectors("text")),
        ChunkFormat::Text => Ok(Box::new(chunk_text::TextChunks::new(destination))),
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
