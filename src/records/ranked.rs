//! Documents and how well they answer a query.

use crate::files::{Field, Kind, Records, Value};

/// A document and how well it answers a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Position in the input, from 0.
    pub index: u64,
    /// Its id where the input has one.
    pub id: Option<String>,
    /// The model's, higher is better.
    pub score: f32,
    /// Tokens of the pair, special tokens included.
    pub tokens: usize,
    /// Whether the pair was cut.
    pub truncated: bool,
    /// The document, if asked for.
    pub text: Option<String>,
}

/// Documents in their order.
#[derive(Debug, Clone, Copy)]
pub struct RankedDocuments<'a>(pub &'a [Ranked]);

impl RankedDocuments<'_> {
    /// What is written of each, in order.
    pub const FIELDS: [Field; 6] = [
        Field::new("index", Kind::Integer),
        Field::new("id", Kind::Text).optional(),
        Field::new("score", Kind::Float),
        Field::new("tokens", Kind::Integer),
        Field::new("truncated", Kind::Boolean),
        Field::new("text", Kind::Text).optional(),
    ];
}

impl Records for RankedDocuments<'_> {
    fn fields(&self) -> Vec<Field> {
        Self::FIELDS.to_vec()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn values<'a>(&'a self, index: usize, values: &mut Vec<Value<'a>>) {
        let Ranked { index, id, score, tokens, truncated, text } = &self.0[index];
        values.extend([
            Value::Integer(*index),
            Value::text(id.as_deref()),
            Value::Float(*score),
            Value::Integer(*tokens as u64),
            Value::Boolean(*truncated),
            Value::text(text.as_deref()),
        ]);
    }
}
