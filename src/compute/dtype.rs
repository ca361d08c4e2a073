//! What dense layers compute in, and how exactly libraries' products are held to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What dense layers compute in. Norms, softmax, sums and pooling are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dtype {
    /// 32-bit floating point: exact.
    #[default]
    F32,
    /// IEEE half precision: on CUDA alone.
    F16,
    /// Weights of 16 bits, and products of 16 bits where the processor has fast ones; sums in f32.
    Bf16,
    /// Weights of 8 bits a channel, activations of 8 bits a token; sums in i32.
    Int8,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

/// Whether a row's bits may depend on what else is in its batch, where a library's products are
/// used: on CUDA alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Numerics {
    /// Never: one algorithm a layer, whatever the batch.
    #[default]
    Exact,
    /// The algorithm that the library finds best for a batch's size.
    Fast,
}
