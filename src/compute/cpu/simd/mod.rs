//! Vector code for the processor at hand, chosen once at run time.
//!
//! An operation is a struct with [`Op::eval`], written once over the trait [`Simd`];
//! [`Isa::run`] compiles it for every instruction set and calls the chosen one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod shuffle;
mod vector;

pub use self::isa::Isa;
pub(super) use self::vector::{MAX_LANES, Op, Simd};
