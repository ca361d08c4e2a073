//! Where each tensor of a family stands in its checkpoints.

use super::super::spellings::Spellings;

/// Names of an encoder's tensors. `.weight` and `.bias` follow those of dense layers and norms;
/// what a family does not have is empty.
#[derive(Clone, Copy)]
pub(in super::super) struct Names {
    /// What else they may be called.
    pub(in super::super) spellings: Spellings,
    pub(super) word: &'static str,
    pub(super) position: &'static str,
    pub(super) token_type: &'static str,
    pub(super) embedding_norm: &'static str,
    /// Before a layer's number.
    pub(super) layer: &'static str,
    /// Queries, keys and values, or one tensor of all.
    pub(super) qkv: &'static [&'static str],
    pub(super) query_norm: &'static str,
    pub(super) key_norm: &'static str,
    pub(super) output: &'static str,
    /// Before attention, or after its residual sum.
    pub(super) attention_norm: &'static str,
    /// After attention, before the sum; only in a sandwich.
    pub(super) attention_output_norm: &'static str,
    /// The first product; where gated, the activated half and then the other, or one tensor.
    pub(super) up: &'static [&'static str],
    pub(super) down: &'static str,
    /// Before the feed-forward layer, or after its residual sum.
    pub(super) feed_forward_norm: &'static str,
    /// After the feed-forward layer, before the sum; only in a sandwich.
    pub(super) feed_forward_output_norm: &'static str,
    pub(super) final_norm: &'static str,
    /// `[buckets, heads]`.
    pub(super) distance_bias: &'static str,
}
