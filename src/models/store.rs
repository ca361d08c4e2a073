//! Models on this machine: known by name, by repository or by folder. Nothing here uses the
//! network.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache::{self, CachedRepository};
use super::error::{Error, HubError};
use super::folder::Glance;
use super::layout::{CONFIG, Files, MODULES, classifies};
use super::located::{Located, Place};
use super::lock::Lock;
use super::registry::{ModelSpec, Registry};
use super::repository::{Repository, is_id};

/// Where models are looked for.
#[derive(Debug, Clone)]
pub struct Places {
    /// Known models stand below this folder as `owner/name`.
    pub models_dir: PathBuf,
    /// The cache of Hugging Face's libraries, read where `models_dir` has no such model.
    pub cache_dir: Option<PathBuf>,
    /// A file of the user's with more models.
    pub registry: Option<PathBuf>,
}

impl Default for Places {
    /// Below `models` alone.
    fn default() -> Self {
        Self { models_dir: PathBuf::from("models"), cache_dir: None, registry: None }
    }
}

/// The places where models stand, and the names they are known by.
#[derive(Debug, Clone)]
pub struct Store {
    registry: Registry,
    models_dir: PathBuf,
    cache_dir: Option<PathBuf>,
}

/// A line of a listing.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// What it is known about, or only the repository for a model that is merely here.
    #[serde(flatten)]
    pub spec: ModelSpec,
    /// Where it stands, if it is on this machine.
    pub place: Option<Place>,
    /// Its folder.
    pub path: Option<PathBuf>,
    /// Bytes of its files.
    pub bytes: Option<u64>,
}

/// A model that was removed from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The folder that was removed.
    pub path: PathBuf,
    /// What is left of it: files of the cache that other models may share, folders that it had links
    /// to, a copy in the models folder.
    pub left: Vec<PathBuf>,
}

impl Store {
    /// These places, and the registry with the user's file in it.
    ///
    /// # Errors
    /// When the user's file cannot be read or is malformed.
    pub fn open(places: &Places) -> Result<Self, Error> {
        let mut registry = Registry::embedded()?;
        if let Some(path) = &places.registry {
            registry.extend(path)?;
        }
        let (models_dir, cache_dir) = (places.models_dir.clone(), places.cache_dir.clone());
        Ok(Self { registry, models_dir, cache_dir })
    }

    /// What is known about a model.
    #[must_use]
    pub fn spec(&self, model: &str) -> Option<&ModelSpec> {
        self.registry.find(model)
    }

