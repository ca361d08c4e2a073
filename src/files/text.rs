//! Plain text: whole texts in, and records as people read them out.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::destination::Destination;
use super::document::Document;
use super::error::Error;
use super::lines::{MAX_DOCUMENT_BYTES, utf8};
use super::record::{Records, Writer};
use super::source::Reader;

/// The byte order mark that some programs put before UTF-8. It is no text.
pub(super) const MARK: &str = "\u{feff}";

/// `text` without the mark before it, and that mark, or nothing.
fn without_mark(mut text: String) -> (&'static str, String) {
    if !text.starts_with(MARK) {
        return ("", text);
    }
    text.drain(..MARK.len());
    (MARK, text)
}

/// All of `reader` as one document, whose id is its `name`.
pub(super) fn whole_document(mut reader: Reader, name: String) -> Result<Document, Error> {
    let mut bytes = Vec::new();
    let limited = (&mut reader).take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes);
    limited.map_err(|source| Error::Read { place: name.clone(), source })?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLong { place: name, limit: MAX_DOCUMENT_BYTES });
    }
    let count = bytes.len() as u64;
    let (mark, text) = without_mark(utf8(name.clone(), bytes)?);
    Ok(Document { id: Some(name), text, mark, bytes: count })
}

/// A file of any size as text, without a byte order mark.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    Ok(read_marked_text(path)?.1)
}

/// The same with the mark that stood before it, or nothing: positions in the file count it.
///
/// # Errors
/// As [`read_text`].
pub fn read_marked_text(path: &Path) -> Result<(&'static str, String), Error> {
    let bytes = fs::read(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    Ok(without_mark(utf8(path.display().to_string(), bytes)?))
}

/// A writer of records as they say themselves.
pub(super) fn open(destination: Destination) -> Box<dyn Writer> {
    Box::new(TextWriter { destination })
}

struct TextWriter {
    destination: Destination,
}

impl Writer for TextWriter {
    fn write(&mut self, records: &dyn Records) -> Result<(), Error> {
        let written = records.write_text(&mut self.destination);
        written.map_err(|source| self.destination.write_error(source))
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.destination.commit()
    }
}
