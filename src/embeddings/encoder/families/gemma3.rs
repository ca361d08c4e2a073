//! `EmbeddingGemma` (arXiv 2509.20354): Gemma 3 (arXiv 2503.19786) with attention to both sides.

use serde_json::json;

use super::super::heads::Heads;
use super::super::names::Names;
use super::super::spec::NormPlacement;
use super::{Family, alternating, qwen3};
use crate::compute::Activation;
use crate::embeddings::config_file::ConfigFile;
use crate::models::Error;

const NAMES: Names = Names {
    attention_output_norm: "post_attention_layernorm",
    feed_forward_norm: "pre_feedforward_layernorm",
    feed_forward_output_norm: "post_feedforward_layernorm",
    ..qwen3::NAMES
};

/// Columns of a head where the config does not say: transformers' default.
const HEAD_DIM: usize = 256;

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    config.require("use_bidirectional_attention", &[json!(true)])?;
    if !config.has("use_bidirectional_attention") {
        return Err(config.unsupported("use_bidirectional_attention", "true"));
    }
    config.require("attn_logit_softcapping", &[])?;
    config.require("rope_scaling", &[])?;
    let mut spec = qwen3::read_decoder(config, HEAD_DIM)?;
    spec.embedding.scale = (spec.hidden as f32).sqrt();
    spec.attention.scale = 1.0 / config.float_or("query_pre_attn_scalar", 256.0)?.sqrt();
    spec.feed_forward.activation = config.activation("hidden_activation", Activation::GeluTanh)?;
    // Checkpoints store the difference of a norm's weights from 1.
    spec.norm.offset = 1.0;
    spec.norm.placement = NormPlacement::Sandwich;

    let pattern = config.size_or("sliding_window_pattern", 6)?;
    let radius = config.size_or("sliding_window", 4_096)? / 2;
    let bases = [("rope_theta", 1_000_000.0), ("rope_local_base_freq", 10_000.0)];
    let rotaries = alternating::rotaries(config, bases)?;
    let kinds =
        alternating::layer_kinds(config, "num_hidden_layers", |layer| (layer + 1) % pattern == 0)?;
    spec.layers = alternating::layers(kinds, rotaries, radius);
    Ok(Family { spec, names: NAMES, heads: Heads::NONE })
}
