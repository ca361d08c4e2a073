//! Chunks: the fields of their JSON lines as columns, vectors as embedding.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

use super::super::chunks::ChunkSink;
use super::super::{Destination, Error};
use super::{Table, vector_field, vectors};
use crate::chunking::Chunk;

/// Chunks copied at a time.
const BATCH_CHUNKS: usize = 1_024;

/// Writes chunks, with vectors of so many dimensions if asked.
struct ParquetChunks {
    table: Table,
    vectors: Option<usize>,
}

pub(in super::super) fn open(
    destination: Destination,
    vectors: Option<usize>,
) -> Result<Box<dyn ChunkSink>, Error> {
    let mut fields = vec![Field::new("document", DataType::Utf8, false)];
    let numbers = ["chunk", "start", "end", "start_char", "end_char", "tokens"];
    fields.extend(numbers.map(|name| Field::new(name, DataType::Int64, false)));
    fields.push(Field::new("strength", DataType::Float32, true));
    fields.push(Field::new("text", DataType::Utf8, false));
    fields.extend(vectors.map(vector_field));
    Ok(Box::new(ParquetChunks { table: Table::create(destination, fields)?, vectors }))
}

impl ParquetChunks {
    /// Appends chunks, the first of which is the document's `first`.
    fn write_batch(
        &mut self,
        document: &str,
        text: &str,
        first: usize,
        chunks: &[Chunk],
    ) -> Result<(), Error> {
        let numbers = |value: fn(&Chunk) -> usize| -> ArrayRef {
            Arc::new(chunks.iter().map(|chunk| value(chunk) as i64).collect::<Int64Array>())
        };
        let indices = (first..first + chunks.len()).map(|index| index as i64);
        let texts = chunks.iter().map(|chunk| &text[chunk.bytes.clone()]);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(chunks.iter().map(|_| document))),
            Arc::new(Int64Array::from_iter_values(indices)),
            numbers(|chunk| chunk.bytes.start),
            numbers(|chunk| chunk.bytes.end),
            numbers(|chunk| chunk.chars.start),
            numbers(|chunk| chunk.chars.end),
            numbers(|chunk| chunk.tokens),
            Arc::new(chunks.iter().map(|chunk| chunk.strength).collect::<Float32Array>()),
            Arc::new(StringArray::from_iter_values(texts)),
        ];
        if let Some(dimensions) = self.vectors {
            let data = chunks.iter().flat_map(|chunk| &chunk.vector).copied().collect();
            columns.push(vectors(data, dimensions));
        }
        self.table.write(columns)
    }
}

impl ChunkSink for ParquetChunks {
    fn write(&mut self, document: &str, text: &str, chunks: &[Chunk]) -> Result<(), Error> {
        for (batch, chunks) in chunks.chunks(BATCH_CHUNKS).enumerate() {
            self.write_batch(document, text, batch * BATCH_CHUNKS, chunks)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.table.finish()
    }
}
