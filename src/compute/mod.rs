//! Mathematics without words: nothing here knows text, tokenizers or HTTP.
//!
//! An operation of the encoder belongs to a group: [`Embed`], [`Norms`], [`Dense`], [`Rotate`],
//! [`Attend`], [`Pool`], [`Band`]. [`Exec`] is all of them, closed and fused. Three forms implement
//! it, each group in a file of the same name: [`CandleExec`], plain and device-generic, the oracle;
//! and the fast ones, [`CpuExec`] and [`CudaExec`], which is there in builds with the feature
//! `cuda`. Invariant: rows are packed end to end and no padding is ever computed.

mod attention;
mod band;
mod buffer;
mod candle;
#[expect(unsafe_code, reason = "vector instructions, and tiles written by pointer")]
#[expect(clippy::inline_always, reason = "a call would lose the instruction set of `Isa::run`")]
mod cpu;
#[cfg_attr(feature = "cuda", path = "cuda/enabled.rs")]
#[cfg_attr(not(feature = "cuda"), path = "cuda/disabled.rs")]
#[cfg_attr(feature = "cuda", expect(unsafe_code, reason = "calls of the driver, device pointers"))]
mod cuda;
mod dtype;
mod dtype_choice;
mod embed;
mod error;
mod exec;
mod forest;
mod linear;
mod norm;
mod pool;
mod rotary;
mod row_format;
mod rows;
mod unit_rows;

pub use attention::{Attend, Attention, BiasWeights, Mask};
pub use band::Band;
pub use buffer::Buffers;
pub use candle::CandleExec;
pub use cpu::{CpuDevice, CpuExec, Isa};
pub use cuda::{CudaDevice, CudaExec, CudaSimilarity};
pub use dtype::{Dtype, Numerics};
pub use dtype_choice::{ChosenDtype, DtypeChoice};
pub use embed::{Embed, TableWeights, Tokens};
pub use error::Error;
pub use exec::{Batching, Exec};
pub use linear::{Activation, Dense, DenseWeights, Epilogue, Precision};
pub use norm::{NormKind, NormWeights, Norms};
pub use pool::{Pool, Pooling, Projection, Span, WeightedRuns};
pub use rotary::{RotaryWeights, Rotate};
pub use row_format::RowFormat;
pub use rows::{Pairs, Rows};
pub use unit_rows::UnitRows;
