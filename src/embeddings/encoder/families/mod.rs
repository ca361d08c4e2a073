//! The families of transformers: each a function from `config.json` to an [`EncoderSpec`], and a
//! table of its tensors' names.

mod alternating;
mod bert;
mod distilbert;
mod gemma3;
mod gte;
mod modernbert;
mod mpnet;
mod nomic;
mod qwen3;
mod roberta;
mod rotary;

use serde_json::json;

use super::heads::Heads;
use super::names::Names;
use super::spec::EncoderSpec;
use crate::embeddings::config_file::ConfigFile;
use crate::models::Error;

/// What is known of a model from its family and its config.
#[derive(Clone)]
pub(in super::super) struct Family {
    pub(in super::super) spec: EncoderSpec,
    pub(in super::super) names: Names,
    pub(in super::super) heads: Heads,
}

/// Refuses what no family runs, under keys that all of transformers' configs have.
fn require_plain(config: &ConfigFile) -> Result<(), Error> {
    config.require("quantization_config", &[])?;
    config.require("add_cross_attention", &[json!(false)])?;
    config.require("is_encoder_decoder", &[json!(false)])?;
    config.require("pruned_heads", &[json!({})])
}

/// Reads a config by its `model_type`.
pub(in super::super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    require_plain(config)?;
    let mut family = read_architecture(config)?;
    family.heads.tied = config.flag_or("tie_word_embeddings", true)?;
    Ok(family)
}

fn read_architecture(config: &ConfigFile) -> Result<Family, Error> {
    match config.text("model_type") {
        Some("bert") => bert::read(config),
        Some("roberta" | "xlm-roberta" | "camembert") => roberta::read(config),
        Some("distilbert") => distilbert::read(config),
        Some("mpnet") => mpnet::read(config),
        Some("nomic_bert") => nomic::read(config),
        Some("new" | "gte") => gte::read(config),
        Some("modernbert") => modernbert::read(config),
        Some("qwen3") => qwen3::read(config),
        Some("gemma3_text") => gemma3::read(config),
        _ => Err(config.unsupported(
            "model_type",
            "bert, roberta, xlm-roberta, camembert, distilbert, mpnet, nomic_bert, new, gte, \
             modernbert, qwen3, gemma3_text",
        )),
    }
}
