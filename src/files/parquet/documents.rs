//! Texts of a column.

use std::path::Path;

use arrow::array::Array;

use super::super::document::{Document, Documents};
use super::super::error::Error;
use super::reader::{builder, columns, in_row, missing, text_rows};
use super::strings::{Part, check_texts};

/// A document for each row: the text in `column`, and the id in column `id` where there is one. A
/// text that is longer than a document may be is refused.
pub(crate) fn documents(
    path: &Path,
    name: String,
    column: &str,
    id: &str,
) -> Result<Documents, Error> {
    let builder = builder(path, &name)?;
    let size = path.metadata().map_or(0, |meta| meta.len());
    let rows = builder.metadata().file_metadata().num_rows().max(0) as usize;
    let Some((_, field)) = builder.schema().column_with_name(column) else {
        return Err(missing(&name, column, builder.schema()));
    };
    check_texts(&name, field, rows)?;
    let bytes = size / rows.max(1) as u64;
    let names = [column, id];
    let rows = text_rows(&builder, &names);
    let reader = columns(builder, &name, &names, rows)?;
    let (column, id, mut first) = (column.to_owned(), id.to_owned(), 0);
    Ok(Box::new(reader.flat_map(move |batch| {
        let read = batch.and_then(|batch| {
            of_part(&Part { place: &name, first, batch: &batch }, &column, &id, bytes)
        });
        match read {
            Ok(documents) => {
                first += documents.len();
                documents.into_iter().map(Ok).collect()
            }
            Err(error) => vec![Err(error)],
        }
    })))
}

fn of_part(part: &Part<'_>, column: &str, id: &str, bytes: u64) -> Result<Vec<Document>, Error> {
    part.check_lengths(column)?;
    let Some(texts) = part.texts(column)? else {
        return Err(missing(part.place, column, part.batch.schema_ref()));
    };
    let ids = part.ids(id)?;
    let documents = texts.iter().enumerate().map(|(row, text)| {
        let text = text.ok_or_else(|| in_row(part.place, part.first + row, column, "is null"))?;
        let id = ids.as_ref().filter(|ids| !ids.is_null(row));
        let id = id.map(|ids| ids.value(row).to_owned());
        Ok(Document { id, text: text.to_owned(), mark: "", bytes })
    });
    documents.collect()
}
