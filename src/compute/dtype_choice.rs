//! What dense layers run in: the choice, and what it comes to on a processor.

use serde::{Deserialize, Serialize};

use super::Isa;
use super::dtype::Dtype;
use super::error::Error;

/// Which dtype dense layers run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// bf16 where the device has fast products of it, else f32, or f16 on CUDA.
    Auto,
    /// 32-bit floating point: exact.
    F32,
    /// IEEE half precision, on CUDA alone.
    F16,
    /// bf16 weights.
    Bf16,
    /// 8-bit weights and activations.
    Int8,
}

impl DtypeChoice {
    /// What is chosen on a processor with the instructions of `isa`.
    ///
    /// # Errors
    /// When processors have no such dtype.
    pub fn resolve(self, isa: Isa) -> Result<Dtype, Error> {
        match self.given() {
            None if isa.has_bf16_products() => Ok(Dtype::Bf16),
            None => Ok(Dtype::F32),
            Some(dtype @ Dtype::F16) => {
                let (device, supported) = ("the processor".to_owned(), "f32, bf16, int8");
                Err(Error::Dtype { dtype, device, supported })
            }
            Some(dtype) => Ok(dtype),
        }
    }

    /// The dtype that is named; `None` leaves it to the device.
    pub(crate) fn given(self) -> Option<Dtype> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Int8 => Some(Dtype::Int8),
        }
    }
}
