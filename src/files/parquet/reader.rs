//! Opening of Parquet files, and reading of some of their columns.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::super::error::Error;
use super::super::source;

/// Opens a file, which is called `place` in errors.
pub(super) fn builder(
    path: &Path,
    place: &str,
) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(source::open(path)?);
    builder.map_err(|source| unreadable(place, source))
}

/// Reads the columns of these names, where the file has them, so many `rows` at a time.
pub(super) fn columns(
    builder: ParquetRecordBatchReaderBuilder<File>,
    place: &str,
    names: &[&str],
    rows: usize,
) -> Result<ParquetRecordBatchReader, Error> {
    let fields = builder.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| names.contains(&field.name().as_str()));
    let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(rows).build();
    reader.map_err(|source| unreadable(place, source))
}

/// A file without a column.
pub(super) fn missing(place: &str, column: &str, schema: &Schema) -> Error {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let names = names.join(", ");
    let problem = format!("column `{column}` is missing, this file has: {names}");
    Error::Malformed { place: place.to_owned(), problem }
}

/// What is wrong with the value of a column in a row of a file.
pub(super) fn in_row(place: &str, row: usize, column: &str, problem: &str) -> Error {
    let problem = format!("column `{column}` {problem}");
    Error::Malformed { place: format!("{place}, row {row}"), problem }
}

/// What Parquet or Arrow says of a file or a place in it.
pub(super) fn unreadable(
    place: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Parquet { place: place.to_owned(), source: Box::new(source) }
}
