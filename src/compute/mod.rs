//! Mathematics without words: nothing here knows text, tokenizers or HTTP.
//!
//! [`Exec`] is the closed set of fused operations that the encoder calls. Two forms implement it:
//! [`CandleExec`], plain and device-generic, the oracle; and [`CpuExec`], the fast one.
//! Invariant: rows are packed end to end and no padding is ever computed.

mod candle;
#[expect(unsafe_code, reason = "vector instructions, and tiles written by pointer")]
#[expect(clippy::inline_always, reason = "a call would lose the instruction set of `Isa::run`")]
mod cpu;
mod exec;
mod operands;

pub use candle::CandleExec;
pub use cpu::{CpuExec, Isa};
pub use exec::{Error, Exec};
pub use operands::{
    Activation, Attention, BiasWeights, DenseWeights, Dtype, Epilogue, Finish, Mask, NormKind,
    NormWeights, Pooling, Precision, RotaryWeights, Span, TableWeights, Tokens,
};
