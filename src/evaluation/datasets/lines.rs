//! Lines of a file, each with its place.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::evaluation::error::Error;

/// A line of a file.
pub(super) struct Line<'a> {
    pub(super) place: String,
    pub(super) text: &'a str,
}

impl Line<'_> {
    /// The line as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.text).map_err(|error| {
            // The parser saw this line alone, so its line number would only mislead.
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default();
            self.problem(format!("not as expected at column {}: {problem}", error.column()))
        })
    }

    pub(super) fn problem(&self, problem: impl Into<String>) -> Error {
        Error::Data { place: self.place.clone(), problem: problem.into() }
    }
}

/// The lines of `text`, which `path` holds, that are not blank.
pub(super) fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(index, text)| Line { place: place(path, index + 1), text })
}

/// A line of `path`, by its number from 1.
pub(super) fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}
