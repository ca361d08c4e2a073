//! Which files a model has, by the names that `transformers` and sentence-transformers give them,
//! and which of them it needs.
//!
//! Invariant: what pulls a model, what looks whether it is here and what verifies it ask
//! [`files_needed`] alone; `modules.json` and indices of weights are read nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::Error;

/// The transformer's geometry; a module's settings where it stands in the module's directory.
pub(crate) const CONFIG: &str = "config.json";
/// The tokenizer, whole.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// What else is known about the tokenizer.
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Its special tokens by name, and those that were added: older files, which are read where the
/// one above does not list tokens.
pub(crate) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(crate) const ADDED_TOKENS: &str = "added_tokens.json";
/// What a chat's messages are put into.
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The modules, in order.
pub(crate) const MODULES: &str = "modules.json";
/// What sentence-transformers keeps for the model as a whole, the prompts among it.
pub(crate) const SETTINGS: &str = "config_sentence_transformers.json";
/// The transformer module's settings, under the names that sentence-transformers looks for.
pub(crate) const SENTENCE_CONFIGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];
/// What holds weights: one file, or an index of several.
const WEIGHTS: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];
/// File names that carry pickled weights in hub repositories.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Whoever has a model's files, or can get them.
pub(crate) trait Files {
    /// Whether there is such a file.
    fn has(&self, file: &str) -> bool;

    /// Reads and parses a JSON file; `None` where there is none.
    fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error>;
}

impl<F: Files> Files for &mut F {
    fn has(&self, file: &str) -> bool {
        (**self).has(file)
    }

    fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error> {
        (**self).optional_json(file)
    }
}

/// A module, as `modules.json` has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Module {
    /// Its directory, empty for that of the model.
    pub(crate) path: String,
    /// Its Python class, dotted.
    #[serde(rename = "type")]
    pub(crate) class: String,
    /// What else the file says of it.
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

impl Module {
    /// The name of its class without the package.
    pub(crate) fn kind(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    fn needs_config(&self) -> bool {
        matches!(self.kind(), "Pooling" | "SpladePooling" | "Dense" | "LayerNorm")
    }

    fn needs_weights(&self) -> bool {
        matches!(self.kind(), "Dense" | "LayerNorm")
    }
}

/// The directory of the transformer among `modules`, which is the first: empty for the model's own.
pub(crate) fn transformer_directory(modules: &[Module]) -> &str {
    let first = modules.first();
    first
        .filter(|module| matches!(module.kind(), "Transformer" | "MLMTransformer"))
        .map_or("", |module| module.path.as_str())
}

/// The modules in order; `None` where the model has no `modules.json`.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_modules(mut files: impl Files) -> Result<Option<Vec<Module>>, Error> {
    files.optional_json(MODULES)
}

/// The weights in a directory of a model, by files relative to the model's folder.
#[derive(Debug, Clone)]
pub(crate) enum Weights {
    /// One file.
    Whole(String),
    /// Several files, and the index that names them.
    Parts {
        /// Which tensor stands in which part.
        index: String,
        /// The parts, each once.
        parts: Vec<String>,
    },
    /// Nothing but this pickle, which is refused.
    Pickled(String),
    /// None; this file would hold them.
    Absent(String),
}

/// Which tensor stands in which file of a checkpoint in parts.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Looks for what there is in `directory`, which is empty for the model's own.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub(crate) fn read(mut files: impl Files, directory: &str) -> Result<Self, Error> {
        let [whole, index] = WEIGHTS.map(|file| in_directory(directory, file));
        if files.has(&whole) {
            return Ok(Self::Whole(whole));
        }
        if files.has(&index) {
            let read: Option<Index> = files.optional_json(&index)?;
            let names = read.into_iter().flat_map(|index| index.weight_map.into_values());
            let names: BTreeSet<String> = names.collect();
            let parts = names.iter().map(|file| in_directory(directory, file)).collect();
            return Ok(Self::Parts { index, parts });
        }
        let mut pickles = PICKLES.iter().map(|file| in_directory(directory, file));
        let pickle = pickles.find(|file| files.has(file));
        Ok(pickle.map_or(Self::Absent(whole), Self::Pickled))
    }
}

/// What those files say that name others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// Empty where there is no `modules.json`.
    modules: Vec<Module>,
    /// In the transformer's directory and in every module's.
    weights: BTreeMap<String, Weights>,
}

impl Layout {
    /// Reads `modules.json` and the indices of weights.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) fn read(mut files: impl Files) -> Result<Self, Error> {
        let modules = read_modules(&mut files)?.unwrap_or_default();
        let mut weights = BTreeMap::new();
        let own = transformer_directory(&modules);
        for directory in modules.iter().map(|module| module.path.as_str()).chain([own]) {
            weights.insert(directory.to_owned(), Weights::read(&mut files, directory)?);
        }
        Ok(Self { modules, weights })
    }

    fn needs_weights(&self, directory: &str) -> bool {
        let mut modules = self.modules.iter().filter(|module| module.path == directory);
        directory == self.transformer() || modules.any(Module::needs_weights)
    }

    fn transformer(&self) -> &str {
        transformer_directory(&self.modules)
    }
}

