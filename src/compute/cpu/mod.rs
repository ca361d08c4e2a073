//! The fast form of [`Exec`] on a CPU, in f32, bf16 or int8.
//!
//! Weights are packed once into the layout of the micro-kernel; vector code is written once and
//! compiled for every instruction set, of which [`Isa`] names the one that runs. Invariant: every
//! output row is computed in an order that depends on its own sequence alone, so a text's vector
//! has the same bits in any batch and on any number of threads.

mod arena;
mod attention;
mod bias;
mod buffer;
mod linear;
mod math;
mod narrow;
mod norm;
mod packed;
mod pool;
mod rotary;
mod simd;
mod similarity;
mod tile;
mod weights;

use self::arena::Arena;
use self::bias::Bias;
use self::buffer::Buffer;
use self::narrow::Format;
use self::norm::{Norm, Tables};
use self::packed::{Packed, Words};
use self::rotary::Rotary;
pub use self::simd::Isa;
use self::weights::Pool;
use super::exec::{Batching, Error, Exec, check_len};
use super::operands::{
    Attention, BiasWeights, DenseWeights, Dtype, Epilogue, Finish, NormWeights, Pooling, Precision,
    RotaryWeights, Span, TableWeights, Tokens,
};
use super::rows::Rows;

/// The CPU form. Runs on the ambient rayon pool; where that has one thread, on the caller's own.
#[derive(Default)]
pub struct CpuExec {
    context: Context,
}

/// What every operation needs to know.
#[derive(Default)]
struct Context {
    isa: Isa,
    /// Of dense layers in working precision, and what they read.
    dtype: Dtype,
    arena: Arena,
    weights: Pool,
}

impl Context {
    /// How dense layers in working precision read rows.
    fn format(&self) -> Format {
        Words::of(self.isa, self.dtype).format()
    }
}

/// A processor, whose executors share the memory of their activations.
#[derive(Default)]
pub struct CpuDevice {
    isa: Isa,
    arena: Arena,
}

impl CpuDevice {
    /// A processor with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, arena: Arena::default() }
    }

    /// The instruction set of its kernels.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// An executor in `dtype`.
    #[must_use]
    pub fn exec(&self, dtype: Dtype) -> CpuExec {
        let (isa, arena) = (self.isa, self.arena.clone());
        CpuExec { context: Context { isa, dtype, arena, weights: Pool::default() } }
    }
}

impl CpuExec {
    /// In f32, with the fastest kernels that this processor has.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// In `dtype`, with the kernels of `isa`, on memory of its own.
    #[must_use]
    pub fn with(isa: Isa, dtype: Dtype) -> Self {
        CpuDevice::new(isa).exec(dtype)
    }
}

impl Exec for CpuExec {
    type Buffer = Buffer;
    type Linear = Packed;
    type Norm = Norm;
    type Bias = Bias;
    type Rotary = Rotary;
    type Tables = Tables;

    fn describe(&self) -> String {
        let Context { isa, dtype, .. } = &self.context;
        format!("cpu, {dtype}, {} threads, {isa}", rayon::current_num_threads())
    }

    fn batching(&self) -> Batching {
        Batching::of_cpu()
    }

    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Packed, Error> {
        Packed::new(&self.context, precision.dtype(self.context.dtype), parts)
    }

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        Norm::new(weights)
    }

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        Bias::new(weights)
    }

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        Ok(Rotary::new(weights))
    }

    fn load_tables(&self, weights: TableWeights<'_>) -> Result<Tables, Error> {
        Tables::new(weights)
    }

    fn embed_norm(
        &self,
        tables: &Tables,
        norm: Option<&Norm>,
        tokens: Tokens<'_>,
    ) -> Result<Buffer, Error> {
        norm::embed_norm(&self.context, tables, norm, tokens)
    }

    fn linear(&self, input: &Buffer, linear: &Packed, epilogue: Epilogue) -> Result<Buffer, Error> {
        linear::linear(&self.context, input, linear, epilogue)
    }

    fn rotary(
        &self,
        qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        rotary::rotary(&self.context, qkv, positions, attention, norms, rotary)
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        attention::attention(&self.context, qkv, cu_seqlens, attention, bias)
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::norm(&self.context, x, norm)
    }

    fn add_norm(
        &self,
        x: Buffer,
        inner: Option<&Norm>,
        residual: &mut Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        let x = match inner {
            Some(inner) => norm::norm(&self.context, &x, inner)?,
            None => x,
        };
        norm::add_norm(&self.context, &x, residual, norm)
    }

    fn residual_norm(&self, x: Buffer, residual: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::residual_norm(&self.context, x, residual, norm)
    }

    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        pool::pool(&self.context, hidden, cu_seqlens, spans, pooling)
    }

    fn linear_max(
        &self,
        input: &Buffer,
        linear: &Packed,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        linear::linear_max(&self.context, input, linear, cu_seqlens, spans)
    }

    fn finish(&self, rows: Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        pool::finish(&self.context, &rows, finish)
    }

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = data.len().checked_div(cols).unwrap_or(0);
        check_len("rows from the host", data.len(), rows * cols)?;
        let mut buffer = Buffer::take(&self.context.arena, rows, cols, Format::F32);
        buffer.rows_mut().f32.unwrap_or_default().copy_from_slice(data);
        Ok(buffer)
    }

    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let mut band = vec![0.0; rows.rows() * width];
        self.band(Rows::f32(rows.f32()?, rows.cols())?, width, &mut band)?;
        Ok(band)
    }
}
