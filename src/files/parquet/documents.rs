//! Texts of a column.

use std::path::Path;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use super::super::document::{Document, Documents};
use super::super::error::Error;
use super::reader::{builder, columns, unreadable};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1_024;

/// A document for each row: the text in `column`, and the id in column `id` where there is one.
pub(crate) fn documents(
    path: &Path,
    name: String,
    column: &str,
    id: &str,
) -> Result<Documents, Error> {
    let builder = builder(path, &name)?;
    let size = path.metadata().map_or(0, |meta| meta.len());
    let fields = builder.schema().fields();
    if fields.find(column).is_none() {
        let names = fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
        let problem = format!("column `{column}` is missing, this file has: {names}");
        return Err(Error::Malformed { place: name, problem });
    }
    let rows = builder.metadata().file_metadata().num_rows().max(1) as u64;
    let reader = columns(builder, &name, &[column, id], BATCH_ROWS)?;
    let (column, id, mut first) = (column.to_owned(), id.to_owned(), 0);
    Ok(Box::new(reader.flat_map(move |batch| {
        let read = match batch {
            Ok(batch) => of_batch(&name, &batch, &column, &id, first, size / rows),
            Err(source) => Err(unreadable(&format!("{name}, row {first}"), source)),
        };
        match read {
            Ok(documents) => {
                first += documents.len();
                documents.into_iter().map(Ok).collect()
            }
            Err(error) => vec![Err(error)],
        }
    })))
}

fn of_batch(
    name: &str,
    batch: &RecordBatch,
    column: &str,
    id: &str,
    first: usize,
    bytes: u64,
) -> Result<Vec<Document>, Error> {
    let texts = strings(name, batch, column)?;
    let ids = batch.column_by_name(id).map(|_| strings(name, batch, id)).transpose()?;
    let documents = (0..batch.num_rows()).map(|row| {
        if texts.is_null(row) {
            let place = format!("{name}, row {}", first + row);
            let null = batch.column_by_name(column).is_some_and(|array| array.is_null(row));
            let problem = if null { "null" } else { "not UTF-8" };
            let problem = format!("column `{column}` is {problem}");
            return Err(Error::Malformed { place, problem });
        }
        let id = ids.as_ref().filter(|ids| !ids.is_null(row));
        let id = id.map(|ids| ids.value(row).to_owned());
        Ok(Document { id, text: texts.value(row).to_owned(), bytes })
    });
    documents.collect()
}

/// A column as strings: any string type, and for ids whatever can be written as one.
fn strings(name: &str, batch: &RecordBatch, column: &str) -> Result<StringArray, Error> {
    let array = batch.column_by_name(column).ok_or_else(|| Error::Malformed {
        place: name.to_owned(),
        problem: format!("column `{column}` is missing"),
    })?;
    let strings = cast(array, &DataType::Utf8).map_err(|source| unreadable(name, source))?;
    Ok(strings.as_string::<i32>().clone())
}
