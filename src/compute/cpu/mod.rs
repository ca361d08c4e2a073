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
mod exec;
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
mod words;

use self::bias::Bias;
use self::buffer::Buffer;
pub use self::exec::CpuExec;
use self::narrow::Format;
use self::norm::{Norm, Tables};
use self::packed::Packed;
use self::rotary::Rotary;
pub use self::simd::Isa;
use super::error::{Error, check_len};
use super::exec::{Batching, Exec};
use super::operands::{
    Attention, BiasWeights, DenseWeights, Epilogue, Finish, NormWeights, Pooling, Precision,
    RotaryWeights, Span, TableWeights, Tokens,
};
use super::rows::Rows;

impl Exec for CpuExec {
    type Buffer = Buffer;
    type Linear = Packed;
    type Norm = Norm;
    type Bias = Bias;
    type Rotary = Rotary;
    type Tables = Tables;

    fn describe(&self) -> String {
        let Self { isa, dtype, .. } = self;
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
        Packed::new(self, precision.dtype(self.dtype), parts)
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
        norm::embed_norm(self, tables, norm, tokens)
    }

    fn linear(&self, input: &Buffer, linear: &Packed, epilogue: Epilogue) -> Result<Buffer, Error> {
        linear::linear(self, input, linear, epilogue)
    }

    fn rotary(
        &self,
        qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        rotary::rotary(self, qkv, positions, attention, norms, rotary)
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        attention::attention(self, qkv, cu_seqlens, attention, bias)
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::norm(self, x, norm)
    }

    fn add_norm(
        &self,
        x: Buffer,
        inner: Option<&Norm>,
        residual: &mut Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        let x = match inner {
            Some(inner) => norm::norm(self, &x, inner)?,
            None => x,
        };
        norm::add_norm(self, &x, residual, norm)
    }

    fn residual_norm(&self, x: Buffer, residual: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::residual_norm(self, x, residual, norm)
    }

    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        pool::pool(self, hidden, cu_seqlens, spans, pooling)
    }

    fn linear_max(
        &self,
        input: &Buffer,
        linear: &Packed,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        linear::linear_max(self, input, linear, cu_seqlens, spans)
    }

    fn finish(&self, rows: Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        pool::finish(self, &rows, finish)
    }

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = data.len().checked_div(cols).unwrap_or(0);
        check_len("rows from the host", data.len(), rows * cols)?;
        let mut buffer = Buffer::take(&self.arena, rows, cols, Format::F32);
        buffer.rows_mut().f32.unwrap_or_default().copy_from_slice(data);
        Ok(buffer)
    }

    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let mut band = vec![0.0; rows.rows() * width];
        self.band(Rows::f32(rows.f32()?, rows.cols())?, width, &mut band)?;
        Ok(band)
    }
}
