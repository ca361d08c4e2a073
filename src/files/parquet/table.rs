//! Rows of a table, of columns known by their names.

use std::path::Path;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::Float64Type;
use arrow::record_batch::RecordBatch;

use super::super::error::Error;
use super::super::record::{Field, Kind, Value};
use super::kind::data_type;
use super::reader::{builder, columns};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1_024;

/// Shows `visit` the values of `fields` of each row in order, which are texts and f64. Other columns
/// are ignored.
///
/// # Errors
/// When the file cannot be read, or lacks a column of a field's name and kind without nulls.
pub fn read_table(
    path: &Path,
    fields: &[Field],
    visit: &mut dyn FnMut(&[Value<'_>]),
) -> Result<(), Error> {
    let place = path.display().to_string();
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    for batch in columns(builder(path, &place)?, &place, &names, BATCH_ROWS)? {
        let batch = batch?;
        let found = fields.iter().map(|field| column(&batch, field));
        let found: Vec<Column<'_>> = found
            .collect::<Result<_, String>>()
            .map_err(|problem| Error::Malformed { place: place.clone(), problem })?;
        let mut values = Vec::new();
        for row in 0..batch.num_rows() {
            values.clear();
            values.extend(found.iter().map(|column| column.value(row)));
            visit(&values);
        }
    }
    Ok(())
}

/// A column of a batch.
enum Column<'a> {
    Text(&'a StringArray),
    Double(&'a [f64]),
}

impl<'a> Column<'a> {
    fn value(&self, row: usize) -> Value<'a> {
        match self {
            Self::Text(texts) => Value::Text(texts.value(row)),
            Self::Double(values) => Value::Double(values[row]),
        }
    }
}

/// The column of `field`, or what is wrong with it.
fn column<'a>(batch: &'a RecordBatch, field: &Field) -> Result<Column<'a>, String> {
    let name = field.name;
    let found = batch.column_by_name(name).filter(|column| column.null_count() == 0);
    let column = match field.kind {
        Kind::Text => found.and_then(|column| column.as_string_opt::<i32>()).map(Column::Text),
        Kind::Double => found
            .and_then(|column| column.as_primitive_opt::<Float64Type>())
            .map(|column| Column::Double(column.values())),
        _ => None,
    };
    column.ok_or_else(|| {
        let wanted = data_type(field.kind).map(|kind| kind.to_string()).unwrap_or_default();
        format!("no column `{name}` of {wanted} without nulls")
    })
}
