//! Documents in: a text per line, JSON lines, Parquet, or whole files. Streaming, in bounded
//! memory.

use std::iter;
use std::path::{Path, PathBuf};

use super::document::Documents;
use super::error::Error;
use super::{jsonl, lines, parquet, source, text};

/// How a file that is neither JSON lines nor Parquet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// A text per line.
    Lines,
    /// One text.
    Whole,
}

/// What texts and their ids are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextNames {
    /// The field with the text in JSON lines; if given, every file but Parquet is read as such,
    /// otherwise those with their suffix, whose field is `text`.
    pub field: Option<String>,
    /// The column with the text in Parquet files.
    pub column: String,
    /// The field or column with the id, where it exists.
    pub id: String,
}

/// The documents of all files in order; `-` is standard input. Files are opened as they are
/// reached.
///
/// # Errors
/// When a file is missing, at once. What is wrong with one shows where it is reached.
pub fn read_documents(
    paths: Vec<PathBuf>,
    names: TextNames,
    plain: Plain,
) -> Result<Documents, Error> {
    for path in paths.iter().filter(|path| !source::is_stdin(path)) {
        source::open(path)?;
    }
    Ok(Box::new(paths.into_iter().flat_map(move |path| {
        let opened = open(&path, &names, plain);
        opened.unwrap_or_else(|error| Box::new(iter::once(Err(error))))
    })))
}

/// Whether a file's suffix is one of JSON lines.
#[must_use]
pub fn is_json_lines(path: &Path) -> bool {
    matches!(source::suffix(path).as_deref(), Some("jsonl" | "ndjson"))
}

fn open(path: &Path, names: &TextNames, plain: Plain) -> Result<Documents, Error> {
    let name = source::name(path);
    if source::suffix(path).as_deref() == Some("parquet") {
        return parquet::documents(path, name, &names.column, &names.id);
    }
    let reader = source::file_or_stdin(path)?;
    if names.field.is_some() || is_json_lines(path) {
        let field = names.field.as_deref().unwrap_or("text");
        return Ok(jsonl::documents(reader, name, field, &names.id));
    }
    Ok(match plain {
        Plain::Whole => Box::new(iter::once(text::whole_document(reader, name))),
        Plain::Lines => lines::line_documents(reader, name),
    })
}
