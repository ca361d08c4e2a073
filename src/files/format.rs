//! The formats of outputs, and the suffixes that name them.

use std::path::Path;

use clap::ValueEnum;

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
    pub fn from_suffix(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            "npy" => Some(Self::Npy),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

/// How chunks and matches are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// One JSON object a record.
    Jsonl,
    /// The same fields as columns; a chunk's vector is a fixed-size list of f32, `embedding`.
    Parquet,
    /// For people, without vectors: chunks each followed by a line that says what it is, matches a
    /// line each.
    Text,
}

impl RecordFormat {
    /// The format that a file's suffix names.
    #[must_use]
    pub fn from_suffix(path: &Path) -> Option<Self> {
        match Format::from_suffix(path)? {
            Format::Jsonl => Some(Self::Jsonl),
            Format::Parquet => Some(Self::Parquet),
            Format::Text => Some(Self::Text),
            Format::Npy => None,
        }
    }
}

impl From<RecordFormat> for Format {
    fn from(format: RecordFormat) -> Self {
        match format {
            RecordFormat::Jsonl => Self::Jsonl,
            RecordFormat::Parquet => Self::Parquet,
            RecordFormat::Text => Self::Text,
        }
    }
}
