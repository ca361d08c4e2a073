//! The fast form of [`Exec`](super::Exec) on a CPU, in f32, bf16 or int8.
//!
//! Weights are packed once into the layout of the micro-kernel; vector code is written once and
//! compiled for every instruction set, of which [`Isa`] names the one that runs. Invariant: every
//! output row is computed in an order that depends on its own sequence alone, so a text's vector
//! has the same bits in any batch and on any number of threads.

mod arena;
mod attention;
mod bias;
mod buffer;
mod embed;
mod exec;
mod linear;
mod math;
mod multiply;
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

pub use self::exec::{CpuDevice, CpuExec};
pub use self::simd::Isa;
