//! Models known by name (`models.toml`, embedded), and how a name or path becomes a folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Error;
use super::folder::Folder;

const EMBEDDED: &str = include_str!("../../models.toml");

/// One known model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The name that users type.
    pub name: String,
    /// `owner/name` on the hub; also its place below the models folder.
    pub repository: String,
    /// Other names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// File, relative to the model's folder, to its SHA-256 in hexadecimal.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

/// The known models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    #[serde(rename = "model")]
    models: Vec<ModelSpec>,
}

impl Registry {
    /// The registry that this binary carries.
    ///
    /// # Errors
    /// When the embedded file is malformed; a test excludes it.
    pub fn embedded() -> Result<Self, Error> {
        toml::from_str(EMBEDDED).map_err(|error| Error::Malformed {
            path: "models.toml".into(),
            problem: error.to_string(),
        })
    }

    /// The model called `name`, by its name, an alias or its repository.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ModelSpec> {
        self.models.iter().find(|model| {
            model.name == name
                || model.repository == name
                || model.aliases.iter().any(|alias| alias == name)
        })
    }

    /// The display name and folder of `model`: a folder's path, or a known name below
    /// `models_dir`.
    pub(super) fn resolve(
        &self,
        model: &str,
        models_dir: &Path,
    ) -> Result<(String, Folder), Error> {
        if let Some(spec) = self.find(model) {
            let path = models_dir.join(&spec.repository);
            if !path.is_dir() {
                return Err(Error::MissingModel { name: model.to_owned(), path });
            }
            return Ok((spec.name.clone(), Folder::new(path, spec.sha256.clone())));
        }
        let path = Path::new(model);
        if path.is_dir() {
            let name = path.canonicalize().ok();
            let name = name.as_deref().and_then(Path::file_name).unwrap_or(path.as_os_str());
            let name = name.to_string_lossy().into_owned();
            return Ok((name, Folder::new(path.to_owned(), BTreeMap::new())));
        }
        let known: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
        Err(Error::UnknownModel { name: model.to_owned(), known: known.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;

    #[test]
    fn every_name_alias_and_repository_finds_its_own_model() {
        let registry = Registry::embedded().unwrap();
        for model in &registry.models {
            for name in model.aliases.iter().chain([&model.name, &model.repository]) {
                assert_eq!(registry.find(name).unwrap().name, model.name);
            }
            assert!(model.sha256.values().all(|digest| digest.len() == 64));
        }
    }
}
