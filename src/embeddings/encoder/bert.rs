//! BERT (Devlin et al. 2019, arXiv 1810.04805): its `config.json` and its tensors' names.

use serde::Deserialize;

use super::super::Error;
use super::super::folder::Folder;
use super::spec::{Activation, EncoderSpec};
use crate::compute::Mask;

/// The largest value accepted for any size in a config: far above every model, and small enough
/// that products of two do not overflow.
const MAX_SIZE: usize = 1 << 24;

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

/// Where each tensor of a family stands.
pub(super) struct Names {
    pub(super) word: &'static str,
    pub(super) position: &'static str,
    pub(super) token_type: &'static str,
    pub(super) norm: &'static str,
    /// Before a layer's number.
    pub(super) layer: &'static str,
    pub(super) qkv: [&'static str; 3],
    pub(super) output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) layer_norm: &'static str,
}

pub(super) const NAMES: Names = Names {
    word: "embeddings.word_embeddings.weight",
    position: "embeddings.position_embeddings.weight",
    token_type: "embeddings.token_type_embeddings.weight",
    norm: "embeddings.LayerNorm",
    layer: "encoder.layer.",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    layer_norm: "output.LayerNorm",
};

pub(super) fn read_spec(folder: &Folder) -> Result<EncoderSpec, Error> {
    let config: Config = folder.json("config.json")?;
    let unsupported = |field, value: String, supported| Error::Unsupported {
        path: folder.path("config.json"),
        field,
        value,
        supported,
    };
    if config.hidden_act != "gelu" {
        return Err(unsupported("hidden_act", config.hidden_act, "gelu"));
    }
    if let Some(kind) = config.position_embedding_type
        && kind != "absolute"
    {
        return Err(unsupported("position_embedding_type", kind, "absolute"));
    }
    for (field, value) in [
        ("vocab_size", config.vocab_size),
        ("hidden_size", config.hidden_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", config.num_attention_heads),
        ("intermediate_size", config.intermediate_size),
        ("max_position_embeddings", config.max_position_embeddings),
        ("type_vocab_size", config.type_vocab_size),
    ] {
        if value == 0 || value > MAX_SIZE {
            return Err(unsupported(field, value.to_string(), "1 to 16777216"));
        }
    }
    if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        let value = config.num_attention_heads.to_string();
        return Err(unsupported("num_attention_heads", value, "a divisor of hidden_size"));
    }
    Ok(EncoderSpec {
        vocabulary: config.vocab_size,
        max_positions: config.max_position_embeddings,
        token_types: config.type_vocab_size,
        hidden: config.hidden_size,
        intermediate: config.intermediate_size,
        layers: config.num_hidden_layers,
        heads: config.num_attention_heads,
        kv_heads: config.num_attention_heads,
        head_dim: config.hidden_size / config.num_attention_heads,
        mask: Mask::Full,
        activation: Activation::Gelu,
        norm_eps: config.layer_norm_eps,
    })
}
