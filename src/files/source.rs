//! Where bytes come from: standard input, or a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::error::Error;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 1 << 16;

/// Bytes on their way in.
pub(super) type Reader = Box<dyn BufRead + Send>;

/// Whether `path` stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What `path` is called in errors.
pub(super) fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// What a file's name ends with, in lower case.
pub(super) fn suffix(path: &Path) -> Option<String> {
    path.extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase)
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })
}

/// Reads a file.
pub(super) fn file(path: &Path) -> Result<Reader, Error> {
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, open(path)?)))
}

/// Reads a file, or standard input where `path` is `-`.
pub(super) fn file_or_stdin(path: &Path) -> Result<Reader, Error> {
    if is_stdin(path) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())));
    }
    file(path)
}
