//! Vectors: columns index, id, tokens, truncated and embedding.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::super::rows::{Rows, Sink};
use super::super::{Destination, Error};
use super::{Table, vector_field, vectors};

/// Writes vectors of `dimensions`.
struct ParquetSink {
    table: Table,
    dimensions: usize,
}

pub(in super::super) fn open(
    destination: Destination,
    dimensions: usize,
) -> Result<Box<dyn Sink>, Error> {
    let fields = vec![
        Field::new("index", DataType::Int64, false),
        Field::new("id", DataType::Utf8, true),
        Field::new("tokens", DataType::Int64, false),
        Field::new("truncated", DataType::Boolean, false),
        vector_field(dimensions),
    ];
    Ok(Box::new(ParquetSink { table: Table::create(destination, fields)?, dimensions }))
}

impl Sink for ParquetSink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        let embeddings = rows.embeddings;
        let count = embeddings.rows().len() as u64;
        let indices = (rows.first_index..rows.first_index + count).map(|index| index as i64);
        let tokens = embeddings.tokens.iter().map(|&tokens| tokens as i64);
        let truncated = embeddings.truncated.iter().map(|length| Some(length.is_some()));
        self.table.write(vec![
            Arc::new(Int64Array::from_iter_values(indices)),
            Arc::new(rows.ids.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(tokens)),
            Arc::new(truncated.collect::<BooleanArray>()),
            vectors(embeddings.data.clone(), self.dimensions),
        ])
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.table.finish()
    }
}
