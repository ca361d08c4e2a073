//! Attention within packed sequences: its geometry, its masks, and biases by distance.

use std::ops::Range;

use super::buffer::Buffers;
use super::error::{Error, check_len};

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

/// Refuses ends of sequences that do not divide `rows` rows: the first is 0, none is below the one
/// before it, and the last is `rows`.
pub(super) fn check_sequences(cu_seqlens: &[u32], rows: usize) -> Result<(), Error> {
    let [first, .., last] = cu_seqlens else {
        return check_len("rows without a sequence", rows, 0);
    };
    check_len("rows before the first sequence", *first as usize, 0)?;
    let out_of_order = cu_seqlens.windows(2).filter(|ends| ends[0] > ends[1]).count();
    check_len("sequences out of order", out_of_order, 0)?;
    check_len("rows of sequences", *last as usize, rows)
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

/// Softmax attention.
pub trait Attend: Buffers {
    /// A bias by distance.
    type Bias: Send + Sync;

    /// Takes a bias by distance.
    ///
    /// # Errors
    /// When a table's length does not fit its radius.
    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Self::Bias, Error>;

    /// Softmax attention within each sequence: `[T, qkv_dim]` to `[T, heads * head_dim]`.
    /// Sequence `i` is rows `cu_seqlens[i]..cu_seqlens[i + 1]`.
    ///
    /// # Errors
    /// When the columns of `qkv` are not `attention.qkv_dim()`.
    fn attention(
        &self,
        qkv: &Self::Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Self::Bias>,
    ) -> Result<Self::Buffer, Error>;
}
