//! Parquet: tables of vectors, chunks and matches, in row groups of bounded size.
//!
//! Invariant: at most about a row group is held in memory, whatever is written.

mod chunks;
mod matches;
mod rows;

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{Destination, Error};

pub(super) use self::chunks::open as open_chunks;
pub(super) use self::matches::open as open_matches;
pub(super) use self::rows::open;

/// Bytes of a row group, about: what is held in memory before it is written.
const ROW_GROUP_BYTES: usize = 8 << 20;

/// A file that is being written, row group by row group.
struct Table {
    writer: ArrowWriter<Destination>,
    schema: Arc<Schema>,
}

impl Table {
    fn create(destination: Destination, fields: Vec<Field>) -> Result<Self, Error> {
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            // Vectors and texts do not repeat: a dictionary only costs time.
            .set_dictionary_enabled(false)
            .set_compression(Compression::SNAPPY)
            .build();
        let path = destination.path().to_owned();
        let writer = ArrowWriter::try_new(destination, Arc::clone(&schema), Some(properties))
            .map_err(|error| Error::Write { path, source: io_error(error) })?;
        Ok(Self { writer, schema })
    }

    /// Appends rows, given as one array a field.
    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), Error> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let written = batch.map_err(ParquetError::from).and_then(|batch| self.writer.write(&batch));
        written.map_err(|error| self.writer.inner().write_error(io_error(error)))
    }

    fn finish(self) -> Result<(), Error> {
        let path = self.writer.inner().path().to_owned();
        // It writes the footer itself and refuses after the writer's own `finish`.
        let finished = self.writer.into_inner();
        finished.map_err(|error| Error::Write { path, source: io_error(error) })?.commit()
    }
}

/// A column of vectors, each a fixed-size list of f32.
fn vector_field(dimensions: usize) -> Field {
    Field::new("embedding", DataType::FixedSizeList(element(), dimensions as i32), false)
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

/// Vectors of `dimensions`, row-major, for [`vector_field`].
///
/// # Panics
/// When `data` holds no whole number of them.
fn vectors(data: Vec<f32>, dimensions: usize) -> ArrayRef {
    let values: ArrayRef = Arc::new(Float32Array::from(data));
    Arc::new(FixedSizeListArray::new(element(), dimensions as i32, values, None))
}

/// The operating system's error where there is one below.
pub(crate) fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
