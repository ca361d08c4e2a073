//! `MPNet` (Song et al. 2020, arXiv 2004.09297): BERT's layers with `RoBERTa`'s positions, and a
//! bias by bucket of distance on every attention score.

use super::super::names::Names;
use super::super::spec::DistanceBias;
use super::{Family, bert, roberta};
use crate::embeddings::config_file::ConfigFile;
use crate::embeddings::spellings::Spellings;
use crate::models::Error;

const NAMES: Names = Names {
    spellings: Spellings::prefixed(&["mpnet."]),
    token_type: "",
    qkv: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    distance_bias: "encoder.relative_attention_bias.weight",
    ..bert::NAMES
};

/// transformers' code has it, whatever a config calls its padding token.
const PADDING_ID: usize = 1;
/// Not in any config: transformers' code has it as a default.
const MAX_DISTANCE: usize = 128;

pub(super) fn read(config: &ConfigFile) -> Result<Family, Error> {
    let mut spec = bert::read_spec(config, &bert::KEYS)?;
    roberta::count_after(PADDING_ID, &mut spec, config)?;
    spec.embedding.token_types = 0;
    let count = config.size_or("relative_attention_num_buckets", 32)?;
    // Half of the buckets are for keys before the query, and half of those for single distances.
    if !count.is_multiple_of(4) || count >= 4 * MAX_DISTANCE {
        return Err(config.unsupported("relative_attention_num_buckets", "4, 8, ... 508"));
    }
    spec.attention.bias = DistanceBias::Buckets { count, max_distance: MAX_DISTANCE };
    Ok(Family { spec, names: NAMES, heads: roberta::HEADS })
}
