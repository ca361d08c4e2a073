//! Data sets as they stand on disk. Every problem names its file and line.

mod beir;
mod chroma;
mod gold;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::Error;

pub use beir::{JudgedCorpus, JudgedQuery, read_beir};
pub use chroma::{ExcerptCorpus, ExcerptQuestion, read_chroma};
pub use gold::{GoldDocument, read_gold, read_predictions};

/// A document of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusDocument {
    /// As in the data set.
    pub id: String,
    /// All of it.
    pub text: String,
}

/// A data set for retrieval.
#[derive(Debug, Clone, PartialEq)]
pub enum RetrievalDataset {
    /// Documents, and queries for which some are judged to be relevant.
    Judged(JudgedCorpus),
    /// Documents, and questions that excerpts of them answer.
    Excerpts(ExcerptCorpus),
}

/// Reads the folder `path`: in Chroma's layout where it has a folder `corpora`, else in BEIR's.
///
/// # Errors
/// When a file is missing or is not what it should be.
pub fn read_retrieval(path: &Path) -> Result<RetrievalDataset, Error> {
    if path.join("corpora").is_dir() {
        return read_chroma(path).map(RetrievalDataset::Excerpts);
    }
    read_beir(path).map(RetrievalDataset::Judged)
}

/// A line of a file.
struct Line<'a> {
    place: String,
    text: &'a str,
}

impl Line<'_> {
    /// The line as JSON.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.text).map_err(|error| {
            // The parser saw this line alone, so its line number would only mislead.
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default();
            self.problem(format!("not as expected at column {}: {problem}", error.column()))
        })
    }

    fn problem(&self, problem: impl Into<String>) -> Error {
        Error::Data { place: self.place.clone(), problem: problem.into() }
    }
}

/// The lines of `text`, which `path` holds, that are not blank.
fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(index, text)| Line { place: place(path, index + 1), text })
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

/// A file as text.
pub(super) fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        let problem = format!("invalid UTF-8 at byte {byte}");
        Error::Data { place: path.display().to_string(), problem }
    })
}

/// The files of `folder` whose name `wanted` holds for, sorted by name.
fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let open = |source| Error::Open { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(open)? {
        let path = entry.map_err(|source| Error::Read { path: folder.to_owned(), source })?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && wanted(&name) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
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
