//! Vectors of texts' tokens, some a text.

use super::head;
use crate::embeddings::Embeddings;
use crate::files::{Field, Kind, Records, Value};

/// Consecutive texts of the input with a vector for each of their tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenVectors<'a> {
    /// Position of the first text in the input, from 0.
    pub first_index: u64,
    /// `[texts]` the id of each where the input has one.
    pub ids: &'a [Option<String>],
    /// One row a token.
    pub embeddings: &'a Embeddings,
}

impl TokenVectors<'_> {
    /// Index, id, tokens, truncated and embeddings, a list of vectors.
    #[must_use]
    pub fn fields() -> Vec<Field> {
        head::FIELDS.into_iter().chain([Field::new("embeddings", Kind::List)]).collect()
    }
}

impl Records for TokenVectors<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::fields()
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let (id, of) = (self.ids[index].as_deref(), self.embeddings);
        let position = self.first_index + index as u64;
        values.extend(head::values(position, id, of.tokens[index], of.truncated[index]));
        let data = of.text_rows(index);
        values.push(Value::Vectors { data, dim: of.dim });
    }
}
