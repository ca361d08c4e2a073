//! A model's named prompts: `config_sentence_transformers.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Error;
use super::config_file::ConfigFile;
use crate::models::ModelSpec;

/// Texts that a model was trained to see before a query or a passage.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

impl Prompts {
    /// The folder's prompts, and those of the registry under names that the folder has not.
    pub(super) fn read(
        settings: Option<ConfigFile>,
        known: Option<&ModelSpec>,
    ) -> Result<Self, Error> {
        let mut own: Self = settings.map(ConfigFile::parse).transpose()?.unwrap_or_default();
        for (name, text) in known.into_iter().flat_map(|spec| &spec.prompts) {
            own.prompts.entry(name.clone()).or_insert_with(|| text.clone());
        }
        Ok(own)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.prompts.contains_key(name)
    }

    /// The prompt of this name; the default where `None`, if there is one.
    pub(super) fn text(&self, name: Option<&str>) -> Result<Option<&str>, Error> {
        let Some(name) = name.or(self.default_prompt_name.as_deref()) else { return Ok(None) };
        if let Some(text) = self.prompts.get(name) {
            return Ok(Some(text));
        }
        let known: Vec<&str> = self.prompts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::UnknownPrompt { name: name.to_owned(), known })
    }
}
