//! What the benches share: models and texts.
#![allow(dead_code, reason = "each bench uses its part")]

#[path = "../../tests/it/support/random_model.rs"]
mod random_model;

use std::path::{Path, PathBuf};

use chunkflow::embeddings::{EmbedOptions, LoadedModel, ModelOptions};
use chunkflow::models::Places;

use self::random_model::{Sizes, write_random_model};

/// Five paragraphs on five topics.
pub(crate) const DOCUMENT: &str = include_str!("../../src/cli/sample.txt");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn minilm_folder() -> PathBuf {
    let folder = root().join("models/sentence-transformers/all-MiniLM-L6-v2");
    assert!(folder.is_dir(), "{} is missing: run `make model`", folder.display());
    folder
}

fn load(folder: &Path) -> LoadedModel {
    let places = Places { models_dir: root().join("models"), ..Places::default() };
    let options = ModelOptions { places, ..ModelOptions::default() };
    LoadedModel::load(&folder.to_string_lossy(), &options).expect("the model loads")
}

/// The real all-MiniLM-L6-v2.
#[must_use]
pub(crate) fn minilm() -> LoadedModel {
    load(&minilm_folder())
}

/// Seeded random weights in the shape of BERT-base, with MiniLM's tokenizer.
#[must_use]
pub(crate) fn bert_base() -> LoadedModel {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sizes =
        Sizes { hidden: 768, layers: 12, heads: 12, intermediate: 3_072, max_positions: 512 };
    let tokenizer = minilm_folder().join("tokenizer.json");
    write_random_model(folder.path(), &tokenizer, &sizes, 1).expect("the model is written");
    load(folder.path())
}

/// `count` texts of one to ten sentences.
#[must_use]
pub(crate) fn texts(count: usize) -> Vec<String> {
    let sentences: Vec<&str> = DOCUMENT.split_inclusive(". ").collect();
    let text = |index: usize| {
        let sentences = sentences.iter().cycle().skip(index * 7 % sentences.len());
        sentences.take(1 + index * 3 % 10).copied().collect()
    };
    (0..count).map(text).collect()
}

/// `texts` as slices.
#[must_use]
pub(crate) fn slices(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Tokens of `texts` for `model`.
#[must_use]
pub(crate) fn tokens(model: &LoadedModel, texts: &[&str]) -> u64 {
    let planned = model.model().embed(texts, &EmbedOptions::default());
    planned.expect("texts tokenise").job().packed.tokens() as u64
}
