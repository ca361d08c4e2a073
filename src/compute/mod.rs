//! Mathematics without words: nothing here knows text, tokenizers or HTTP.
//!
//! [`Exec`] is the closed set of fused operations that the encoder calls. Two forms implement it:
//! [`CandleExec`], plain and device-generic, the oracle; and [`CpuExec`], the fast one.
//! Invariant: rows are packed end to end and no padding is ever computed.

mod candle;
mod cpu;
mod exec;

pub use candle::CandleExec;
pub use cpu::CpuExec;
pub use exec::{
    Attention, DenseWeights, Epilogue, Error, Exec, Finish, Mask, NormWeights, Pooling, Span,
    TableWeights, Tokens,
};
