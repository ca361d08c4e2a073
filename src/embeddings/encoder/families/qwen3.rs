//! Qwen3 (arXiv 2505.09388) as an embedding model (arXiv 2506.05176): a causal decoder whose last
//! token is the text's vector.

use serde_json::json;

use super::super::heads::Heads;
use super::super::names::Names;
use super::super::spec::{
    AttentionSpec, DistanceBias, EmbeddingSpec, EncoderSpec, FeedForwardSpec, Gate, LayerSpec,
    NormPlacement, NormSpec, Positions,
};
use super::{Family, bert, rotary};
use crate::compute::{Activation, Mask, NormKind};
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

pub(super) const NAMES: Names = Names {
    spellings: Spellings::prefixed(&["model."]),
    word: "embed_tokens.weight",
    position: "",
    token_type: "",
    embedding_norm: "",
    layer: "layers.",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    attention_norm: "input_layernorm",
    up: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    feed_forward_norm: "post_attention_layernorm",
    final_norm: "norm",
    ..bert::NAMES
};

/// Columns of a head where the config does not say: transformers' default.
const HEAD_DIM: usize = 128;

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    config.require("use_sliding_window", &[json!(false)])?;
    config.require("is_causal", &[json!(true)])?;
    config.require("use_bidirectional_attention", &[json!(false)])?;
    if config.list("layer_types").iter().any(|kind| *kind != "full_attention") {
        return Err(config.unsupported("layer_types", "full_attention for every layer"));
    }
    let rotary = Some(rotary::read(config, "rope_theta", 1_000_000.0)?);
    let layers = config.layers("num_hidden_layers")?;
    let mut spec = read_decoder(config, HEAD_DIM)?;
    spec.layers = vec![LayerSpec { mask: Mask::Causal, rotary }; layers];
    Ok(Family { spec, names: NAMES, heads: Heads::NONE })
}

/// A decoder's description without its layers; heads have `head_dim` columns where the config
/// does not say.
pub(super) fn read_decoder(config: &ConfigFile, head_dim: usize) -> Result<EncoderSpec, Error> {
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.size_or("num_key_value_heads", heads)?;
    if !heads.is_multiple_of(kv_heads) {
        return Err(config.unsupported("num_key_value_heads", "a divisor of num_attention_heads"));
    }
    let head_dim = config.size_or("head_dim", head_dim)?;
    let attention_bias = config.flag_or("attention_bias", false)?;
    Ok(EncoderSpec {
        vocabulary: config.size("vocab_size")?,
        max_tokens: config.size("max_position_embeddings")?,
        hidden,
        embedding: EmbeddingSpec {
            positions: Positions::None,
            token_types: 0,
            norm: false,
            scale: 1.0,
        },
        attention: AttentionSpec {
            heads,
            kv_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            qkv_bias: attention_bias,
            output_bias: attention_bias,
            head_norms: true,
            bias: DistanceBias::None,
        },
        feed_forward: FeedForwardSpec {
            intermediate: config.size("intermediate_size")?,
            activation: config.activation("hidden_act", Activation::Silu)?,
            gate: Gate::ActivatedFirst,
            up_bias: false,
            down_bias: false,
        },
        norm: NormSpec {
            kind: NormKind::Rms,
            eps: config.float_or("rms_norm_eps", 1e-6)?,
            bias: false,
            offset: 0.0,
            placement: NormPlacement::Pre { first: true },
        },
        layers: Vec::new(),
    })
}
