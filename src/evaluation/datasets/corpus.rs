//! The documents of a corpus, and its files.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::evaluation::error::Error;
use crate::files;

/// A document of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusDocument {
    /// As in the data set.
    pub id: String,
    /// All of it.
    pub text: String,
}

/// The files of `folder` whose name `wanted` holds for, sorted by name.
pub(super) fn list_files(
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, Error> {
    let open = |source| files::Error::Open { path: folder.to_owned(), source };
    let read = |source| files::Error::Read { place: folder.display().to_string(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(open)? {
        let path = entry.map_err(read)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && wanted(&name) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Refuses an id that an item before this one has: results are joined by them.
///
/// # Errors
/// When `id` is among those `seen`; the error names it and `place`.
pub(crate) fn check_new(seen: &mut HashSet<String>, id: &str, place: &str) -> Result<(), Error> {
    if seen.insert(id.to_owned()) {
        return Ok(());
    }
    Err(Error::Data { place: place.to_owned(), problem: format!("id `{id}` stands twice") })
}
