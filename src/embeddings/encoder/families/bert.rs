//! BERT (Devlin et al. 2019, arXiv 1810.04805) and JinaBERT v2 (Günther et al. 2023, arXiv
//! 2310.19923), which is BERT with ALiBi and a gated feed-forward layer under the same type.

use serde_json::json;

use super::super::heads::{HeadLayer, Heads};
use super::super::names::Names;
use super::super::spec::{
    AttentionSpec, DistanceBias, EmbeddingSpec, EncoderSpec, FeedForwardSpec, Gate, LayerSpec,
    NormPlacement, NormSpec, Positions,
};
use super::Family;
use crate::compute::{Activation, Mask, NormKind};
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

pub(super) const NAMES: Names = Names {
    spellings: Spellings::prefixed(&["bert."]),
    word: "embeddings.word_embeddings.weight",
    position: "embeddings.position_embeddings.weight",
    token_type: "embeddings.token_type_embeddings.weight",
    embedding_norm: "embeddings.LayerNorm",
    layer: "encoder.layer.",
    qkv: &["attention.self.query", "attention.self.key", "attention.self.value"],
    query_norm: "",
    key_norm: "",
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    attention_output_norm: "",
    up: &["intermediate.dense"],
    down: "output.dense",
    feed_forward_norm: "output.LayerNorm",
    feed_forward_output_norm: "",
    final_norm: "",
    distance_bias: "",
};

pub(super) const HEADS: Heads = Heads {
    classifier: &[
        HeadLayer::Dense { name: "pooler.dense", activation: Some(Activation::Tanh), bias: true },
        HeadLayer::Labels { name: "classifier" },
    ],
    masked_lm: &[
        HeadLayer::Dense { name: "cls.predictions.transform.dense", activation: None, bias: true },
        HeadLayer::Norm { name: "cls.predictions.transform.LayerNorm" },
    ],
    decoder: &["cls.predictions.decoder", "cls.predictions"],
    tied: true,
    check: |_| Ok(()),
};

/// What families call the same fields.
pub(super) struct Keys {
    pub(super) hidden: &'static str,
    pub(super) heads: &'static str,
    pub(super) layers: &'static str,
    pub(super) intermediate: &'static str,
    pub(super) positions: &'static str,
    pub(super) activation: &'static str,
    pub(super) eps: &'static str,
}

pub(super) const KEYS: Keys = Keys {
    hidden: "hidden_size",
    heads: "num_attention_heads",
    layers: "num_hidden_layers",
    intermediate: "intermediate_size",
    positions: "max_position_embeddings",
    activation: "hidden_act",
    eps: "layer_norm_eps",
};

/// A plain BERT's description, which its relatives change.
pub(super) fn read_spec(config: &ConfigFile, keys: &Keys) -> Result<EncoderSpec, Error> {
    let hidden = config.size(keys.hidden)?;
    let heads = config.size(keys.heads)?;
    let head_dim = config.head_dim(keys.heads, hidden, heads)?;
    let layers = config.layers(keys.layers)?;
    let rows = config.size(keys.positions)?;
    Ok(EncoderSpec {
        vocabulary: config.size("vocab_size")?,
        max_tokens: rows,
        hidden,
        embedding: EmbeddingSpec {
            positions: Positions::Absolute { rows },
            token_types: config.count_or("type_vocab_size", 2)?,
            norm: true,
            scale: 1.0,
        },
        attention: AttentionSpec {
            heads,
            kv_heads: heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            qkv_bias: true,
            output_bias: true,
            head_norms: false,
            bias: DistanceBias::None,
        },
        feed_forward: FeedForwardSpec {
            intermediate: config.size(keys.intermediate)?,
            activation: config.activation(keys.activation, Activation::Gelu)?,
            gate: Gate::None,
            up_bias: true,
            down_bias: true,
        },
        norm: NormSpec {
            kind: NormKind::Layer,
            eps: config.float_or(keys.eps, 1e-12)?,
            bias: true,
            offset: 0.0,
            placement: NormPlacement::Post,
        },
        layers: vec![LayerSpec { mask: Mask::Full, rotary: None }; layers],
    })
}

/// BERT, or JinaBERT v2 where positions are ALiBi's.
pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    if config.text("position_embedding_type") == Some("alibi") {
        return read_jina(config);
    }
    config.require("position_embedding_type", &[json!("absolute")])?;
    config.require("is_decoder", &[json!(false)])?;
    Ok(Family { spec: read_spec(config, &KEYS)?, names: NAMES, heads: HEADS })
}

fn read_jina(config: &ConfigFile) -> Result<Family, Error> {
    let mut spec = read_spec(config, &KEYS)?;
    spec.embedding.positions = Positions::None;
    spec.attention.bias = DistanceBias::Alibi;
    spec.feed_forward.activation = match config.text("feed_forward_type") {
        Some("geglu") => Activation::Gelu,
        Some("reglu") => Activation::Relu,
        _ => return Err(config.unsupported("feed_forward_type", "geglu, reglu")),
    };
    spec.feed_forward.gate = Gate::ActivatedFirst;
    spec.feed_forward.up_bias = false;
    let names = Names {
        up: &["mlp.gated_layers"],
        down: "mlp.wo",
        feed_forward_norm: "mlp.layernorm",
        ..NAMES
    };
    Ok(Family { spec, names, heads: HEADS })
}
