//! Mathematics without words: nothing here knows text, tokenizers or HTTP.
//!
//! [`Exec`] is the closed set of fused operations that the encoder calls. Three forms implement it:
//! [`CandleExec`], plain and device-generic, the oracle; and the fast ones, [`CpuExec`] and
//! [`CudaExec`], which is there in builds with the feature `cuda`.
//! Invariant: rows are packed end to end and no padding is ever computed.

mod candle;
#[expect(unsafe_code, reason = "vector instructions, and tiles written by pointer")]
#[expect(clippy::inline_always, reason = "a call would lose the instruction set of `Isa::run`")]
mod cpu;
#[cfg_attr(feature = "cuda", path = "cuda/enabled.rs")]
#[cfg_attr(not(feature = "cuda"), path = "cuda/disabled.rs")]
#[cfg_attr(feature = "cuda", expect(unsafe_code, reason = "calls of the driver, device pointers"))]
mod cuda;
mod dtype_choice;
mod exec;
mod forest;
mod operands;
mod rows;
mod segmentation;
mod unit_rows;

pub use candle::CandleExec;
pub use cpu::{CpuExec, Isa};
#[cfg(feature = "cuda")]
pub use cuda::Format;
pub use cuda::{CudaDevice, CudaExec, CudaSimilarity};
pub use dtype_choice::DtypeChoice;
pub use exec::{Batching, Error, Exec};
pub use operands::{
    Activation, Attention, BiasWeights, DenseWeights, Dtype, Epilogue, Finish, Mask, NormKind,
    NormWeights, Numerics, Pairs, Pooling, Precision, RotaryWeights, Span, TableWeights, Tokens,
};
pub use rows::{RowFormat, Rows};
pub use segmentation::{Objective, SHORT_COST, SegmentRule, SegmentUnits, Segmentation};
pub use unit_rows::UnitRows;
