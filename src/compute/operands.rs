//! What the operations of [`Exec`](super::Exec) take: weights as stored, tokens, masks, spans.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::error::{Error, check_len};

/// Which pairs of row `i` of one matrix and row `j` of another are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// All.
    All,
    /// Those with `i != j`.
    Distinct,
    /// Those with `i < j`, for a matrix with itself: half the work.
    Upper,
}

impl Pairs {
    /// Whether rows `i` and `j` are looked at.
    pub(super) fn contain(self, i: usize, j: usize) -> bool {
        match self {
            Self::All => true,
            Self::Distinct => i != j,
            Self::Upper => i < j,
        }
    }
}

/// Whether a row's bits may depend on what else is in its batch, where a library's products are
/// used: on CUDA alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// Never: one algorithm a layer, whatever the batch.
    #[default]
    Exact,
    /// The algorithm that the library finds best for a batch's size.
    Fast,
}

/// How exact a dense layer is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In the form's dtype.
    Working,
    /// In f32 whatever the dtype: heads, which run once a text.
    Full,
}

impl Precision {
    /// What a layer runs in where the form's dtype is `working`.
    pub(super) fn dtype(self, working: Dtype) -> Dtype {
        match self {
            Self::Working => working,
            Self::Full => Dtype::F32,
        }
    }
}

/// A dense layer's weights as stored: `weight: [out, in]`, `bias: [out]`.
#[derive(Debug, Clone, Copy)]
pub struct DenseWeights<'a> {
    /// `[out_features, in_features]` f32 row-major.
    pub weight: &'a [f32],
    /// `[out_features]` f32.
    pub bias: Option<&'a [f32]>,
    /// Columns of `weight`.
    pub in_features: usize,
}

/// Which statistic a norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `(x - mean) / sqrt(variance + eps)` (Ba et al. 2016, arXiv 1607.06450).
    Layer,
    /// `x / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, arXiv 1910.07467).
    Rms,
}

/// A norm over `[H]`.
#[derive(Debug, Clone, Copy)]
pub struct NormWeights<'a> {
    /// The statistic.
    pub kind: NormKind,
    /// `[H]` f32, multiplied last.
    pub weight: &'a [f32],
    /// `[H]` f32, added last.
    pub bias: Option<&'a [f32]>,
    /// Added to the statistic under its root.
    pub eps: f32,
}

/// Embedding tables, `[entries, H]` each, which are summed for every token.
#[derive(Debug, Clone, Copy)]
pub struct TableWeights<'a> {
    /// Columns of every table.
    pub hidden: usize,
    /// `[vocabulary, H]` f32.
    pub word: &'a [f32],
    /// `[positions, H]` f32; models with rotary positions have none.
    pub position: Option<&'a [f32]>,
    /// `[types, H]` f32.
    pub token_type: Option<&'a [f32]>,
}

/// The tokens of a packed batch, `[T]` each.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Vocabulary indices.
    pub ids: &'a [u32],
    /// Segment indices.
    pub type_ids: &'a [u32],
    /// Position of each token in its sequence.
    pub positions: &'a [u32],
}

/// A nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * Phi(x)` with the exact normal distribution function (erf), arXiv 1606.08415.
    Gelu,
    /// Its approximation by tanh: `gelu_new` and `gelu_pytorch_tanh` in configs.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
}

/// What is applied to a dense layer's output while it is still in cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// The output as it is.
    None,
    /// Each value through the nonlinearity.
    Activate(Activation),
    /// A gated linear unit (arXiv 2002.05202): the first half of the columns through the
    /// nonlinearity, times the second half; the output has half the columns.
    Gate(Activation),
}

impl Epilogue {
    /// Columns of the output of a layer of `features`.
    ///
    /// # Errors
    /// When a gated layer's features are odd.
    pub(super) fn columns(self, features: usize) -> Result<usize, Error> {
        match self {
            Self::None | Self::Activate(_) => Ok(features),
            Self::Gate(_) => {
                check_len("gated features beyond pairs", features % 2, 0)?;
                Ok(features / 2)
            }
        }
    }
}

