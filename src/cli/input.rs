//! Documents in: a text per line, JSON lines, Parquet, or whole files. Streaming, in bounded
//! memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

/// The longest line or document read, in bytes. The tokenizer holds some 60 bytes for each.
const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// What can be wrong with an input. `place` is a file with a line or row.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot open {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read {place}")]
    Read { place: String, source: io::Error },
    #[error("{place}: invalid UTF-8 at byte {byte}")]
    Utf8 { place: String, byte: usize },
    #[error("{place}: longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong { place: String },
    #[error("{place}:{column}: not a JSON object: {problem}")]
    Json { place: String, column: usize, problem: String },
    #[error("{place}: {problem}")]
    Field { place: String, problem: String },
    #[cfg(feature = "parquet")]
    #[error("{place}: not readable as Parquet")]
    Parquet { place: String, source: parquet::errors::ParquetError },
    #[cfg(feature = "parquet")]
    #[error("{place}: not readable as Parquet")]
    Arrow { place: String, source: arrow::error::ArrowError },
    #[cfg(not(feature = "parquet"))]
    #[error("{place}: Parquet is not in this build")]
    NoParquet { place: String },
}

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(super) struct InputArgs {
    /// Files to read; `-` or none is standard input.
    #[arg(value_name = "FILES", help_heading = "Arguments")]
    files: Vec<PathBuf>,
    /// Field with the text: reads JSON lines [default for .jsonl: text].
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Column with the text in Parquet files.
    #[arg(long, value_name = "NAME", default_value = "text")]
    column: String,
    /// Field or column with each text's id, carried along where it exists.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id: String,
}

/// How a file that is neither JSON lines nor Parquet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// A text per line.
    Lines,
    /// One text.
    Whole,
}

/// One text of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// Its id, or for whole files their path.
    pub(super) id: Option<String>,
    pub(super) text: String,
    /// Its share of the input's bytes, for progress.
    pub(super) bytes: u64,
}

pub(super) type Documents = Box<dyn Iterator<Item = Result<Document, Error>> + Send>;

impl InputArgs {
    /// One file, read as the command line would.
    pub(super) fn of_file(path: PathBuf, field: Option<String>, column: String) -> Self {
        Self { files: vec![path], field, column, id: "id".to_owned() }
    }

    /// One file whose texts and ids have these names, in JSON lines and in Parquet.
    pub(super) fn named(path: PathBuf, text: &str, id: &str) -> Self {
        let field = is_json_lines(&path).then(|| text.to_owned());
        Self { id: id.to_owned(), ..Self::of_file(path, field, text.to_owned()) }
    }

    /// The documents of all files in order. Files are opened as they are reached, but a missing
    /// one is an error at once.
    pub(super) fn documents(&self, plain: Plain) -> Result<Documents, Error> {
        let files = self.files();
        for path in files.iter().filter(|path| !is_stdin(path)) {
            File::open(path).map_err(|source| Error::Open { path: path.clone(), source })?;
        }
        let (field, column, id) = (self.field.clone(), self.column.clone(), self.id.clone());
        Ok(Box::new(files.into_iter().flat_map(move |path| {
            let opened = open(&path, plain, field.as_deref(), &column, &id);
            opened.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        })))
    }

    /// Bytes of all files; `None` when one has no length, as standard input.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        let lengths = self.files().into_iter().map(|path| {
            let meta = path.metadata().ok()?;
            meta.is_file().then_some(meta.len())
        });
        lengths.sum()
    }

    fn files(&self) -> Vec<PathBuf> {
        if self.files.is_empty() { vec![PathBuf::from("-")] } else { self.files.clone() }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn file(path: &Path) -> Result<Box<dyn BufRead + Send>, Error> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    Ok(Box::new(BufReader::with_capacity(1 << 16, File::open(path).map_err(open)?)))
}

/// The lines of a file as they are, whatever its suffix, without a byte order mark.
pub(super) fn plain_lines(
    path: &Path,
) -> Result<impl Iterator<Item = Result<String, Error>> + use<>, Error> {
    let lines = Lines { reader: file(path)?, name: path.display().to_string(), line: 0 };
    Ok(lines.enumerate().map(|(index, line)| {
        let (_, line) = line?;
        Ok(match line.strip_prefix('\u{feff}') {
            Some(rest) if index == 0 => rest.to_owned(),
            _ => line,
        })
    }))
}

/// What a file's name ends with, in lower case.
pub(super) fn suffix(path: &Path) -> Option<String> {
    path.extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase)
}

fn is_json_lines(path: &Path) -> bool {
    matches!(suffix(path).as_deref(), Some("jsonl" | "ndjson"))
}

fn open(
    path: &Path,
    plain: Plain,
    field: Option<&str>,
    column: &str,
    id: &str,
) -> Result<Documents, Error> {
    let name =
        if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    if suffix(path).as_deref() == Some("parquet") {
        return parquet_documents(path, name, column, id);
    }
    let reader = if is_stdin(path) {
        Box::new(BufReader::with_capacity(1 << 16, io::stdin()))
    } else {
        file(path)?
    };
    if field.is_some() || is_json_lines(path) {
        let (field, id) = (field.unwrap_or("text").to_owned(), id.to_owned());
        let lines = Lines { reader, name, line: 0 }.filter(|line| {
            // A blank line between objects is no object.
            line.as_ref().map_or(true, |(_, text)| !text.trim().is_empty())
        });
        return Ok(Box::new(lines.map(move |line| {
            let (place, line) = line?;
            parse_json(place, &line, &field, &id)
        })));
    }
    match plain {
        Plain::Whole => Ok(Box::new(std::iter::once(read_whole(reader, name)))),
        Plain::Lines => Ok(Box::new(Lines { reader, name, line: 0 }.map(|line| {
            let (_, text) = line?;
            let bytes = text.len() as u64 + 1;
            Ok(Document { id: None, text, bytes })
        }))),
    }
}

