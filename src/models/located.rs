//! A model that is on this machine: its files, and what they must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cache::{self, CachedRepository};
use super::error::Error;
use super::folder::{Folder, Glance};
use super::layout::{Files, in_directory};
use super::lock::Lock;
use super::registry::ModelSpec;
use super::repository::Repository;

/// Under what the lock of a plain folder keeps its digests: it has no commit.
const NO_COMMIT: &str = "folder";

/// Folders within folders of a model that are looked into.
const MAX_DEPTH: usize = 4;

/// Where a model's files stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A folder that the user named.
    Folder,
    /// Below the models folder, as `owner/name`.
    Models,
    /// A snapshot in the cache of Hugging Face's libraries.
    Cache,
}

/// A model that is on this machine.
#[derive(Debug, Clone)]
pub struct Located {
    pub(crate) name: String,
    pub(crate) spec: Option<ModelSpec>,
    place: Place,
    path: PathBuf,
    sha256: BTreeMap<String, String>,
    /// The lock file, and the commit in it, where what is seen first is remembered.
    lock: Option<(PathBuf, String)>,
    /// Folders of which the files must stand in one, links followed; none where they may stand
    /// anywhere.
    boundaries: Vec<PathBuf>,
    /// Whether it is another revision than the one that the registry names.
    pub(crate) stands_in: bool,
}

/// What became of a file's verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The digest is the expected one.
    Matches,
    /// There was none to expect; from now on there is.
    Recorded,
    /// There is none to expect, and nowhere to record this one.
    Unknown,
    /// The file is not there, though its digest is known or the model needs it.
    Missing,
    /// The digest is another one.
    Differs {
        /// As recorded or published.
        expected: String,
        /// As found.
        actual: String,
    },
}

impl Located {
    /// A folder that the user named, held to the lock that lies in it. Where there is none, none is
    /// begun.
    pub(super) fn in_folder(path: &Path) -> Result<Self, Error> {
        let name = path.canonicalize().ok();
        let name = name.as_deref().and_then(Path::file_name).unwrap_or(path.as_os_str());
        let lock_file = cache::lock_file_in(path);
        let sha256 = Lock::read(&lock_file)?.digests(NO_COMMIT);
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            spec: None,
            place: Place::Folder,
            path: path.to_owned(),
            sha256,
            lock: lock_file.exists().then(|| (lock_file, NO_COMMIT.to_owned())),
            boundaries: Vec::new(),
            stands_in: false,
        })
    }

    pub(super) fn in_models(
        repository: &Repository,
        spec: Option<ModelSpec>,
        path: PathBuf,
    ) -> Result<Self, Error> {
        let lock_file = cache::lock_file_in(&path);
        let locked = Lock::read(&lock_file)?.digests(NO_COMMIT);
        Ok(Self {
            name: display_name(repository, spec.as_ref()),
            place: Place::Models,
            sha256: published(spec.as_ref(), locked),
            spec,
            path,
            lock: Some((lock_file, NO_COMMIT.to_owned())),
            boundaries: Vec::new(),
            stands_in: false,
        })
    }

    pub(super) fn in_cache(
        repository: &Repository,
        spec: Option<ModelSpec>,
        cached: &CachedRepository,
        lock: &Lock,
        commit: &str,
    ) -> Self {
        let locked = lock.digests(commit);
        let pinned = spec.as_ref().filter(|spec| spec.is_pinned_at(repository.revision()));
        Self {
            name: display_name(repository, spec.as_ref()),
            place: Place::Cache,
            sha256: published(pinned, locked),
            spec,
            path: cached.snapshot(commit),
            lock: Some((cached.lock_file(), commit.to_owned())),
            boundaries: cached.boundaries(),
            stands_in: false,
        }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// The files, refused where one is gone that was published or seen before: without it the
    /// model would run and give other vectors.
    pub(crate) fn folder(&self) -> Result<Folder, Error> {
        if let Some(file) = self.gone().next() {
            let problem = "is gone, though its digest is known".to_owned();
            return Err(Error::Malformed { path: self.path.join(file), problem });
        }
        Ok(self.open())
    }

    /// Files whose digests are known, and that are not there.
    fn gone(&self) -> impl Iterator<Item = &String> {
        self.sha256.keys().filter(|file| !self.path.join(file).exists())
    }

    fn open(&self) -> Folder {
        let folder = Folder::new(self.path.clone(), self.sha256.clone()).within(&self.boundaries);
        if self.lock.is_some() { folder.recording() } else { folder }
    }

    /// Whether every file that the model needs may be read, as far as a look tells.
    pub(super) fn is_readable(&self) -> bool {
        let folder = self.open();
        self.gone().next().is_none()
            && Glance(&self.path).needed().iter().all(|file| folder.is_readable(file))
    }

    /// Remembers the digests of files that were seen for the first time. A place that cannot be
    /// written, such as a mounted cache, keeps none.
    pub(crate) fn remember(&self, seen: BTreeMap<String, String>) -> bool {
        let Some((path, commit)) = self.lock.as_ref().filter(|_| !seen.is_empty()) else {
            return false;
        };
        let files = BTreeMap::from([(commit.clone(), seen)]);
        match Lock::add(path, &Lock { files, ..Lock::default() }) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "digests are not recorded");
                false
            }
        }
    }

    /// Hashes every file that the model needs or whose digest is known, and compares it with what
    /// was published, or seen before.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn verify(&self) -> Result<Vec<(String, Verdict)>, Error> {
        let folder = self.open();
        let files = Glance(&self.path);
        let mut needed: BTreeSet<String> = self.sha256.keys().cloned().collect();
        needed.extend(files.needed());
        let (present, absent): (Vec<_>, Vec<_>) = needed.into_iter().partition(|f| files.has(f));
        let mut verdicts: Vec<(String, Verdict)> =
            absent.into_iter().map(|file| (file, Verdict::Missing)).collect();
        for file in present {
            let verdict = match folder.map(&file).and_then(|map| folder.verify_map(&file, &map)) {
                Ok(()) if self.lock.is_none() => Verdict::Unknown,
                Ok(()) => Verdict::Matches,
                Err(Error::Digest { expected, actual, .. }) => {
                    Verdict::Differs { expected, actual }
                }
                Err(error) => return Err(error),
            };
            verdicts.push((file, verdict));
        }
        let seen = folder.seen();
        let recorded =
            if self.remember(seen.clone()) { Verdict::Recorded } else { Verdict::Unknown };
        for (file, verdict) in &mut verdicts {
            if seen.contains_key(file) {
                *verdict = recorded.clone();
            }
        }
        Ok(verdicts)
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        let mut files = Vec::new();
        collect(&self.path, "", &mut files);
        let sizes = files.iter().filter_map(|file| fs::metadata(self.path.join(file)).ok());
        sizes.map(|data| data.len()).sum()
    }
}

/// Files of a folder and of the folders of modules in it.
fn collect(root: &Path, below: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || name == "chunkflow.lock" {
            continue;
        }
        let file = in_directory(below, &name);
        let path = root.join(&file);
        if path.is_dir() && below.matches('/').count() < MAX_DEPTH {
            collect(root, &file, files);
        } else if path.is_file() {
            files.push(file);
        }
    }
}

fn published(
    spec: Option<&ModelSpec>,
    locked: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut sha256 = locked;
    sha256.extend(spec.into_iter().flat_map(|spec| spec.sha256.clone()));
    sha256
}

fn display_name(repository: &Repository, spec: Option<&ModelSpec>) -> String {
    spec.map_or_else(|| repository.id().to_owned(), |spec| spec.name.clone())
}
