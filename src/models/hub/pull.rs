//! Pulling: the files that a model needs, from the hub into the cache, verified.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::blob::{Blob, Listed, Progress, create_folder_of, write_error};
use super::client::{Client, unavailable};
use crate::models::cache::CachedRepository;
use crate::models::error::{Error, HubError};
use crate::models::layout::{Files, Layout, files_needed, is_pickle};
use crate::models::lock::{Lock, replace};
use crate::models::options::{HubOptions, Pulled};
use crate::models::repository::{Repository, check_file, is_commit};
use crate::models::store::Store;

/// A hub.
pub struct Hub {
    client: Option<Client>,
}

/// What the hub says of a repository.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Listed>,
}

impl Hub {
    /// A client of the hub; nothing is asked of it yet.
    ///
    /// # Errors
    /// When an option cannot be used.
    pub fn new(options: &HubOptions) -> Result<Self, Error> {
        let client = (!options.offline).then(|| Client::new(options)).transpose()?;
        Ok(Self { client })
    }

    /// Brings the files of `model` that this program needs into the cache: config, tokenizer,
    /// modules and weights, at the commit that the cache is locked to, or where there is none or
    /// `update` is given at the one that its revision stands at now. `progress` is called with a
    /// file's name, the bytes of it that are here, and its size.
    ///
    /// A file gets its name only after its digest matched; the revision only after all files are
    /// there. What an interrupted pull leaves is gone on with.
    ///
    /// # Errors
    /// When `model` is a folder or unknown, offline, when the hub fails or refuses, when a file
    /// is not what was published, and when the cache cannot be written.
    pub fn pull(
        &self,
        store: &Store,
        model: &str,
        revision: Option<&str>,
        update: bool,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Pulled, Error> {
        let repository = store.repository(model, revision)?.ok_or_else(|| HubError::Name {
            what: "model",
            value: model.to_owned(),
            problem: "is a folder, which nothing is pulled into".to_owned(),
        })?;
        let cached = store.cached(&repository).ok_or_else(|| HubError::Setting {
            what: "hub.cache",
            value: String::new(),
            problem: "neither it nor HOME is set".to_owned(),
        })?;
        let offline = || HubError::Offline { repository: repository.to_string() };
        let client = self.client.as_ref().ok_or_else(offline)?;
        let lock = Lock::read(&cached.lock_file())?;
        let locked = lock.commit(repository.revision()).filter(|_| !update);
        let revision = locked.unwrap_or(repository.revision());
        let path = format!("/api/models/{}/revision/{}", repository.id(), escape(revision));
        // With ids and sizes of the files, so that none is asked about by itself.
        let listing: Listing = client.json(&client.url(&format!("{path}?blobs=true")))?;
        let commit = checked_commit(client, &path, revision, listing.sha)?;
        let spec = store.spec(repository.id());
        let pinned = spec.filter(|spec| spec.is_pinned_at(repository.revision()));
        let mut sha256 = lock.digests(&commit);
        sha256.extend(pinned.into_iter().flat_map(|spec| spec.sha256.clone()));
        let mut fetch = Fetch {
            client,
            cached: &cached,
            repository: &repository,
            commit: &commit,
            listed: listing.siblings.into_iter().map(|file| (file.name.clone(), file)).collect(),
            expected: &sha256,
            blobs: Vec::new(),
            progress,
        };
        fetch.all()?;
        let blobs = fetch.blobs;
        publish(&cached, &repository, &commit, &blobs)?;
        let path = cached.snapshot(&commit);
        let files = blobs.into_iter().map(|(file, ..)| file).collect();
        Ok(Pulled { commit, path, files })
    }
}

/// The listing's commit, which becomes a path and must be the one that was asked for.
fn checked_commit(
    client: &Client,
    path: &str,
    revision: &str,
    commit: String,
) -> Result<String, HubError> {
    let fits = is_commit(&commit) && (!is_commit(revision) || revision == commit);
    if fits {
        return Ok(commit);
    }
    let problem = format!("answers with the commit `{}`", commit.escape_debug());
    Err(unavailable(&client.url(path), &problem))
}

/// A slash in a branch's name is part of it.
fn escape(revision: &str) -> String {
    revision.replace('/', "%2F")
}

/// The files of one commit as they arrive.
struct Fetch<'a> {
    client: &'a Client,
    cached: &'a CachedRepository,
    repository: &'a Repository,
    commit: &'a str,
    /// The files of the repository.
    listed: BTreeMap<String, Listed>,
    expected: &'a BTreeMap<String, String>,
    /// File, the blob that holds it, and its SHA-256.
    blobs: Vec<(String, PathBuf, String)>,
    progress: &'a mut Progress<'a>,
}

