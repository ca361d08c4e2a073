//! Columns as strings: texts of any string or binary type, ids of whatever can be written.
//!
//! Invariant: no value that is there is lost, it is given or refused with its row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::DataType::{
    Binary, BinaryView, Dictionary, Float16, Float32, Float64, Int64, LargeBinary, LargeUtf8, Null,
    Timestamp, Utf8, Utf8View,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::super::error::Error;
use super::super::lines::MAX_DOCUMENT_BYTES;
use super::reader::{in_row, unreadable};

/// How Arrow marks a column of UUIDs, whose values are 16 bytes.
const UUID: &str = "arrow.uuid";
/// Hexadecimal digits of a UUID's parts.
const UUID_DIGITS: [usize; 5] = [8, 4, 4, 4, 12];

/// Rows of a file that were read together.
pub(super) struct Part<'a> {
    /// What the file is called in errors.
    pub(super) place: &'a str,
    /// The row of the file that is the first of `batch`.
    pub(super) first: usize,
    pub(super) batch: &'a RecordBatch,
}

/// Refuses a column of a file with so many rows unless it holds texts: strings or binary.
pub(super) fn check_texts(place: &str, field: &Field, rows: usize) -> Result<(), Error> {
    let (column, kind) = (field.name(), field.data_type());
    let problem = match kind {
        kind if is_text(kind) => return Ok(()),
        Null => "has nulls alone, expected strings".to_owned(),
        kind => format!("is {kind}, expected a string"),
    };
    if rows > 0 {
        return Err(in_row(place, 0, column, &problem));
    }
    Err(Error::Malformed {
        place: place.to_owned(),
        problem: format!("column `{column}` {problem}"),
    })
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => true,
        Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

impl Part<'_> {
    /// Refuses a text of a column that [`check_texts`] lets pass where it is longer than a document
    /// may be, before it is copied.
    pub(super) fn check_lengths(&self, column: &str) -> Result<(), Error> {
        let Some(texts) = self.batch.column_by_name(column) else { return Ok(()) };
        let lengths = length(texts).and_then(|lengths| cast(&lengths, &Int64));
        let lengths = lengths.map_err(|error| unreadable(self.place, error))?;
        let is_long = |length: Option<i64>| length.unwrap_or(0) > MAX_DOCUMENT_BYTES as i64;
        let Some(row) = lengths.as_primitive::<Int64Type>().iter().position(is_long) else {
            return Ok(());
        };
        let place = format!("{}, row {}", self.place, self.first + row);
        Err(Error::TooLong { place, limit: MAX_DOCUMENT_BYTES })
    }

    /// The texts of a column that [`check_texts`] lets pass, where the file has it.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub(super) fn texts(&self, column: &str) -> Result<Option<StringArray>, Error> {
        let array = self.batch.column_by_name(column);
        array.map(|array| self.strings(column, array)).transpose()
    }

    /// The ids of a column of any type, where the file has it.
    ///
    /// # Errors
    /// When one is not UTF-8, has no form as text, or is no exact number.
    pub(super) fn ids(&self, column: &str) -> Result<Option<StringArray>, Error> {
        let Some((index, field)) = self.batch.schema_ref().column_with_name(column) else {
            return Ok(None);
        };
        let array = self.batch.column(index);
        let ids = match array.data_type() {
            kind if is_text(kind) => self.strings(column, array)?,
            Float16 | Float32 | Float64 => self.numbers(column, array)?,
            Timestamp(unit, Some(_)) => {
                // Zones have no names here: the same instants in UTC.
                let utc = Timestamp(*unit, Some(Arc::from("+00:00")));
                let instants =
                    cast(array, &utc).map_err(|error| self.unwritten(0, column, &error))?;
                self.written(column, &instants)?
            }
            _ => self.written(column, array)?,
        };
        if field.extension_type_name() == Some(UUID) {
            return Ok(Some(ids.iter().map(|id| id.map(uuid)).collect()));
        }
        Ok(Some(ids))
    }

    fn strings(&self, column: &str, array: &ArrayRef) -> Result<StringArray, Error> {
        let strings = cast(array, &Utf8).map_err(|error| unreadable(self.place, error))?;
        let nulls = array.logical_nulls();
        let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        // The cast makes nulls of bytes that are no text.
        if let Some(row) = (0..strings.len()).find(|&row| strings.is_null(row) && !is_null(row)) {
            return Err(in_row(self.place, self.first + row, column, "is not UTF-8"));
        }
        Ok(strings.as_string::<i32>().clone())
    }

    /// Refuses what a neighbouring whole number reads as, too.
    fn numbers(&self, column: &str, array: &ArrayRef) -> Result<StringArray, Error> {
        let whole = match array.data_type() {
            Float16 => 2_f64.powi(11),
            Float32 => 2_f64.powi(24),
            _ => 2_f64.powi(53),
        };
        // Arrow writes a half of 1 as "1", and any other float of 1 as "1.0".
        let single = cast(array, &Float32).map_err(|error| unreadable(self.place, error))?;
        let half = *array.data_type() == Float16;
        let written = self.written(column, if half { &single } else { array })?;
        let floats = cast(array, &Float64).map_err(|error| unreadable(self.place, error))?;
        let mut values = floats.as_primitive::<Float64Type>().iter().enumerate();
        let coarse = |value: f64| value.is_nan() || value.abs() >= whole;
        match values.find(|(_, value)| value.is_some_and(coarse)) {
            Some((row, _)) => {
                let problem = format!("holds {}, no exact id", written.value(row));
                Err(in_row(self.place, self.first + row, column, &problem))
            }
            None => Ok(written),
        }
    }

    /// Values as Arrow writes them.
    fn written(&self, column: &str, array: &ArrayRef) -> Result<StringArray, Error> {
        let options = FormatOptions::default().with_display_error(false);
        let formatter = ArrayFormatter::try_new(array, &options)
            .map_err(|error| self.unwritten(0, column, &error))?;
        let nulls = array.logical_nulls();
        let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let written = (0..array.len()).map(|row| {
            if is_null(row) {
                return Ok(None);
            }
            let written = formatter.value(row).try_to_string();
            written.map(Some).map_err(|error| self.unwritten(row, column, &error))
        });
        written.collect()
    }

    fn unwritten(&self, row: usize, column: &str, error: &ArrowError) -> Error {
        let problem = format!("has no form as text: {error}");
        in_row(self.place, self.first + row, column, &problem)
    }
}

/// Hexadecimal digits with a hyphen between the parts.
fn uuid(digits: &str) -> String {
    let mut rest = digits;
    let parts = UUID_DIGITS.map(|length| {
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        part
    });
    parts.join("-")
}