/// What is added to an attention score before the softmax, by the distance of its key.
#[derive(Debug, Clone, Copy)]
pub enum BiasWeights<'a> {
    /// `-slope * |key - query|`, one slope a head (ALiBi, arXiv 2108.12409, in its symmetric form).
    Slopes(&'a [f32]),
    /// `values[head][clamp(key - query, -radius, radius) + radius]`: `[heads, 2 * radius + 1]`.
    Table {
        /// f32 row-major.
        values: &'a [f32],
        /// The largest distance that is told apart.
        radius: usize,
    },
}

impl BiasWeights<'_> {
    /// Refuses a table that is no whole number of heads.
    pub(super) fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Slopes(_) => Ok(()),
            Self::Table { values, radius } => {
                check_len("bias beyond whole heads", values.len() % (2 * radius + 1), 0)
            }
        }
    }
}

/// Rotary position embedding (RoPE, arXiv 2104.09864): pair `j` of a head, its columns `j` and
/// `j + head_dim / 2`, turns by `position * frequencies[j]`.
#[derive(Debug, Clone, Copy)]
pub struct RotaryWeights<'a> {
    /// `[head_dim / 2]` radians a position.
    pub frequencies: &'a [f32],
    /// Positions that occur are below this.
    pub positions: usize,
}

impl RotaryWeights<'_> {
    /// Cosines and sines, `[positions, head_dim / 2]` each. The angle is a product in f32, as in
    /// transformers: at distant positions its rounding is what models were trained and run with.
    pub(super) fn tables(&self) -> (Vec<f32>, Vec<f32>) {
        let angles = (0..self.positions).flat_map(|position| {
            self.frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
    }
}

/// Which keys a query may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All keys of its sequence.
    Full,
    /// Keys up to and including its own position.
    Causal,
    /// Keys at most `radius` positions away.
    Local {
        /// Positions to either side.
        radius: usize,
    },
}

impl Mask {
    /// The keys that the query at `query` sees in a sequence of `len` tokens.
    #[must_use]
    pub fn keys(self, query: usize, len: usize) -> Range<usize> {
        match self {
            Self::Full => 0..len,
            Self::Causal => 0..query + 1,
            Self::Local { radius } => query.saturating_sub(radius)..len.min(query + radius + 1),
        }
    }
}

/// The geometry of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`. Query head `h` reads key head `h * kv_heads / heads`.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Factor on the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Visible keys.
    pub mask: Mask,
}

impl Attention {
    /// The key and value head that query head `head` reads.
    pub(super) fn kv_head(&self, head: usize) -> usize {
        head * self.kv_heads / self.heads
    }

    /// Columns of the fused projection: queries, then keys, then values.
    #[must_use]
    pub fn qkv_dim(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }
}

/// How the rows of a span become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Arithmetic mean over the span.
    Mean,
    /// The span's first token.
    Cls,
    /// The span's last token.
    LastToken,
}

/// A run of tokens `start..end` within sequence `seq` of a batch; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the sequence.
    pub seq: u32,
    /// First token, counted in the sequence, special tokens included.
    pub start: u32,
    /// One past the last token.
    pub end: u32,
}

impl Span {
    /// The packed rows of this span.
    ///
    /// # Errors
    /// When the sequence is not in the batch or the span is empty or reaches past its sequence.
    pub fn rows(&self, cu_seqlens: &[u32]) -> Result<Range<usize>, Error> {
        let seq = self.seq as usize;
        let sequences = cu_seqlens.len().saturating_sub(1);
        if seq >= sequences {
            return Err(Error::Index { what: "sequence", index: seq, limit: sequences });
        }
        let (first, last) = (cu_seqlens[seq], cu_seqlens[seq + 1]);
        if self.start >= self.end || self.end > last - first {
            return Err(Error::Index {
                what: "span end",
                index: self.end as usize,
                limit: (last - first) as usize + 1,
            });
        }
        Ok((first + self.start) as usize..(first + self.end) as usize)
    }
}

/// How pooled rows become vectors: sliced to `dims`, then normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// Leading columns to keep (Matryoshka representation learning, arXiv 2205.13147).
    pub dims: usize,
    /// Divide by the L2 norm, as `torch.nn.functional.normalize` does.
    pub normalize: bool,
}

impl Finish {
    /// Refuses dimensions that rows of `cols` do not have.
    pub(super) fn check(&self, cols: usize) -> Result<(), Error> {
        if self.dims == 0 || self.dims > cols {
            return Err(Error::Index { what: "dimensions", index: self.dims, limit: cols + 1 });
        }
        Ok(())
    }
}
