//! `DistilBERT` (Sanh et al. 2019, arXiv 1910.01108): BERT's layers without segments, under names
//! of its own.

use super::super::heads::{HeadLayer, Heads};
use super::super::names::Names;
use super::Family;
use super::bert::{self, Keys};
use crate::compute::Activation;
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

const NAMES: Names = Names {
    spellings: Spellings::prefixed(&["distilbert."]),
    token_type: "",
    layer: "transformer.layer.",
    qkv: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: &["ffn.lin1"],
    down: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
    ..bert::NAMES
};

const HEADS: Heads = Heads {
    classifier: &[
        HeadLayer::Dense { name: "pre_classifier", activation: Some(Activation::Relu), bias: true },
        HeadLayer::Labels { name: "classifier" },
    ],
    masked_lm: &[
        HeadLayer::Dense { name: "vocab_transform", activation: None, bias: true },
        HeadLayer::Norm { name: "vocab_layer_norm" },
    ],
    decoder: &["vocab_projector"],
    tied: true,
    check: |_| Ok(()),
};

const KEYS: Keys = Keys {
    hidden: "dim",
    heads: "n_heads",
    layers: "n_layers",
    intermediate: "hidden_dim",
    activation: "activation",
    ..bert::KEYS
};

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    let mut spec = bert::read_spec(config, &KEYS)?;
    spec.embedding.token_types = 0;
    // transformers' code has it; its configs have no such key.
    spec.norm.eps = 1e-12;
    Ok(Family { spec, names: NAMES, heads: HEADS })
}
