//! `RoBERTa` (Liu et al. 2019, arXiv 1907.11692), XLM-RoBERTa (arXiv 1911.02116) and `CamemBERT`
//! (arXiv 1911.03894): BERT's layers, with positions counted from the padding token's id.

use serde_json::json;

use super::super::heads::{HeadLayer, Heads};
use super::super::names::Names;
use super::super::spec::{EncoderSpec, Positions};
use super::{Family, bert};
use crate::compute::Activation;
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

const NAMES: Names = Names { spellings: Spellings::prefixed(&["roberta."]), ..bert::NAMES };

pub(super) const HEADS: Heads = Heads {
    classifier: &[
        HeadLayer::Dense {
            name: "classifier.dense",
            activation: Some(Activation::Tanh),
            bias: true,
        },
        HeadLayer::Labels { name: "classifier.out_proj" },
    ],
    masked_lm: &[
        HeadLayer::Dense { name: "lm_head.dense", activation: Some(Activation::Gelu), bias: true },
        HeadLayer::Norm { name: "lm_head.layer_norm" },
    ],
    decoder: &["lm_head.decoder", "lm_head"],
    tied: true,
    check: |_| Ok(()),
};

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    config.require("position_embedding_type", &[json!("absolute")])?;
    config.require("is_decoder", &[json!(false)])?;
    let mut spec = bert::read_spec(config, &bert::KEYS)?;
    count_after(config.count_or("pad_token_id", 1)?, &mut spec, config)?;
    Ok(Family { spec, names: NAMES, heads: HEADS })
}

/// Positions as in `RoBERTa`; the rows up to the padding token's are no token's.
pub(super) fn count_after(
    padding_id: usize,
    spec: &mut EncoderSpec,
    config: &ConfigFile,
) -> Result<(), Error> {
    if padding_id + 1 >= spec.max_tokens {
        return Err(config.unsupported("pad_token_id", "less than max_position_embeddings - 1"));
    }
    let rows = spec.max_tokens;
    spec.max_tokens -= padding_id + 1;
    spec.embedding.positions = Positions::AfterPadding { rows, padding_id: padding_id as u32 };
    Ok(())
}
