//! GTE's "new" encoder (Zhang et al. 2024, arXiv 2407.19669): BERT's order with rotary positions
//! and a gated feed-forward layer.

use serde_json::json;

use super::super::names::Names;
use super::super::spec::{Gate, LayerSpec, Positions, Rotary, RotaryScaling};
use super::{Family, bert, rotary};
use crate::compute::Mask;
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

/// As published, and as transformers has them.
const SPELLINGS: Spellings = Spellings {
    prefixes: &["new.", "gte."],
    parts: &[
        ("encoder.layer", "layers"),
        ("attention.o_proj", "self_attn.o_proj"),
        ("attn_ln", "post_attention_layernorm"),
        ("mlp_ln", "post_mlp_layernorm"),
    ],
    split: &[
        ("attention.qkv_proj", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        ("mlp.up_gate_proj", &["mlp.up_proj", "mlp.gate_proj"]),
    ],
};

const NAMES: Names = Names {
    spellings: SPELLINGS,
    position: "",
    qkv: &["attention.qkv_proj"],
    output: "attention.o_proj",
    attention_norm: "attn_ln",
    up: &["mlp.up_gate_proj"],
    down: "mlp.down_proj",
    feed_forward_norm: "mlp_ln",
    ..bert::NAMES
};

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    config.require("position_embedding_type", &[json!("rope")])?;
    config.require("layer_norm_type", &[json!("layer_norm")])?;
    config.require("pack_qkv", &[json!(true)])?;
    config.require("logn_attention_scale", &[json!(false)])?;
    let mut spec = bert::read_spec(config, &bert::KEYS)?;
    spec.embedding.positions = Positions::None;
    spec.feed_forward.gate = Gate::ActivatedLast;
    spec.feed_forward.up_bias = false;
    let layers = spec.layers.len();
    let rotary = Some(read_rotary(config)?);
    spec.layers = vec![LayerSpec { mask: Mask::Full, rotary }; layers];
    Ok(Family { spec, names: NAMES, heads: bert::HEADS })
}

fn read_rotary(config: &ConfigFile) -> Result<Rotary, Error> {
    if let Some(parameters) = config.object("rope_parameters")? {
        return rotary::read_parameters(&parameters, 160_000.0);
    }
    let scaling = match config.object("rope_scaling")? {
        Some(scaling) => {
            scaling.require("type", &[json!("ntk")])?;
            // The mixed form has a further term.
            scaling.require("mixed_b", &[])?;
            RotaryScaling::Ntk(scaling.float_or("factor", 1.0)?)
        }
        None => RotaryScaling::None,
    };
    Ok(Rotary { base: config.float_or("rope_theta", 10_000.0)?, scaling })
}
