//! `ModernBERT` (Warner et al. 2024, arXiv 2412.13663): pre-norm, gated, with attention that
//! alternates between the whole text and a window.

use serde_json::json;

use super::super::heads::{HeadLayer, Heads};
use super::super::names::Names;
use super::super::spec::{
    AttentionSpec, DistanceBias, EmbeddingSpec, EncoderSpec, FeedForwardSpec, Gate, LayerSpec,
    NormPlacement, NormSpec, Positions,
};
use super::{Family, alternating, bert};
use crate::compute::{Activation, NormKind};
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

const NAMES: Names = Names {
    spellings: Spellings::prefixed(&["model."]),
    word: "embeddings.tok_embeddings.weight",
    position: "",
    token_type: "",
    embedding_norm: "embeddings.norm",
    layer: "layers.",
    qkv: &["attn.Wqkv"],
    output: "attn.Wo",
    attention_norm: "attn_norm",
    up: &["mlp.Wi"],
    down: "mlp.Wo",
    feed_forward_norm: "mlp_norm",
    final_norm: "final_norm",
    ..bert::NAMES
};

const HEADS: Heads = Heads {
    classifier: &[
        HeadLayer::Dense { name: "head.dense", activation: Some(Activation::Gelu), bias: false },
        HeadLayer::Norm { name: "head.norm" },
        HeadLayer::Labels { name: "classifier" },
    ],
    masked_lm: &[
        HeadLayer::Dense { name: "head.dense", activation: Some(Activation::Gelu), bias: false },
        HeadLayer::Norm { name: "head.norm" },
    ],
    decoder: &["decoder"],
    tied: true,
    check: |config| {
        config.require("classifier_activation", &[json!("gelu")])?;
        config.require("classifier_bias", &[json!(false)])
    },
};

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let head_dim = config.head_dim("num_attention_heads", hidden, heads)?;
    let attention_bias = config.flag_or("attention_bias", false)?;
    let mlp_bias = config.flag_or("mlp_bias", false)?;
    let spec = EncoderSpec {
        vocabulary: config.size("vocab_size")?,
        max_tokens: config.size("max_position_embeddings")?,
        hidden,
        embedding: EmbeddingSpec {
            positions: Positions::None,
            token_types: 0,
            norm: true,
            scale: 1.0,
        },
        attention: AttentionSpec {
            heads,
            kv_heads: heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            qkv_bias: attention_bias,
            output_bias: attention_bias,
            head_norms: false,
            bias: DistanceBias::None,
        },
        feed_forward: FeedForwardSpec {
            intermediate: config.size("intermediate_size")?,
            activation: config.activation("hidden_activation", Activation::Gelu)?,
            gate: Gate::ActivatedFirst,
            up_bias: mlp_bias,
            down_bias: mlp_bias,
        },
        norm: NormSpec {
            kind: NormKind::Layer,
            eps: config.float_or("norm_eps", 1e-5)?,
            bias: config.flag_or("norm_bias", false)?,
            offset: 0.0,
            placement: NormPlacement::Pre { first: false },
        },
        layers: read_layers(config)?,
    };
    Ok(Family { spec, names: NAMES, heads: HEADS })
}

fn read_layers(config: &ConfigFile) -> Result<Vec<LayerSpec>, Error> {
    let every = config.size_or("global_attn_every_n_layers", 3)?;
    config.require("rope_scaling", &[])?;
    let radius = config.size_or("local_attention", 128)? / 2;
    let bases = [("global_rope_theta", 160_000.0), ("local_rope_theta", 10_000.0)];
    let rotaries = alternating::rotaries(config, bases)?;
    let kinds = alternating::layer_kinds(config, "num_hidden_layers", |layer| layer % every == 0)?;
    Ok(alternating::layers(kinds, rotaries, radius))
}
