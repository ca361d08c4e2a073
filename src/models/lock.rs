//! What was seen first, to be held to ever after: the commit that a branch stood at, and the
//! SHA-256 of files that neither the registry nor the hub vouches for.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Error, HubError};
use super::folder::check_regular;
use super::repository::is_commit;

/// The contents of `chunkflow.lock`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    /// Branch or tag to commit.
    #[serde(default)]
    pub(super) revisions: BTreeMap<String, String>,
    /// Commit to file to SHA-256.
    #[serde(default)]
    pub(super) files: BTreeMap<String, BTreeMap<String, String>>,
}

impl Lock {
    /// Reads the lock; an absent one is empty.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        if path.exists() {
            check_regular(path)?;
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Malformed { path: path.to_owned(), problem: error.to_string() })
    }

    /// The commit that a branch or tag is locked to.
    pub(super) fn commit(&self, revision: &str) -> Option<&str> {
        self.revisions.get(revision).map(String::as_str).filter(|commit| is_commit(commit))
    }

    /// The digests of a commit.
    pub(super) fn digests(&self, commit: &str) -> BTreeMap<String, String> {
        self.files.get(commit).cloned().unwrap_or_default()
    }

    /// Adds to the lock on disk what it does not have, replacing it whole.
    pub(super) fn add(path: &Path, more: &Self) -> Result<(), Error> {
        let _held = hold(path.parent().unwrap_or(Path::new(".")));
        let mut lock = Self::read(path)?;
        for (revision, commit) in &more.revisions {
            lock.revisions.insert(revision.clone(), commit.clone());
        }
        for (commit, digests) in &more.files {
            let known = lock.files.entry(commit.clone()).or_default();
            for (file, digest) in digests {
                known.entry(file.clone()).or_insert_with(|| digest.clone());
            }
        }
        let text = serde_json::to_vec_pretty(&lock).map_err(io::Error::from);
        let written = text.and_then(|text| replace(path, &text));
        written.map_err(|source| HubError::Write { path: path.to_owned(), source }.into())
    }
}

/// Holds off other processes that would add to a lock in `folder`, until the handle is dropped. A
/// file system without such locks has none.
fn hold(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok().map(|()| folder)
}

/// Writes a file so that a reader sees the old contents or the new, never a part.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().permissions(shared()).tempfile_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// As any file that the user makes: the umask decides.
fn shared() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
