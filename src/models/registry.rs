//! Models known by name: `models.toml`, embedded, and a file of the user's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::pooling::{POOLINGS, parse_pooling};
use super::repository::{MAIN, Repository, is_hexadecimal};
use super::task::Task;
use crate::compute::DtypeChoice;

const EMBEDDED: &str = include_str!("../../models.toml");
/// Above this a name that nobody knows is taken for another one misspelt.
const NEAR: f64 = 0.85;

/// One known model. Only its names are needed; what is said beyond fills gaps of its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The name that users type.
    pub name: String,
    /// `owner/name` on the hub; also its place below the models folder.
    pub repository: String,
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Branch, tag or commit; `main` where `None`.
    pub revision: Option<String>,
    /// The architecture, for people.
    pub family: Option<String>,
    /// What the model gives.
    #[serde(default)]
    pub kind: Task,
    /// How tokens become a vector, where the files do not say.
    pub pooling: Option<String>,
    /// Whether vectors have unit length, where the files do not say.
    pub normalize: Option<bool>,
    /// Prompts by name, beyond those of the files.
    #[serde(default)]
    pub prompts: BTreeMap<String, String>,
    /// Longest input in tokens, special tokens included, where the files do not say.
    pub max_tokens: Option<usize>,
    /// Columns of its vectors.
    pub dimensions: Option<usize>,
    /// What its dense layers run in, where the settings do not say; f32 where `None`.
    pub dtype: Option<DtypeChoice>,
    /// As its publisher names it.
    pub licence: Option<String>,
    /// Where the revision or the digests were verified.
    pub source: Option<String>,
    /// File, relative to the model's folder, to its SHA-256 in hexadecimal.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

impl ModelSpec {
    /// A model of which only the repository is known.
    pub(super) fn unknown(repository: &str) -> Self {
        Self {
            name: repository.to_owned(),
            repository: repository.to_owned(),
            aliases: Vec::new(),
            revision: None,
            family: None,
            kind: Task::default(),
            pooling: None,
            normalize: None,
            prompts: BTreeMap::new(),
            max_tokens: None,
            dimensions: None,
            dtype: None,
            licence: None,
            source: None,
            sha256: BTreeMap::new(),
        }
    }

    /// Whether `revision` is the one that the digests are of.
    pub(super) fn is_pinned_at(&self, revision: &str) -> bool {
        self.revision.as_deref().unwrap_or(MAIN) == revision
    }

    /// What is wrong with a value.
    fn problem(&self) -> Option<String> {
        let pooling = self.pooling.as_ref().filter(|_| self.kind == Task::Embedding);
        if let Some(pooling) = pooling.filter(|name| parse_pooling(name).is_none()) {
            return Some(format!("pooling is `{pooling}`, supported: {POOLINGS}"));
        }
        let (file, digest) = self.sha256.iter().find(|(_, digest)| !is_hexadecimal(digest, 64))?;
        Some(format!("sha256 of {file} is `{digest}`, not 64 lower-case hexadecimal digits"))
    }

    /// Every name that it is found by: its own, its repository, its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().map(String::as_str);
        [self.name.as_str(), self.repository.as_str()].into_iter().chain(aliases)
    }
}

/// The known models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    #[serde(rename = "model", default)]
    models: Vec<ModelSpec>,
}

impl Registry {
    /// The registry that this binary carries.
    ///
    /// # Errors
    /// When the embedded file is malformed; a test excludes it.
    pub fn embedded() -> Result<Self, Error> {
        Self::parse(EMBEDDED, Path::new("models.toml"))
    }

    /// Adds the models of a file; one that is known by the same name or repository is replaced.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed.
    pub fn extend(&mut self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::Registry {
            path: path.to_owned(),
            line: None,
            problem: format!("cannot be read: {error}"),
        })?;
        let more = Self::parse(&text, path)?;
        self.models.retain(|known| {
            let replaces =
                |new: &ModelSpec| new.name == known.name || new.repository == known.repository;
            !more.models.iter().any(replaces)
        });
        self.models.splice(0..0, more.models);
        Ok(())
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |at: Option<usize>, problem: String| {
            let line = at.map(|at| text[..at.min(text.len())].matches('\n').count() + 1);
            Error::Registry { path: path.to_owned(), line, problem }
        };
        let registry: Self = toml::from_str(text)
            .map_err(|error| wrong(error.span().map(|span| span.start), told(error.message())))?;
        for model in &registry.models {
            let named = Repository::new(&model.repository, model.revision.as_deref());
            let problem = named.err().map(|error| error.to_string()).or_else(|| model.problem());
            if let Some(problem) = problem {
                let at = place_of(text, &model.name);
                return Err(wrong(at, format!("model `{}`: {problem}", model.name)));
            }
        }
        Ok(registry)
    }

    /// The known models, the user's first.
    #[must_use]
    pub fn models(&self) -> &[ModelSpec] {
        &self.models
    }

    /// The model called `name`, by its name, an alias or its repository.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ModelSpec> {
        self.models.iter().find(|model| model.names().any(|own| own == name))
    }

    /// A name that `name` may have been meant for.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let likeness = |own: &str| strsim::jaro_winkler(&own.to_lowercase(), &name.to_lowercase());
        let names = self.models.iter().flat_map(ModelSpec::names);
        let nearest = names.map(|own| (own, likeness(own))).max_by(|a, b| a.1.total_cmp(&b.1));
        nearest.filter(|(_, likeness)| *likeness > NEAR).map(|(own, _)| own)
    }
}

/// What the parser says, on one line and without the names of this program's types.
fn told(message: &str) -> String {
    let words = [
        ("struct ModelSpec", "a table"),
        ("struct Registry", "a table"),
        ("usize", "a whole number"),
        ("unknown variant", "unknown value"),
    ];
    let message =
        words.iter().fold(message.to_owned(), |text, (own, word)| text.replace(own, word));
    message.lines().collect::<Vec<_>>().join(", ")
}

/// Where the table of the model called `name` has its name.
fn place_of(text: &str, name: &str) -> Option<usize> {
    let is_name = |line: &str| {
        line.split_once('=').is_some_and(|(key, value)| {
            key.trim() == "name" && value.trim().trim_matches(['"', '\'']) == name
        })
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if is_name(line.trim()) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Registry;

    #[test]
    fn every_name_alias_and_repository_finds_its_own_model() {
        let registry = Registry::embedded().unwrap();
        assert!(registry.models.len() >= 30);
        let mut names = BTreeSet::new();
        for model in &registry.models {
            for name in model.names() {
                assert_eq!(registry.find(name).unwrap().name, model.name);
            }
            let own: BTreeSet<&str> = model.names().collect();
            assert!(own.into_iter().all(|name| names.insert(name.to_owned())), "{}", model.name);
            assert!(model.sha256.values().all(|digest| digest.len() == 64));
            assert!(model.sha256.is_empty() || model.source.is_some(), "{}", model.name);
            let pinned = model.revision.is_some();
            assert!(!pinned || model.source.is_some(), "{}: pinned by whom?", model.name);
            assert!(model.licence.is_some() && model.family.is_some(), "{}", model.name);
        }
    }
}
