//! Which files a model has, by the names that `transformers` and sentence-transformers give them,
//! and which of them it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The transformer's geometry; a module's settings where it stands in the module's directory.
pub(crate) const CONFIG: &str = "config.json";
/// The tokenizer, whole.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// What else is known about the tokenizer.
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
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
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];
/// File names that carry pickled weights in hub repositories.
pub(crate) const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// A module, as `modules.json` has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Module {
    /// Its directory, empty for that of the model.
    pub(crate) path: String,
    /// Its Python class, dotted.
    #[serde(rename = "type")]
    pub(crate) class: String,
}

impl Module {
    /// The name of its class without the package.
    pub(crate) fn kind(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }
}

/// Which tensor stands in which file of a checkpoint in parts.
#[derive(Deserialize)]
pub(crate) struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// The parts, each once.
    pub(crate) fn files(self) -> BTreeSet<String> {
        self.weight_map.into_values().collect()
    }
}

/// `name` below a module's directory; the root's is empty.
pub(crate) fn in_directory(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether one of a config's `architectures` is a classifier, which needs no `modules.json`.
pub(crate) fn classifies<'a>(mut architectures: impl Iterator<Item = &'a str>) -> bool {
    architectures.any(|name| name.ends_with("ForSequenceClassification"))
}

/// The first file without which the model does not run: of those that every model needs, then of
/// those that its index of weights and its modules name.
pub(super) fn missing_file(folder: &Path) -> Option<String> {
    let absent = |file: &&str| !folder.join(file).is_file();
    let basic = [CONFIG, TOKENIZER].into_iter().find(absent).or_else(|| {
        let none = WEIGHTS.iter().chain(&PICKLES).all(absent);
        none.then_some(WEIGHTS[0])
    });
    let named = || {
        let parts = parts_in(folder).into_iter().chain(files_in(folder));
        parts.into_iter().find(|file| !folder.join(file).is_file())
    };
    basic.map(str::to_owned).or_else(named)
}

/// The parts that an index in `folder` names; none where it has no index.
fn parts_in(folder: &Path) -> BTreeSet<String> {
    let [whole, index] = WEIGHTS.map(|file| folder.join(file));
    let bytes = if whole.is_file() { None } else { fs::read(index).ok() };
    let index = bytes.and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
    index.map(Index::files).unwrap_or_default()
}

/// The files that the modules in `folder` need, as far as `modules.json` can be read.
fn files_in(folder: &Path) -> Vec<String> {
    let modules = fs::read(folder.join(MODULES)).ok();
    let modules = modules.and_then(|bytes| serde_json::from_slice::<Vec<Module>>(&bytes).ok());
    let mut files = Vec::new();
    for module in modules.unwrap_or_default() {
        if matches!(module.kind(), "Pooling" | "SpladePooling" | "Dense") {
            files.push(in_directory(&module.path, CONFIG));
        }
        let weights = [WEIGHTS, PICKLES].concat();
        let weights = weights.iter().map(|file| in_directory(&module.path, file));
        if module.kind() == "Dense" && !weights.clone().any(|file| folder.join(file).is_file()) {
            files.extend(weights.take(1));
        }
    }
    files
}

/// Whether the model in `folder` is a classifier, which needs no `modules.json`.
pub(super) fn is_classifier(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        architectures: Vec<String>,
    }
    let bytes = fs::read(folder.join(CONFIG)).ok();
    let config = bytes.and_then(|bytes| serde_json::from_slice::<Config>(&bytes).ok());
    config.is_some_and(|config| classifies(config.architectures.iter().map(String::as_str)))
}
