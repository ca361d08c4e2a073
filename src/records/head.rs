//! What every record on an embedded text begins with.

use crate::files::{Field, Kind, Value};

/// Position in the input from 0, id where there is one, tokens with the special ones, and whether
/// the text was cut.
pub(super) const FIELDS: [Field; 4] = [
    Field::new("index", Kind::Integer),
    Field::new("id", Kind::Text).optional(),
    Field::new("tokens", Kind::Integer),
    Field::new("truncated", Kind::Boolean),
];

/// The values of [`FIELDS`]. `truncated` is the whole length of a text that was cut.
pub(super) fn values(
    index: u64,
    id: Option<&str>,
    tokens: usize,
    truncated: Option<usize>,
) -> [Value<'_>; 4] {
    [
        Value::Integer(index),
        Value::text(id),
        Value::Integer(tokens as u64),
        Value::Boolean(truncated.is_some()),
    ]
}
