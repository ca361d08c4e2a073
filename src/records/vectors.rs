//! Vectors of texts, one a text.

use std::io::{self, Write};

use super::head;
use crate::embeddings::Embeddings;
use crate::files::{Field, Kind, Records, Value};

/// Consecutive texts of the input with a vector each.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// Position of the first text in the input, from 0.
    pub first_index: u64,
    /// `[texts]` the id of each where the input has one.
    pub ids: &'a [Option<String>],
    /// One row a text.
    pub embeddings: &'a Embeddings,
}

impl Vectors<'_> {
    /// The fields of vectors of `dim`: index, id, tokens, truncated and embedding.
    #[must_use]
    pub fn fields(dim: usize) -> Vec<Field> {
        let embedding = Field::new("embedding", Kind::Vector(dim));
        head::FIELDS.into_iter().chain([embedding]).collect()
    }
}

impl Records for Vectors<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::fields(self.embeddings.dim)
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let (id, of) = (self.ids[index].as_deref(), self.embeddings);
        let position = self.first_index + index as u64;
        values.extend(head::values(position, id, of.tokens[index], of.truncated[index]));
        values.push(Value::vector(of.text_rows(index)));
    }

    /// A line a vector, for `awk` and friends: numbers between spaces, each with as few digits as
    /// bring back its bits.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for row in self.embeddings.rows() {
            for (column, value) in row.iter().enumerate() {
                let separator = if column == 0 { "" } else { " " };
                write!(out, "{separator}{value}")?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}
