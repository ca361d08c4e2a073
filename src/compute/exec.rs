//! The contract between the encoder and a device: operations and their arguments.
//!
//! Matrices are row-major. `T` is the number of tokens in a batch, `H` the hidden size. Every
//! row's arithmetic runs in an order that depends on that row's sequence alone.

use std::ops::RangeInclusive;

use super::error::Error;
use super::operands::{
    Attention, BiasWeights, DenseWeights, Epilogue, Finish, NormWeights, Pooling, Precision,
    RotaryWeights, Span, TableWeights, Tokens,
};

/// How a form wants work cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batching {
    /// Batches that one executor runs at a time.
    pub parallel: usize,
    /// Tokens of a batch: enough to keep the device busy, and no more than it is best at.
    pub tokens: RangeInclusive<usize>,
    /// Tokens that run together unless the user says otherwise.
    pub budget: usize,
}

impl Batching {
    /// Batches that keep a thread's kernels busy and leave their activations in its caches.
    pub(super) fn of_cpu() -> Self {
        Self { parallel: rayon::current_num_threads(), tokens: 128..=512, budget: 2_048 }
    }
}

/// The least L2 norm divided by, as in `torch.nn.functional.normalize`.
pub(super) const MIN_NORM: f32 = 1e-12;

/// The operations of a transformer encoder on one device.
///
/// A buffer is a row-major f32 matrix that stays on the device; what `attention` and an epilogue
/// other than none give may be held in a narrower format, which `linear` and `linear_max` alone
/// read. Weights are opaque: how a form packs or quantises them is its own affair.
pub trait Exec: Send + Sync + 'static {
    /// Activations `[rows, cols]`.
    type Buffer: Send;
    /// A dense layer.
    type Linear: Send + Sync;
    /// A norm.
    type Norm: Send + Sync;
    /// A bias by distance.
    type Bias: Send + Sync;
    /// Rotary position embeddings.
    type Rotary: Send + Sync;
    /// Embedding tables.
    type Tables: Send + Sync;

    /// Device, instruction set and kernels in words, for logs and `doctor`.
    fn describe(&self) -> String;

    /// How work is to be cut.
    fn batching(&self) -> Batching;

    /// Further executors on the same device, whose work may overlap with this one's and which run
    /// on weights that this one has loaded. None where one executor serves any number of threads.
    ///
    /// # Errors
    /// Those of the device.
    fn lanes(&self) -> Result<Vec<Self>, Error>
    where
        Self: Sized,
    {
        Ok(Vec::new())
    }

    /// Packs dense layers that share their input into one; outputs stand side by side in order.
    ///
    /// # Errors
    /// When a length does not fit `in_features`.
    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Self::Linear, Error>;

    /// Takes a norm.
    ///
    /// # Errors
    /// When weight and bias differ in length.
    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Self::Norm, Error>;

    /// Takes a bias by distance.
    ///
    /// # Errors
    /// When a table's length does not fit its radius.
    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Self::Bias, Error>;

    /// Takes rotary position embeddings.
    ///
    /// # Errors
    /// Those of the device.
    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Self::Rotary, Error>;

    /// Takes embedding tables.
    ///
    /// # Errors
    /// When a table is no multiple of the hidden size.
    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Self::Tables, Error>;

    /// Sums the tables' rows of every token, normalised where there is a norm: `[T, H]`.
    ///
    /// # Errors
    /// When an index lies outside its table.
    fn embed_norm(
        &self,
        tables: &Self::Tables,
        norm: Option<&Self::Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Self::Buffer, Error>;

    /// `epilogue(input x weight^T + bias)`: `[rows, in]` to `[rows, out]`, or to half of `out`
    /// where the epilogue gates.
    ///
    /// # Errors
    /// When the input's columns are not the layer's.
    fn linear(
        &self,
        input: &Self::Buffer,
        linear: &Self::Linear,
        epilogue: Epilogue,
    ) -> Result<Self::Buffer, Error>;

    /// Rotates the query and key heads of `qkv: [T, qkv_dim]` by their positions, each head
    /// normalised first where there are norms, `[head_dim]` each, for queries and for keys.
    ///
    /// # Errors
    /// When the shapes differ or a position is beyond the table.
    fn rotary(
        &self,
        qkv: Self::Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Self::Norm; 2]>,
        rotary: &Self::Rotary,
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
        bias: Option<&Self::Bias>,
    ) -> Result<Self::Buffer, Error>;

    /// `norm(x)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the columns are not the norm's.
    fn norm(&self, x: &Self::Buffer, norm: &Self::Norm) -> Result<Self::Buffer, Error>;

    /// Adds `x`, normalised by `inner` first where there is that, to `residual` in place and gives
    /// `norm(residual)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the shapes differ.
    fn add_norm(
        &self,
        x: Self::Buffer,
        inner: Option<&Self::Norm>,
        residual: &mut Self::Buffer,
        norm: &Self::Norm,
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

    /// [`finish`](Self::finish) of [`pool`](Self::pool): `[spans, finish.dims]`.
    ///
    /// # Errors
    /// As theirs.
    fn pool_finish(
        &self,
        hidden: &Self::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Finish,
    ) -> Result<Vec<f32>, Error> {
        self.finish(self.pool(hidden, cu_seqlens, spans, pooling)?, finish)
    }

    /// The largest value of each output feature over each span: `[spans, out]`. The product
    /// `[T, out]`, which for a vocabulary would be large, is never whole in memory.
    ///
    /// # Errors
    /// As [`linear`](Self::linear) and [`pool`](Self::pool).
    fn linear_max(
        &self,
        input: &Self::Buffer,
        linear: &Self::Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
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