/// Lines with their place, without their ends (`\n` or `\r\n`).
struct Lines {
    reader: Box<dyn BufRead + Send>,
    name: String,
    line: u64,
}

impl Iterator for Lines {
    type Item = Result<(String, String), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.line += 1;
        let place = format!("{}:{}", self.name, self.line);
        let mut bytes = Vec::new();
        let mut limited = (&mut self.reader).take(MAX_DOCUMENT_BYTES as u64 + 1);
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(source) => return Some(Err(Error::Read { place, source })),
        }
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Some(Err(Error::TooLong { place }));
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        Some(utf8(place.clone(), bytes).map(|text| (place, text)))
    }
}

fn utf8(place: String, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|error| Error::Utf8 { place, byte: error.utf8_error().valid_up_to() })
}

fn read_whole(mut reader: Box<dyn BufRead + Send>, name: String) -> Result<Document, Error> {
    let mut bytes = Vec::new();
    let limited = (&mut reader).take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes);
    limited.map_err(|source| Error::Read { place: name.clone(), source })?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLong { place: name });
    }
    let count = bytes.len() as u64;
    Ok(Document { text: utf8(name.clone(), bytes)?, id: Some(name), bytes: count })
}

fn parse_json(place: String, line: &str, field: &str, id: &str) -> Result<Document, Error> {
    let parsed: Result<serde_json::Map<String, Value>, _> =
        serde_json::from_str(line.trim_start_matches('\u{feff}'));
    let mut object = match parsed {
        Ok(object) => object,
        Err(error) => {
            // The parser saw this line alone, so its line number would only mislead.
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
            return Err(Error::Json { place, column: error.column(), problem });
        }
    };
    let text = match object.remove(field) {
        Some(Value::String(text)) => text,
        Some(other) => {
            let problem = format!("field `{field}` is {}, expected a string", kind(&other));
            return Err(Error::Field { place, problem });
        }
        None => {
            let fields = object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let problem = format!("field `{field}` is missing, this object has: {fields}");
            return Err(Error::Field { place, problem });
        }
    };
    let id = match object.remove(id) {
        Some(Value::String(id)) => Some(id),
        Some(Value::Null) | None => None,
        Some(Value::Number(number)) if !is_exact(&number) => {
            let problem = format!("the number {number} is no exact id, expected a string");
            return Err(Error::Field { place, problem });
        }
        Some(other) => Some(other.to_string()),
    };
    Ok(Document { id, text, bytes: line.len() as u64 + 1 })
}

/// Whether no other whole number reads as the same: floats are too coarse from 2^53 on.
fn is_exact(number: &serde_json::Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|value| value.abs() < 2_f64.powi(53))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(feature = "parquet")]
use self::columns::parquet_documents;

#[cfg(not(feature = "parquet"))]
fn parquet_documents(_: &Path, place: String, _: &str, _: &str) -> Result<Documents, Error> {
    Err(Error::NoParquet { place })
}

#[cfg(feature = "parquet")]
mod columns {
    //! Parquet files, by record batches.

    use arrow::array::{Array, AsArray, StringArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ProjectionMask;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::{Document, Documents, Error, File, Path};

    /// Rows decoded at a time.
    const BATCH_ROWS: usize = 1_024;

    pub(super) fn parquet_documents(
        path: &Path,
        name: String,
        column: &str,
        id: &str,
    ) -> Result<Documents, Error> {
        let file =
            File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let size = file.metadata().map_or(0, |meta| meta.len());
        let fail = |source| Error::Parquet { place: name.clone(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(fail)?;
        let columns: Vec<&str> =
            builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
        if !columns.contains(&column) {
            let columns = columns.join(", ");
            let problem = format!("column `{column}` is missing, this file has: {columns}");
            return Err(Error::Field { place: name, problem });
        }
        let wanted = columns.iter().enumerate().filter(|(_, name)| [column, id].contains(name));
        let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let rows = builder.metadata().file_metadata().num_rows().max(1) as u64;
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        let reader = reader.map_err(fail)?;
        let (column, id, mut first) = (column.to_owned(), id.to_owned(), 0);
        Ok(Box::new(reader.flat_map(move |batch| {
            let read = match batch {
                Ok(batch) => documents(&name, &batch, &column, &id, first, size / rows),
                Err(source) => Err(Error::Arrow { place: format!("{name}, row {first}"), source }),
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

    fn documents(
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
                return Err(Error::Field { place, problem });
            }
            let id = ids.as_ref().filter(|ids| !ids.is_null(row));
            let id = id.map(|ids| ids.value(row).to_owned());
            Ok(Document { id, text: texts.value(row).to_owned(), bytes })
        });
        documents.collect()
    }

    /// A column as strings: any string type, and for ids whatever can be written as one.
    fn strings(name: &str, batch: &RecordBatch, column: &str) -> Result<StringArray, Error> {
        let place = || name.to_owned();
        let array = batch.column_by_name(column).ok_or_else(|| Error::Field {
            place: place(),
            problem: format!("column `{column}` is missing"),
        })?;
        let strings = cast(array, &DataType::Utf8)
            .map_err(|source| Error::Arrow { place: place(), source })?;
        Ok(strings.as_string::<i32>().clone())
    }
}
