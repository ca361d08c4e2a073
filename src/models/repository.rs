//! Names that become parts of URLs and paths: nothing of them may lead out of its folder.

use std::fmt;
use std::path::{Component, Path};

use super::error::HubError;

/// Longest owner, name or segment of a revision, in bytes, as `huggingface_hub` has it.
const MAX_NAME_BYTES: usize = 96;
const MAX_REVISION_BYTES: usize = 255;
/// What a repository's files are taken from where nothing else is said.
pub(super) const MAIN: &str = "main";

/// A model on the hub, at a branch, tag or commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    id: String,
    revision: String,
}

impl Repository {
    /// `id` is `owner/name`; `revision` a branch, a tag or a commit, `main` where `None`.
    ///
    /// # Errors
    /// When either has another form.
    pub fn new(id: &str, revision: Option<&str>) -> Result<Self, HubError> {
        let revision = revision.unwrap_or(MAIN);
        check_id(id)?;
        check_revision(revision)?;
        Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
    }

    /// `owner/name`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A branch, a tag or a commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.id, self.revision)
    }
}

/// Whether `text` has the form `owner/name`.
pub(super) fn is_id(text: &str) -> bool {
    check_id(text).is_ok()
}

/// Whether `text` is a commit: 40 hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    is_hexadecimal(text, 40)
}

pub(super) fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

fn check_id(id: &str) -> Result<(), HubError> {
    let refuse = |problem: &str| Err(name_error("model", id, problem));
    let Some((owner, name)) = id.split_once('/') else {
        return refuse("has no owner: on the hub, models are called owner/name");
    };
    for part in [owner, name] {
        if part.is_empty() || part.len() > MAX_NAME_BYTES {
            return refuse("needs 1 to 96 characters before and after its /");
        }
        if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return refuse("may have letters, digits, `-`, `_` and `.` around one /");
        }
        if part.starts_with(['.', '-']) || part.ends_with(['.', '-']) || part.contains("..") {
            return refuse("has a `.` or `-` where no hub allows one");
        }
        if part.contains("--") {
            return refuse("has two `-` in a row");
        }
    }
    Ok(())
}

fn check_revision(revision: &str) -> Result<(), HubError> {
    let refuse = |problem: &str| Err(name_error("revision", revision, problem));
    if revision.is_empty() || revision.len() > MAX_REVISION_BYTES {
        return refuse("needs 1 to 255 characters");
    }
    if !revision.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) {
        return refuse("may have letters, digits, `-`, `_`, `.` and `/`");
    }
    if revision.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return refuse("has an empty part or one that starts with `.`");
    }
    Ok(())
}

/// Refuses a file name that is not plainly below its folder.
pub(super) fn check_file(file: &str) -> Result<(), HubError> {
    let normal = |component| matches!(component, Component::Normal(_));
    let forbidden = |c: char| c.is_control() || matches!(c, '\\' | '%' | ':');
    let is_plain = !file.is_empty()
        && file.len() <= MAX_REVISION_BYTES
        && !file.contains(forbidden)
        && !file.split('/').any(|part| part.is_empty() || part == "." || part == "..")
        && Path::new(file).components().all(normal);
    if is_plain { Ok(()) } else { Err(name_error("file", file, "does not stand below its folder")) }
}

fn name_error(what: &'static str, value: &str, problem: &str) -> HubError {
    let value = value.chars().take(MAX_REVISION_BYTES).collect();
    HubError::Name { what, value, problem: problem.to_owned() }
}
