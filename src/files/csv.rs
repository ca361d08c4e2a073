//! Comma-separated values: a record a line, or several where a value holds line ends, under a line
//! of names.

use std::io::Cursor;
use std::iter;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::Error;
use super::text::read_text;

/// The records of a file in order, each with its line.
///
/// # Errors
/// When the file cannot be read or has no line of names. A record that is not as expected shows
/// where it is reached.
pub fn read_csv<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(usize, T), Error>> + use<T>, Error> {
    let mut reader = csv::Reader::from_reader(Cursor::new(read_text(path)?));
    let name = path.display().to_string();
    let malformed =
        move |line: usize, problem| Error::Malformed { place: format!("{name}:{line}"), problem };
    let names = reader.headers().map_err(|error| malformed(1, error.to_string()))?.clone();
    let mut record = csv::StringRecord::new();
    Ok(iter::from_fn(move || {
        let line = reader.position().line() as usize;
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(malformed(line, error.to_string()))),
        }
        let parsed = record.deserialize(Some(&names)).map(|value| (line, value));
        Some(parsed.map_err(|error| malformed(line, problem(&error))))
    }))
}

/// Without the library's own count of records and lines.
fn problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}
