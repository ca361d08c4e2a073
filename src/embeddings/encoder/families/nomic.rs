//! `NomicBERT` (Nussbaum et al. 2024, arXiv 2402.01613): BERT's order with rotary positions and a
//! gated feed-forward layer.

use serde_json::json;

use super::super::names::Names;
use super::super::spec::{Gate, LayerSpec, Positions};
use super::bert::{self, Keys};
use super::{Family, rotary};
use crate::compute::{Activation, Mask};
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

/// As published, and as transformers has them.
const SPELLINGS: Spellings = Spellings {
    prefixes: &["bert.", "nomic_bert."],
    parts: &[
        ("encoder.layers", "layers"),
        ("emb_ln", "embeddings.LayerNorm"),
        ("attn.out_proj", "self_attn.o_proj"),
        ("fc11", "up_proj"),
        ("fc12", "gate_proj"),
        ("fc2", "down_proj"),
        ("norm1", "post_attention_layernorm"),
        ("norm2", "post_mlp_layernorm"),
    ],
    split: &[("attn.Wqkv", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"])],
};

const NAMES: Names = Names {
    spellings: SPELLINGS,
    position: "",
    embedding_norm: "emb_ln",
    layer: "encoder.layers.",
    qkv: &["attn.Wqkv"],
    output: "attn.out_proj",
    attention_norm: "norm1",
    up: &["mlp.fc12", "mlp.fc11"],
    down: "mlp.fc2",
    feed_forward_norm: "norm2",
    ..bert::NAMES
};

/// The keys of the model's own code, which are those of GPT-2.
const KEYS: Keys = Keys {
    hidden: "n_embd",
    heads: "n_head",
    layers: "n_layer",
    intermediate: "n_inner",
    positions: "n_positions",
    // Under `activation_function`, which `require_own_form` holds to the family's gate.
    activation: "hidden_act",
    eps: "layer_norm_epsilon",
};

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    let own = config.has("n_embd");
    if own {
        require_own_form(config)?;
    } else {
        config.require("hidden_act", &[json!("silu"), json!("swish")])?;
    }
    let mut spec = bert::read_spec(config, if own { &KEYS } else { &bert::KEYS })?;
    let rotary = Some(rotary::read(config, "rotary_emb_base", 1_000.0)?);
    spec.embedding.positions = Positions::None;
    spec.attention.qkv_bias = false;
    spec.attention.output_bias = false;
    spec.feed_forward.activation = Activation::Silu;
    spec.feed_forward.gate = Gate::ActivatedFirst;
    spec.feed_forward.up_bias = false;
    spec.feed_forward.down_bias = false;
    let layers = spec.layers.len();
    spec.layers = vec![LayerSpec { mask: Mask::Full, rotary }; layers];
    Ok(Family { spec, names: NAMES, heads: bert::HEADS })
}

/// Refuses what no published model of this family has.
fn require_own_form(config: &ConfigFile) -> Result<(), Error> {
    // Where these are absent, the model's own code takes another form than the published one.
    for field in ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"] {
        config.require_present(field, &[json!(false)])?;
    }
    config.require_present("activation_function", &[json!("swiglu")])?;
    config.require_present("rotary_emb_fraction", &[json!(1.0), json!(1)])?;
    config.require("rotary_scaling_factor", &[])?;
    config.require("rotary_emb_scale_base", &[])?;
    config.require("num_experts", &[json!(0)])?;
    for field in ["prenorm", "use_rms_norm", "rotary_emb_interleaved", "causal", "parallel_block"] {
        config.require(field, &[json!(false)])?;
    }
    Ok(())
}
