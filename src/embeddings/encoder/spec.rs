//! The description that an encoder runs from.

use crate::compute::{Activation, Mask, NormKind};

/// Geometry and conventions of a transformer encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSpec {
    /// Rows of the word table.
    pub vocabulary: usize,
    /// The longest sequence that positions allow.
    pub max_tokens: usize,
    /// Columns of the hidden state, `H`.
    pub hidden: usize,
    /// How tokens become the first hidden state.
    pub embedding: EmbeddingSpec,
    /// What all attention layers have in common.
    pub attention: AttentionSpec,
    /// The feed-forward layers.
    pub feed_forward: FeedForwardSpec,
    /// The norms.
    pub norm: NormSpec,
    /// What differs from layer to layer, first to last.
    pub layers: Vec<LayerSpec>,
}

/// How tokens become the first hidden state.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingSpec {
    /// A learned table of positions, or none.
    pub positions: Positions,
    /// Rows of the segment table, 0 for none.
    pub token_types: usize,
    /// Whether a norm follows.
    pub norm: bool,
    /// Factor on the word table.
    pub scale: f32,
}

/// Learned positions that are added to the word vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// None.
    None,
    /// Row 0 for the first token.
    Absolute {
        /// Rows of the table.
        rows: usize,
    },
    /// As RoBERTa counts: the first token has the row after `padding_id`, and a padding token
    /// within the text has row `padding_id` and is not counted.
    AfterPadding {
        /// Rows of the table.
        rows: usize,
        /// The padding token.
        padding_id: u32,
    },
}

/// What all attention layers have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionSpec {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// Whether the fused projection has a bias.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub output_bias: bool,
    /// Whether query and key heads are normalised.
    pub head_norms: bool,
    /// What is added to the scores.
    pub bias: DistanceBias,
}

/// What is added to attention scores by the distance of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceBias {
    /// Nothing.
    None,
    /// A slope a head (arXiv 2108.12409).
    Alibi,
    /// A learned table of buckets of distances, as in T5 (arXiv 1910.10683).
    Buckets {
        /// Rows of the table.
        count: usize,
        /// Distances from here on share a bucket.
        max_distance: usize,
    },
}

/// The feed-forward layers.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForwardSpec {
    /// Columns within.
    pub intermediate: usize,
    /// The nonlinearity.
    pub activation: Activation,
    /// Whether a linear half gates the activated one, and which comes first where one tensor
    /// holds both.
    pub gate: Gate,
    /// Whether the first product has a bias.
    pub up_bias: bool,
    /// Whether the second product has a bias.
    pub down_bias: bool,
}

/// The halves of a gated feed-forward layer's first product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Not gated.
    None,
    /// The half that is activated comes first.
    ActivatedFirst,
    /// The half that is activated comes last.
    ActivatedLast,
}

/// The norms.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSpec {
    /// The statistic.
    pub kind: NormKind,
    /// Added to the statistic under its root.
    pub eps: f32,
    /// Whether they have a bias.
    pub bias: bool,
    /// Added to every stored weight: 1 where checkpoints store the difference from 1.
    pub offset: f32,
    /// Where they stand.
    pub placement: NormPlacement,
}

/// Where norms stand in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// After each residual sum, as in BERT.
    Post,
    /// Before each sublayer, and once at the end (arXiv 2002.04745).
    Pre {
        /// Whether the first layer's attention has one; ModernBERT's follows the embedding's.
        first: bool,
    },
    /// Before and after each sublayer, and once at the end, as in Gemma 3.
    Sandwich,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// Visible keys.
    pub mask: Mask,
    /// Rotary positions.
    pub rotary: Option<Rotary>,
}

/// The angles of rotary positions (arXiv 2104.09864).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// Pair `j` of `d / 2` turns by `base^(-2j/d)` a position.
    pub base: f32,
    /// How the angles are changed for longer texts.
    pub scaling: RotaryScaling,
}

/// Changes of rotary angles for texts longer than those of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RotaryScaling {
    /// None.
    None,
    /// Positions divided by this factor (arXiv 2306.15595).
    Linear(f32),
    /// The base times this factor, and angles divided by `factor^(2/d)`: GTE's fixed form of
    /// NTK-aware scaling.
    Ntk(f32),
}

impl Rotary {
    /// Radians a position of every pair, in f32 step by step as transformers computes them.
    #[must_use]
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let dim = head_dim as f32;
        let (base, divisor) = match self.scaling {
            RotaryScaling::None => (self.base, 1.0),
            RotaryScaling::Linear(factor) => (self.base, factor),
            RotaryScaling::Ntk(factor) => (self.base * factor, factor.powf(2.0 / dim)),
        };
        let power = |exponent: f32| f64::from(base).powf(f64::from(exponent)) as f32;
        let pairs = (0..head_dim / 2).map(|pair| (2 * pair) as f32 / dim);
        pairs.map(|exponent| 1.0 / power(exponent) / divisor).collect()
    }
}

impl EncoderSpec {
    /// Floating-point operations of a forward pass over one sequence of `tokens`: two for each
    /// multiply-add of the matrix products, nothing else.
    #[must_use]
    pub fn flops(&self, tokens: usize) -> f64 {
        let AttentionSpec { heads, kv_heads, head_dim, .. } = self.attention;
        let halves = if self.feed_forward.gate == Gate::None { 2 } else { 3 };
        let projections = 2 * self.hidden * (heads + kv_heads) * head_dim;
        let dense = projections + halves * self.hidden * self.feed_forward.intermediate;
        let products = self.layers.iter().map(|layer| {
            let keys: usize = (0..tokens).map(|query| layer.mask.keys(query, tokens).len()).sum();
            tokens as f64 * dense as f64 + 2.0 * keys as f64 * (heads * head_dim) as f64
        });
        2.0 * products.sum::<f64>()
    }
}
