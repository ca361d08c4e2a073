//! The fast form of [`Exec`] on a CPU, in f32.
//!
//! Weights are packed once into the layout of the matrix product's micro-kernel; vector code is
//! chosen at run time for the processor (`rten-gemm`, `rten-simd`). Invariant: every output row is
//! computed in an order that depends on its own sequence alone, so a text's vector has the same
//! bits in any batch and on any number of threads.

mod arena;
mod attention;
mod linear;
mod norm;
mod pool;
mod rotary;

use rten_gemm::GemmExecutor;

use self::arena::{Arena, Buffer};
use self::attention::Bias;
use self::linear::Linear;
use self::norm::{Norm, Tables};
use self::rotary::Rotary;
use super::exec::{Error, Exec, check_len};
use super::operands::{
    Attention, BiasWeights, DenseWeights, Epilogue, Finish, NormWeights, Pooling, RotaryWeights,
    Span, TableWeights, Tokens,
};

/// The CPU form. Runs on the ambient rayon pool.
#[derive(Default)]
pub struct CpuExec {
    arena: Arena,
}

impl CpuExec {
    /// Chooses the kernels for this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Exec for CpuExec {
    type Buffer = Buffer;
    type Linear = Linear;
    type Norm = Norm;
    type Bias = Bias;
    type Rotary = Rotary;
    type Tables = Tables;

    fn describe(&self) -> String {
        format!(
            "cpu, f32, {} threads, {}",
            rayon::current_num_threads(),
            GemmExecutor::<f32>::new().kernel_name()
        )
    }

    fn load_linear(&self, parts: &[DenseWeights<'_>]) -> Result<Linear, Error> {
        Linear::pack(parts)
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
        norm::embed_norm(&self.arena, tables, norm, tokens)
    }

    fn linear(&self, input: &Buffer, linear: &Linear, epilogue: Epilogue) -> Result<Buffer, Error> {
        linear::linear(&self.arena, input, linear, epilogue)
    }

    fn rotary(
        &self,
        qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        rotary::rotary(qkv, positions, attention, norms, rotary)
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        attention::attention(&self.arena, qkv, cu_seqlens, attention, bias)
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::norm(&self.arena, x, norm)
    }

    fn add_norm(&self, x: Buffer, residual: &mut Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::add_norm(x, residual, norm)
    }

    fn residual_norm(&self, x: Buffer, residual: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm::residual_norm(x, residual, norm)
    }

    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        pool::pool(&self.arena, hidden, cu_seqlens, spans, pooling)
    }

    fn linear_max(
        &self,
        input: &Buffer,
        linear: &Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        linear::linear_max(&self.arena, input, linear, cu_seqlens, spans)
    }

    fn finish(&self, rows: Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        pool::finish(&rows, finish)
    }

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        check_len("rows from the host", data.len() % cols.max(1), 0)?;
        let mut buffer = self.arena.take(data.len() / cols.max(1), cols);
        buffer.copy_from_slice(data);
        Ok(buffer)
    }

    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        Ok(pool::gram(rows, width))
    }
}
