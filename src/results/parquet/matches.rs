//! Matches: the fields of their JSON lines as columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::super::matches::{Match, MatchSink};
use super::super::{Destination, Error};
use super::Table;

/// Writes matches, with their texts if asked.
struct ParquetMatches {
    table: Table,
    texts: bool,
}

pub(in super::super) fn open(
    destination: Destination,
    texts: bool,
) -> Result<Box<dyn MatchSink>, Error> {
    let mut fields = vec![
        Field::new("query", DataType::Utf8, false),
        Field::new("rank", DataType::Int64, false),
        Field::new("index", DataType::Int64, false),
        Field::new("id", DataType::Utf8, true),
        Field::new("score", DataType::Float32, false),
    ];
    if texts {
        fields.push(Field::new("text", DataType::Utf8, true));
    }
    Ok(Box::new(ParquetMatches { table: Table::create(destination, fields)?, texts }))
}

impl MatchSink for ParquetMatches {
    fn write(&mut self, matches: &[Match]) -> Result<(), Error> {
        let ranks = matches.iter().map(|found| found.rank as i64);
        let indices = matches.iter().map(|found| found.index as i64);
        let ids = matches.iter().map(|found| found.id.as_deref());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(matches.iter().map(|found| &found.query))),
            Arc::new(Int64Array::from_iter_values(ranks)),
            Arc::new(Int64Array::from_iter_values(indices)),
            Arc::new(ids.collect::<StringArray>()),
            Arc::new(Float32Array::from_iter_values(matches.iter().map(|found| found.score))),
        ];
        if self.texts {
            let texts = matches.iter().map(|found| found.text.as_deref());
            columns.push(Arc::new(texts.collect::<StringArray>()));
        }
        self.table.write(columns)
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.table.finish()
    }
}
