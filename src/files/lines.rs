//! Lines of text, in bounded memory: none is longer than a document may be, and a byte order mark
//! is part of none.

use std::io::{BufRead, Read};
use std::path::Path;

use super::document::{Document, Documents};
use super::error::Error;
use super::source::{self, Reader};
use super::text::MARK;

/// The longest line or document read, in bytes. The tokenizer holds some 60 bytes for each.
pub(super) const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Lines with their place, without their ends (`\n` or `\r\n`).
pub(super) struct Lines {
    reader: Reader,
    name: String,
    line: u64,
}

impl Lines {
    /// The lines of `reader`, which is called `name` in errors.
    pub(super) fn new(reader: Reader, name: String) -> Self {
        Self { reader, name, line: 0 }
    }
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
            return Some(Err(Error::TooLong { place, limit: MAX_DOCUMENT_BYTES }));
        }
        if self.line == 1 && bytes.starts_with(MARK.as_bytes()) {
            bytes.drain(..MARK.len());
            if bytes.is_empty() {
                return None;
            }
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

/// A document for each line.
pub(super) fn line_documents(reader: Reader, name: String) -> Documents {
    Box::new(Lines::new(reader, name).map(|line| {
        let (_, text) = line?;
        let bytes = text.len() as u64 + 1;
        Ok(Document { id: None, text, mark: "", bytes })
    }))
}

/// The lines of a file as they are, whatever its suffix.
pub(super) fn plain_lines(
    path: &Path,
) -> Result<impl Iterator<Item = Result<String, Error>> + use<>, Error> {
    let lines = Lines::new(Box::new(source::file(path)?), path.display().to_string());
    Ok(lines.map(|line| Ok(line?.1)))
}

/// `bytes` as text.
pub(super) fn utf8(place: String, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|error| Error::Utf8 { place, byte: error.utf8_error().valid_up_to() })
}
