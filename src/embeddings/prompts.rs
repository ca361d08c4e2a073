//! A model's named prompts: `config_sentence_transformers.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Error;
use super::folder::Folder;

/// Texts that a model was trained to see before a query or a passage.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Prompts {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

impl Prompts {
    pub(super) fn read(folder: &Folder) -> Result<Self, Error> {
        Ok(folder.optional_json("config_sentence_transformers.json")?.unwrap_or_default())
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
