//! A repository in the cache of Hugging Face's libraries, whose layout is public:
//! `models--owner--name/{blobs,refs,snapshots}`, as the crate `hf-hub` names it
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>).

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::repository::{Repository, is_commit, is_hexadecimal, is_id};

/// The file, beside `blobs`, that remembers what was seen first.
const LOCK_FILE: &str = "chunkflow.lock";

/// The folder of one repository, which need not exist.
#[derive(Debug)]
pub(super) struct CachedRepository {
    /// Names the places of the layout.
    layout: CacheRepo,
    pub(super) root: PathBuf,
    /// Where `huggingface_hub` keeps the locks of this repository's downloads.
    pub(super) locks: PathBuf,
    cache: PathBuf,
}

impl CachedRepository {
    pub(super) fn new(cache: &Path, repository: &Repository) -> Self {
        let (id, revision) = (repository.id().to_owned(), repository.revision().to_owned());
        let repo = Repo::with_revision(id, RepoType::Model, revision);
        let name = repo.folder_name();
        Self {
            layout: Cache::new(cache.to_owned()).repo(repo),
            root: cache.join(&name),
            locks: cache.join(".locks").join(name),
            cache: cache.to_owned(),
        }
    }

    /// The commit that the branch or tag stood at when it was last pulled, by any library.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// Folders that files of a snapshot may stand in, links followed: the cache, in whose `blobs`
    /// libraries share large files among repositories
    /// (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>), and blobs that the user
    /// has moved to another disk.
    pub(super) fn boundaries(&self) -> Vec<PathBuf> {
        let folders = [&self.cache, &self.root, &self.root.join("blobs"), &self.shared_blobs()];
        folders.into_iter().cloned().collect()
    }

    /// Files that several repositories of the cache share.
    fn shared_blobs(&self) -> PathBuf {
        self.cache.join("blobs")
    }

    /// The shared files that this repository's blobs are links to.
    pub(super) fn shared(&self) -> Vec<PathBuf> {
        let Ok(shared) = self.shared_blobs().canonicalize() else { return Vec::new() };
        let blobs = fs::read_dir(self.root.join("blobs")).into_iter().flatten().flatten();
        let links = blobs.filter(|blob| blob.file_type().is_ok_and(|kind| kind.is_symlink()));
        let targets = links.filter_map(|link| link.path().canonicalize().ok());
        targets.filter(|target| target.starts_with(&shared)).collect()
    }

    /// Where those folders stand that are links, the user having moved them to another disk.
    pub(super) fn moved(&self) -> Vec<PathBuf> {
        let folders = [self.root.clone(), self.root.join("blobs")];
        let links = folders.iter().filter(|folder| folder.is_symlink());
        links.filter_map(|link| link.canonicalize().ok()).collect()
    }

    /// Whether another library has found that the repository has no such file.
    pub(super) fn is_absent(&self, commit: &str, file: &str) -> bool {
        self.root.join(".no_exist").join(commit).join(file).is_file()
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK_FILE)
    }
}

/// The lock file of a model that stands in a plain folder.
pub(super) fn lock_file_in(folder: &Path) -> PathBuf {
    folder.join(LOCK_FILE)
}

/// The repositories in `cache`, `owner/name` each, in order.
pub(super) fn repositories(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let (owner, name) = name.strip_prefix("models--")?.split_once("--")?;
        Some(format!("{owner}/{name}"))
    });
    let mut ids: Vec<String> = ids.filter(|id| is_id(id)).collect();
    ids.sort_unstable();
    ids
}

/// The SHA-256 that a file of a snapshot must have by the name of the blob behind it, which for
/// large files is that digest.
pub(super) fn blob_digest(file: &Path) -> Option<String> {
    let blob = fs::read_link(file).ok()?;
    let name = blob.file_name()?.to_str()?;
    is_hexadecimal(name, 64).then(|| name.to_owned())
}
