//! The contract between the encoder and a device: operations, their arguments and their errors.
//!
//! Matrices are row-major. `T` is the number of tokens in a batch, `H` the hidden size. Every
//! row's arithmetic runs in an order that depends on that row's sequence alone.

use std::ops::Range;

/// What can go wrong below the encoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation of candle failed.
    #[error("tensor operation failed")]
    Candle(#[from] candle_core::Error),
    /// A matrix product was given operands that do not fit.
    #[error("matrix product failed: {0}")]
    Product(rten_gemm::GemmError),
    /// An index lies outside its table.
    #[error("{what} {index} is outside 0..{limit}")]
    Index {
        /// What the index names, such as `token id`.
        what: &'static str,
        /// The value given.
        index: usize,
        /// The number of entries.
        limit: usize,
    },
    /// A length does not match what the operation needs.
    #[error("{what} has {actual} values, expected {expected}")]
    Length {
        /// What was measured.
        what: &'static str,
        /// The length given.
        actual: usize,
        /// The length needed.
        expected: usize,
    },
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

/// Scale and shift of a layer norm, `[H]` each.
#[derive(Debug, Clone, Copy)]
pub struct NormWeights<'a> {
    /// `[H]` f32.
    pub weight: &'a [f32],
    /// `[H]` f32.
    pub bias: &'a [f32],
    /// Added to the variance.
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

/// What is applied to a dense layer's output while it is still in cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// The output as it is.
    None,
    /// `x * Phi(x)` with the exact normal distribution function (erf), not its tanh approximation.
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
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

/// The least L2 norm divided by, as in `torch.nn.functional.normalize`.
pub(super) const MIN_NORM: f32 = 1e-12;

/// The operations of a transformer encoder on one device.
///
/// A buffer is a row-major f32 matrix that stays on the device. Weights are opaque: how a form
/// packs or quantises them is its own affair.
pub trait Exec: Send + Sync + 'static {
    /// Activations `[rows, cols]`.
    type Buffer: Send;
    /// A dense layer.
    type Linear: Send + Sync;
    /// A layer norm.
    type Norm: Send + Sync;
    /// Embedding tables.
    type Tables: Send + Sync;

    /// Device, instruction set and kernels in words, for logs and `doctor`.
    fn describe(&self) -> String;

    /// Packs dense layers that share their input into one; outputs stand side by side in order.
    ///
    /// # Errors
    /// When a length does not fit `in_features`.
    fn load_linear(&self, parts: &[DenseWeights<'_>]) -> Result<Self::Linear, Error>;

    /// Takes a layer norm.
    ///
    /// # Errors
    /// When weight and bias differ in length.
    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Self::Norm, Error>;

    /// Takes embedding tables.
    ///
    /// # Errors
    /// When a table is no multiple of the hidden size.
    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Self::Tables, Error>;

    /// Sums the tables' rows of every token and normalises: `[T, H]`.
    ///
    /// # Errors
    /// When an index lies outside its table.
    fn embed_norm(
        &self,
        tables: &Self::Tables,
        norm: &Self::Norm,
        tokens: Tokens<'_>,
    ) -> Result<Self::Buffer, Error>;

    /// `epilogue(input x weight^T + bias)`: `[rows, in]` to `[rows, out]`.
    ///
    /// # Errors
    /// When the input's columns are not the layer's.
    fn linear(
        &self,
        input: &Self::Buffer,
        linear: &Self::Linear,
        epilogue: Epilogue,
    ) -> Result<Self::Buffer, Error>;

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
    ) -> Result<Self::Buffer, Error>;

    /// `norm(x + residual)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the shapes differ.
    fn residual_norm(
        &self,
        x: Self::Buffer,
        residual: &Self::Buffer,
        norm: &Self::Norm,
    ) -> Result<Self::Buffer, Error>;

    /// One row a span, accumulated in f32: `[spans, H]`.
    ///
    /// # Errors
    /// When a span is empty or outside its sequence.
    fn pool(
        &self,
        hidden: &Self::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Self::Buffer, Error>;

    /// Slices, normalises and brings rows to the host: `[rows, finish.dims]` row-major.
    ///
    /// # Errors
    /// When `finish.dims` is above the rows' columns.
    fn finish(&self, rows: Self::Buffer, finish: Finish) -> Result<Vec<f32>, Error>;

    /// Brings rows `[rows, cols]` from the host.
    ///
    /// # Errors
    /// When `data` is no multiple of `cols`.
    fn upload(&self, data: &[f32], cols: usize) -> Result<Self::Buffer, Error>;

    /// The banded Gram matrix of rows `e`: `[n, width]`, element `(i, d)` is `<e_i, e_(i+d)>`,
    /// zero where `i + d` is past the last row.
    ///
    /// # Errors
    /// Those of the device.
    fn gram(&self, rows: &Self::Buffer, width: usize) -> Result<Vec<f32>, Error>;
}

/// Checks a length, naming what was measured.
pub(super) fn check_len(what: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected { Ok(()) } else { Err(Error::Length { what, actual, expected }) }
}