    /// The repository that `model` means: a known name, `owner/name` or `owner/name@revision`;
    /// `None` for a folder. A `revision` goes before the registry's.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn repository(
        &self,
        model: &str,
        revision: Option<&str>,
    ) -> Result<Option<Repository>, Error> {
        if let Some(spec) = self.registry.find(model) {
            let revision = revision.or(spec.revision.as_deref());
            return Ok(Some(Repository::new(&spec.repository, revision)?));
        }
        if Path::new(model).is_dir() {
            return Ok(None);
        }
        let (id, own) = match model.split_once('@') {
            Some((id, own)) => (id, Some(own)),
            None => (model, None),
        };
        if !is_id(id) {
            let nearest = self.registry.nearest(model).map(str::to_owned);
            return Err(Error::UnknownModel { name: model.to_owned(), nearest });
        }
        let spec = self.registry.find(id).and_then(|spec| spec.revision.as_deref());
        Ok(Some(Repository::new(id, own.or(revision).or(spec))?))
    }

    /// Finds a model's files: of a folder, below the models folder, or in the cache.
    ///
    /// # Errors
    /// When nothing is called so, or its files are not on this machine.
    pub fn find(&self, model: &str, revision: Option<&str>) -> Result<Located, Error> {
        let Some(repository) = self.repository(model, revision)? else {
            return Located::in_folder(Path::new(model));
        };
        let spec = self.registry.find(repository.id());
        let mut looked = Vec::new();
        let mut wanted = vec![repository];
        if revision.is_none() && !model.contains('@') {
            // A plain folder says of no revision that it holds it.
            let path = self.models_dir.join(wanted[0].id());
            match missing_file(&path) {
                None => return Located::in_models(&wanted[0], spec.cloned(), path),
                Some(file) => looked.push(path.join(file)),
            }
            // What another library has pulled serves, though the registry names a commit.
            let main = Repository::new(wanted[0].id(), None)?;
            if wanted[0] != main {
                wanted.push(main);
            }
        }
        for repository in &wanted {
            if let Some(mut located) = self.find_cached(repository, spec, &mut looked)? {
                located.stands_in = repository != &wanted[0];
                return Ok(located);
            }
        }
        Err(Error::MissingModel { name: model.to_owned(), looked })
    }

    /// A model's snapshot in the cache; where there is none, `looked` gets what is not there.
    fn find_cached(
        &self,
        repository: &Repository,
        spec: Option<&ModelSpec>,
        looked: &mut Vec<PathBuf>,
    ) -> Result<Option<Located>, Error> {
        let Some(cached) = self.cached(repository) else { return Ok(None) };
        let lock = Lock::read(&cached.lock_file())?;
        let commit = lock.commit(repository.revision()).map(str::to_owned);
        let Some(commit) = commit.or_else(|| cached.commit(repository.revision())) else {
            looked.push(cached.root.join("refs").join(repository.revision()));
            return Ok(None);
        };
        let snapshot = cached.snapshot(&commit);
        // What another library has pulled may lack what it does not read.
        let whole = lock.files.contains_key(&commit) || cached.is_absent(&commit, MODULES);
        let missing = missing_file(&snapshot).or_else(|| {
            let needed = !whole && !snapshot.join(MODULES).is_file();
            (needed && !is_classifier(&snapshot)).then(|| MODULES.to_owned())
        });
        if let Some(file) = missing {
            looked.push(snapshot.join(file));
            return Ok(None);
        }
        Ok(Some(Located::in_cache(repository, spec.cloned(), &cached, &lock, &commit)))
    }

    /// Every known model, and every other one that is here.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> =
            self.registry.models().iter().map(|spec| self.entry(spec.clone())).collect();
        let mut others: Vec<String> =
            self.cache_dir.iter().flat_map(|dir| cache::repositories(dir)).collect();
        others.extend(folders_in(&self.models_dir));
        others.sort_unstable();
        others.dedup();
        others.retain(|id| self.registry.find(id).is_none());
        let others = others.into_iter().map(|id| self.entry(ModelSpec::unknown(&id)));
        entries.extend(others.filter(|entry| entry.place.is_some()));
        entries
    }

    fn entry(&self, spec: ModelSpec) -> Entry {
        // What loading would refuse is not here.
        let found = self.find(&spec.repository, None).ok().filter(Located::is_readable);
        let (place, bytes) = found.as_ref().map(|found| (found.place(), found.bytes())).unzip();
        Entry { spec, place, path: found.map(|found| found.path().to_owned()), bytes }
    }

    /// Removes a model from the cache, with every revision of it.
    ///
    /// # Errors
    /// When it is not in the cache, which alone is ours to tidy, or cannot be removed.
    pub fn remove(&self, model: &str) -> Result<Removed, Error> {
        let repository = self.repository(model, None)?;
        let cached = repository.as_ref().and_then(|repository| self.cached(repository));
        let Some(cached) = cached.filter(|cached| cached.root.is_dir()) else {
            let looked = self.cache_dir.iter().cloned().collect();
            return Err(Error::MissingModel { name: model.to_owned(), looked });
        };
        let mut left = cached.shared();
        left.extend(cached.moved());
        left.extend(repository.map(|repository| self.models_dir.join(repository.id())));
        left.retain(|path| path.exists());
        for path in [&cached.root, &cached.locks] {
            match fs::remove_dir_all(path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(HubError::Write { path: path.clone(), source }.into());
                }
                _ => {}
            }
        }
        Ok(Removed { path: cached.root, left })
    }

    pub(super) fn cached(&self, repository: &Repository) -> Option<CachedRepository> {
        self.cache_dir.as_deref().map(|dir| CachedRepository::new(dir, repository))
    }
}

/// `owner/name` of every model below the models folder.
fn folders_in(models_dir: &Path) -> Vec<String> {
    let names = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let ids = names(models_dir).into_iter().flat_map(|owner| {
        let models = names(&models_dir.join(&owner)).into_iter();
        models.map(move |name| format!("{owner}/{name}")).collect::<Vec<_>>()
    });
    ids.filter(|id| is_id(id)).collect()
}

/// The first file without which the model in `folder` does not run.
fn missing_file(folder: &Path) -> Option<String> {
    let files = Glance(folder);
    files.needed().into_iter().find(|file| !files.has(file))
}

/// Whether the model in `folder` is a classifier, which needs no `modules.json`.
fn is_classifier(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        architectures: Vec<String>,
    }
    let config: Option<Config> = Glance(folder).optional_json(CONFIG).unwrap_or_default();
    config.is_some_and(|config| classifies(config.architectures.iter().map(String::as_str)))
}
