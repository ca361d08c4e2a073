//! Opening of Parquet files, and reading of some of their columns.

use std::fs::File;
use std::path::Path;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ColumnChunkMetaData;

use super::super::error::Error;
use super::super::source;
use crate::guard::guarded;

/// Bytes of texts that are decoded at a time, where all are of about the same length.
const BATCH_BYTES: u64 = 64 << 20;
/// Rows with texts that are decoded at a time at most: of the longest that are taken they have 256
/// MiB, an eighth of what an array of texts can have.
const MAX_TEXT_ROWS: u64 = 16;

/// Opens a file, which is called `place` in errors.
pub(super) fn builder(
    path: &Path,
    place: &str,
) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = source::open(path)?;
    let Ok(builder) = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file)) else {
        let problem = "has a footer that describes no table".to_owned();
        return Err(Error::Malformed { place: place.to_owned(), problem });
    };
    builder.map_err(|source| unreadable(place, source))
}

/// How many rows of the columns of these names, among them one of texts, are decoded at a time. What a
/// footer says is the mean of a row group: some texts may be longer, and one that many rows have may
/// be counted once.
pub(super) fn text_rows(builder: &ParquetRecordBatchReaderBuilder<File>, names: &[&str]) -> usize {
    let is_wanted = |column: &&ColumnChunkMetaData| {
        let root = column.column_path().parts().first();
        root.is_some_and(|root| names.contains(&root.as_str()))
    };
    let bytes_of = |column: &ColumnChunkMetaData| {
        let decoded = column.unencoded_byte_array_data_bytes().unwrap_or(0);
        u64::try_from(decoded.max(column.uncompressed_size())).unwrap_or(0)
    };
    let row_bytes = builder.metadata().row_groups().iter().map(|group| {
        let columns = group.columns().iter().filter(is_wanted);
        let bytes = columns.map(bytes_of).fold(0, u64::saturating_add);
        bytes / u64::try_from(group.num_rows()).unwrap_or(0).max(1)
    });
    (BATCH_BYTES / row_bytes.max().unwrap_or(0).max(1)).clamp(1, MAX_TEXT_ROWS) as usize
}

/// Reads the columns of these names, where the file has them, so many `rows` at a time.
pub(super) fn columns(
    builder: ParquetRecordBatchReaderBuilder<File>,
    place: &str,
    names: &[&str],
    rows: usize,
) -> Result<Batches, Error> {
    let total = builder.metadata().file_metadata().num_rows().max(0) as usize;
    let fields = builder.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| names.contains(&field.name().as_str()));
    let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(rows).build();
    let reader = reader.map_err(|source| unreadable(place, source))?;
    Ok(Batches { reader: Some(reader), place: place.to_owned(), read: 0, total })
}

/// Rows of a file in order, as many as its footer says, or an error last.
///
/// A page's checksum is verified, but does not cover the page's header, where one bit can make the
/// decoder panic or pass over the page.
pub(super) struct Batches {
    /// `None` after the last.
    reader: Option<ParquetRecordBatchReader>,
    place: String,
    /// Rows so far.
    read: usize,
    total: usize,
}

impl Batches {
    fn ended(&mut self, error: Option<Error>) -> Option<Result<RecordBatch, Error>> {
        self.reader = None;
        error.map(Err)
    }

    fn damaged(&self, problem: String) -> Error {
        let place = format!("{}, row {}", self.place, self.read);
        Error::Malformed { place, problem }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let error = match guarded(|| reader.next()) {
            Ok(Some(Ok(batch))) => {
                self.read += batch.num_rows();
                return Some(Ok(batch));
            }
            Ok(Some(Err(source))) => {
                Some(unreadable(&format!("{}, row {}", self.place, self.read), source))
            }
            Ok(None) if self.read == self.total => None,
            Ok(None) => {
                let problem = format!("is missing, the file's footer says {} rows", self.total);
                Some(self.damaged(problem))
            }
            Err(_) => Some(self.damaged("has a page that its header does not describe".to_owned())),
        };
        self.ended(error)
    }
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
