//! Parquet: columns index, id, tokens, truncated and embedding, a fixed-size list of f32.

use std::io;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::rows::{Rows, Sink};
use super::{Destination, Error};

/// Bytes of vectors in a row group, about: what is held in memory before it is written.
const ROW_GROUP_BYTES: usize = 8 << 20;

/// Writes row groups as they fill.
struct ParquetSink {
    writer: ArrowWriter<Destination>,
    schema: Arc<Schema>,
    dimensions: usize,
}

pub(super) fn open(destination: Destination, dimensions: usize) -> Result<Box<dyn Sink>, Error> {
    let schema = Arc::new(schema(dimensions));
    let rows = (ROW_GROUP_BYTES / (4 * dimensions.max(1))).max(1);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        // Vectors do not repeat: a dictionary only costs time.
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY)
        .build();
    let path = destination.path().to_owned();
    let writer = ArrowWriter::try_new(destination, Arc::clone(&schema), Some(properties))
        .map_err(|error| Error::Write { path, source: io_error(error) })?;
    Ok(Box::new(ParquetSink { writer, schema, dimensions }))
}

fn schema(dimensions: usize) -> Schema {
    let element = Arc::new(Field::new("element", DataType::Float32, false));
    Schema::new(vec![
        Field::new("index", DataType::Int64, false),
        Field::new("id", DataType::Utf8, true),
        Field::new("tokens", DataType::Int64, false),
        Field::new("truncated", DataType::Boolean, false),
        Field::new("embedding", DataType::FixedSizeList(element, dimensions as i32), false),
    ])
}

impl ParquetSink {
    fn batch(&self, rows: Rows<'_>) -> Result<RecordBatch, ParquetError> {
        let embeddings = rows.embeddings;
        let count = embeddings.rows().len() as u64;
        let indices = (rows.first_index..rows.first_index + count).map(|index| index as i64);
        let tokens = embeddings.tokens.iter().map(|&tokens| tokens as i64);
        let truncated = embeddings.truncated.iter().map(|length| Some(length.is_some()));
        let values: ArrayRef = Arc::new(Float32Array::from(embeddings.data.clone()));
        let element = Arc::new(Field::new("element", DataType::Float32, false));
        let vectors = FixedSizeListArray::try_new(element, self.dimensions as i32, values, None)?;
        Ok(RecordBatch::try_new(
            Arc::clone(&self.schema),
            vec![
                Arc::new(Int64Array::from_iter_values(indices)),
                Arc::new(rows.ids.iter().map(Option::as_deref).collect::<StringArray>()),
                Arc::new(Int64Array::from_iter_values(tokens)),
                Arc::new(truncated.collect::<BooleanArray>()),
                Arc::new(vectors),
            ],
        )?)
    }
}

impl Sink for ParquetSink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        let written = self.batch(rows).and_then(|batch| self.writer.write(&batch));
        written.map_err(|error| self.writer.inner().write_error(io_error(error)))
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        let path = self.writer.inner().path().to_owned();
        // It writes the footer itself and refuses after the writer's own `finish`.
        let finished = self.writer.into_inner();
        finished.map_err(|error| Error::Write { path, source: io_error(error) })?.commit()
    }
}

/// The operating system's error where there is one below.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