impl Fetch<'_> {
    /// Fetches the files that the model needs, small ones first.
    fn all(&mut self) -> Result<(), Error> {
        let layout = Layout::read(&mut *self)?;
        let needed = files_needed(&layout, |file| self.has(file));
        needed.iter().try_for_each(|file| check_file(file))?;
        self.refuse_incomplete(&needed)?;
        needed.iter().try_for_each(|file| self.one(file))?;
        // The layout's files came first; what stands last says that all are there.
        self.blobs.sort_by_key(|(file, ..)| needed.iter().position(|name| name == file));
        Ok(())
    }

    fn refuse_incomplete(&self, needed: &[String]) -> Result<(), HubError> {
        let absent = needed.iter().filter(|file| !self.has(file));
        let mut missing: Vec<&str> = absent.map(String::as_str).collect();
        if needed.iter().any(|file| is_pickle(file)) {
            missing.push("safetensors weights, only pickled ones, which are refused");
        }
        if missing.is_empty() {
            return Ok(());
        }
        let (repository, missing) = (self.repository.to_string(), missing.join(", no "));
        Err(HubError::Incomplete { repository, missing })
    }

    fn one(&mut self, file: &str) -> Result<(), Error> {
        check_file(file)?;
        if self.blobs.iter().any(|(known, ..)| known == file) {
            return Ok(());
        }
        let path = format!("/{}/resolve/{}/{file}", self.repository.id(), self.commit);
        let missing = || HubError::NotFound { url: self.client.url(&path) };
        let listed = self.listed.get(file).ok_or_else(missing)?;
        let blob = Blob::describe(self.client, self.client.url(&path), listed)?;
        let expected = self.expected.get(file).map(String::as_str);
        let (path, sha256) = blob.obtain(self.client, self.cached, expected, self.progress)?;
        self.blobs.push((file.to_owned(), path, sha256));
        Ok(())
    }
}

impl Files for Fetch<'_> {
    fn has(&self, file: &str) -> bool {
        self.listed.contains_key(file)
    }

    fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error> {
        if !self.has(file) {
            return Ok(None);
        }
        self.one(file)?;
        let blob = self.blobs.iter().find(|(known, ..)| known == file);
        let path = blob.map(|(_, path, _)| path.clone()).unwrap_or_default();
        let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Malformed {
            path: PathBuf::from(file),
            problem: error.to_string(),
        })
    }
}

/// Links the blobs as the commit's files, in their order, then records digests and commit, then
/// lets the revision point to it.
fn publish(
    cached: &CachedRepository,
    repository: &Repository,
    commit: &str,
    blobs: &[(String, PathBuf, String)],
) -> Result<(), Error> {
    let snapshot = cached.snapshot(commit);
    for (file, blob, _) in blobs {
        let link = snapshot.join(file);
        create_folder_of(&link)?;
        link_blob(blob, &link, file).map_err(|source| write_error(&link, source))?;
    }
    let digests = blobs.iter().map(|(file, _, sha256)| (file.clone(), sha256.clone())).collect();
    let revisions = if is_commit(repository.revision()) {
        BTreeMap::new()
    } else {
        BTreeMap::from([(repository.revision().to_owned(), commit.to_owned())])
    };
    let files = BTreeMap::from([(commit.to_owned(), digests)]);
    Lock::add(&cached.lock_file(), &Lock { revisions, files })?;
    if !is_commit(repository.revision()) {
        let path = cached.root.join("refs").join(repository.revision());
        replace(&path, commit.as_bytes()).map_err(|source| write_error(&path, source))?;
    }
    Ok(())
}

/// A relative link, as `huggingface_hub` makes it, so that the cache can be moved.
fn link_blob(blob: &Path, link: &Path, file: &str) -> std::io::Result<()> {
    let up = "../".repeat(2 + file.matches('/').count());
    let name = blob.file_name().unwrap_or_default();
    let target = Path::new(&up).join("blobs").join(name);
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    // Made beside and renamed over, so that the file is never absent.
    let fresh = link.with_extension("new-link");
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh)?;
    fs::rename(fresh, link)
}
