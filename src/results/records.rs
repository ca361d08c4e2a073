//! Outputs that are no table of vectors, as JSON lines: token vectors, sparse vectors and scores.

use serde::Serialize;

use super::jsonl::write_line;
use super::{Destination, Error, Rows};
use crate::embeddings::SparseEmbeddings;

/// What every line on a text begins with.
#[derive(Serialize)]
struct Head<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    tokens: usize,
    truncated: bool,
}

#[derive(Serialize)]
struct Tokens<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    embeddings: Vec<&'a [f32]>,
}

#[derive(Serialize)]
struct Sparse<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

/// A document and how well it answers a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// Position in the input, from 0.
    pub index: u64,
    /// Its id where the input has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model's, higher is better.
    pub score: f32,
    /// Tokens of the pair, special tokens included.
    pub tokens: usize,
    /// Whether the pair was cut.
    pub truncated: bool,
    /// The document, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Writes one object a text.
pub struct RecordWriter {
    destination: Destination,
}

impl RecordWriter {
    /// Writes to `destination`.
    #[must_use]
    pub fn new(destination: Destination) -> Self {
        Self { destination }
    }

    /// Appends texts with the vectors of their tokens.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_tokens(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        let embeddings = rows.embeddings;
        for (text, id) in rows.ids.iter().enumerate() {
            let head = Head {
                index: rows.first_index + text as u64,
                id: id.as_deref(),
                tokens: embeddings.tokens[text],
                truncated: embeddings.truncated[text].is_some(),
            };
            let vectors = embeddings.text_rows(text).chunks_exact(embeddings.dim.max(1));
            let line = Tokens { head, embeddings: vectors.collect() };
            write_line(&mut self.destination, &line)?;
        }
        Ok(())
    }

    /// Appends texts, the first at `first_index` of the input, with their sparse vectors.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_sparse(
        &mut self,
        first_index: u64,
        ids: &[Option<String>],
        embeddings: &SparseEmbeddings,
    ) -> Result<(), Error> {
        for (text, (id, entries)) in ids.iter().zip(&embeddings.rows).enumerate() {
            let head = Head {
                index: first_index + text as u64,
                id: id.as_deref(),
                tokens: embeddings.tokens[text],
                truncated: embeddings.truncated[text].is_some(),
            };
            let (indices, values) = entries.iter().map(|entry| (entry.index, entry.value)).unzip();
            write_line(&mut self.destination, &Sparse { head, indices, values })?;
        }
        Ok(())
    }

    /// Appends a document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_ranked(&mut self, ranked: &Ranked) -> Result<(), Error> {
        write_line(&mut self.destination, ranked)
    }

    /// Completes the output.
    ///
    /// # Errors
    /// When the end cannot be written or the output's name is taken.
    pub fn finish(self) -> Result<(), Error> {
        self.destination.commit()
    }
}