/// The files that a model needs, each once, where `has` tells which there are: those without which
/// it does not run, whether or not they are there, and those that are there and change what it
/// gives. Weights come last, the model's own at the end, an index behind its parts: who makes the
/// files appear in this order makes the last one say that all are there.
pub(crate) fn files_needed(layout: &Layout, has: impl Fn(&str) -> bool) -> Vec<String> {
    let own = |file: &str| in_directory(layout.transformer(), file);
    let mut files: Vec<String> = [CONFIG, TOKENIZER].map(own).into();
    let beside = [TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS].into_iter();
    let optional = beside.chain(SENTENCE_CONFIGS).map(own);
    let optional = optional.chain([SETTINGS, MODULES].map(str::to_owned));
    // Read only where no modules say what becomes of texts.
    let optional = optional.chain(layout.modules.is_empty().then(|| own(CHAT_TEMPLATE)));
    files.extend(optional.filter(|file| has(file)));
    for module in &layout.modules {
        let config = in_directory(&module.path, CONFIG);
        if module.needs_config() || has(&config) {
            files.push(config);
        }
    }
    let is_last = |(directory, _): &(&String, _)| **directory == *layout.transformer();
    let (last, others): (Vec<_>, Vec<_>) = layout.weights.iter().rev().partition(is_last);
    for (directory, weights) in others.into_iter().chain(last) {
        match weights {
            Weights::Whole(file) => files.push(file.clone()),
            Weights::Parts { index, parts } => files.extend(parts.iter().chain([index]).cloned()),
            Weights::Pickled(file) | Weights::Absent(file) => {
                files.extend(layout.needs_weights(directory).then(|| file.clone()));
            }
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

/// Whether a file is a pickle, by its name.
#[cfg(feature = "hub")]
pub(super) fn is_pickle(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    PICKLES.contains(&name)
}

/// `name` below a module's directory; the root's is empty.
pub(crate) fn in_directory(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether one of a config's `architectures` is a classifier, which needs no `modules.json`.
pub(crate) fn classifies<'a>(mut architectures: impl Iterator<Item = &'a str>) -> bool {
    architectures.any(|name| name.ends_with("ForSequenceClassification"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::{Files, Layout, files_needed};
    use crate::models::Error;

    /// Files in memory; null where nobody reads them.
    struct Listing(BTreeMap<&'static str, Value>);

    impl Files for &Listing {
        fn has(&self, file: &str) -> bool {
            self.0.contains_key(file)
        }

        fn optional_json<T: DeserializeOwned>(&mut self, file: &str) -> Result<Option<T>, Error> {
            Ok(self.0.get(file).map(|value| serde_json::from_value(value.clone()).unwrap()))
        }
    }

    /// What a model with these files needs.
    fn needed(files: &[(&'static str, Value)]) -> Vec<String> {
        let listing = &Listing(files.iter().cloned().collect());
        files_needed(&Layout::read(listing).unwrap(), |file| listing.has(file))
    }

    fn names(files: &[&'static str]) -> Vec<(&'static str, Value)> {
        files.iter().map(|file| (*file, Value::Null)).collect()
    }

    fn modules(kinds: &[(&str, &str)]) -> (&'static str, Value) {
        let module =
            |(path, kind): &(&str, &str)| json!({"path": path, "type": format!("a.b.{kind}")});
        ("modules.json", kinds.iter().map(module).collect())
    }

    #[test]
    fn nothing_needs_what_every_model_needs() {
        assert_eq!(needed(&[]), ["config.json", "tokenizer.json", "model.safetensors"]);
    }

    #[test]
    fn what_changes_vectors_is_needed_where_it_is_there() {
        let files = [
            "README.md",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ];
        let expected = [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "sentence_bert_config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
        ];
        assert_eq!(needed(&names(&files)), expected);
    }

    #[test]
    fn modules_need_their_settings_and_dense_ones_their_weights() {
        let kinds = [
            ("", "Transformer"),
            ("1_Pooling", "Pooling"),
            ("2_Dense", "Dense"),
            ("3_N", "Normalize"),
        ];
        let bare = needed(&[modules(&kinds)]);
        let expected = [
            "config.json",
            "tokenizer.json",
            "modules.json",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "model.safetensors",
        ];
        assert_eq!(bare, expected);
        let mut files = names(&["2_Dense/pytorch_model.bin", "3_N/config.json"]);
        files.push(modules(&kinds));
        let more = needed(&files);
        assert_eq!(
            more[5..],
            ["3_N/config.json", "2_Dense/pytorch_model.bin", "model.safetensors"]
        );
    }

    #[test]
    fn a_transformer_in_its_own_folder_has_its_files_there() {
        let kinds =
            [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"), ("2_L", "LayerNorm")];
        let mut files =
            names(&["config.json", "model.safetensors", "0_Transformer/tokenizer_config.json"]);
        files.push(modules(&kinds));
        let expected = [
            "0_Transformer/config.json",
            "0_Transformer/tokenizer.json",
            "0_Transformer/tokenizer_config.json",
            "modules.json",
            "1_Pooling/config.json",
            "2_L/config.json",
            "2_L/model.safetensors",
            "0_Transformer/model.safetensors",
        ];
        assert_eq!(needed(&files), expected);
    }

    #[test]
    fn an_index_comes_behind_its_parts_and_counts_only_without_the_whole() {
        let index = json!({"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}});
        let mut files = vec![("model.safetensors.index.json", index)];
        let parts = ["1.safetensors", "2.safetensors", "model.safetensors.index.json"];
        assert_eq!(needed(&files)[2..], parts);
        files.extend(names(&["model.safetensors"]));
        assert_eq!(needed(&files)[2..], ["model.safetensors"]);
    }

    #[test]
    fn pickles_are_named_where_there_is_nothing_else() {
        assert_eq!(needed(&names(&["pytorch_model.bin"]))[2..], ["pytorch_model.bin"]);
        assert_eq!(
            needed(&names(&["pytorch_model.bin.index.json"]))[2..],
            ["pytorch_model.bin.index.json"]
        );
    }
}
