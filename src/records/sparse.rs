//! Sparse vectors of texts: vocabulary entries and their weights.

use std::borrow::Cow;

use super::head;
use crate::embeddings::SparseEmbeddings;
use crate::files::{Field, Kind, Records, Value};

/// Consecutive texts of the input with a sparse vector each.
#[derive(Debug, Clone, Copy)]
pub struct SparseVectors<'a> {
    /// Position of the first text in the input, from 0.
    pub first_index: u64,
    /// `[texts]` the id of each where the input has one.
    pub ids: &'a [Option<String>],
    /// One row a text.
    pub embeddings: &'a SparseEmbeddings,
}

impl SparseVectors<'_> {
    /// Index, id, tokens, truncated, and as lists of one length indices and values.
    #[must_use]
    pub fn fields() -> Vec<Field> {
        let lists = ["indices", "values"].map(|name| Field::new(name, Kind::List));
        head::FIELDS.into_iter().chain(lists).collect()
    }
}

impl Records for SparseVectors<'_> {
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
        let entries = of.rows[index].iter();
        let (indices, weights) = entries.map(|entry| (entry.index, entry.value)).unzip();
        values.extend([Value::Integers(indices), Value::Vector(Cow::Owned(weights))]);
    }
}
