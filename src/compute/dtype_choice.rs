//! What dense layers run in: the choice, and what it comes to on a device.

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

/// What dense layers run in, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChosenDtype {
    /// What is chosen.
    pub dtype: Dtype,
    /// Why, in words.
    pub reason: &'static str,
}

/// Why a dtype that was named is chosen.
const NAMED: &str = "as the settings or the model's registry say";

impl DtypeChoice {
    /// What is chosen on a processor with the instructions of `isa`; f32 where nothing is named.
    ///
    /// # Errors
    /// When processors have no such dtype.
    pub fn on_cpu(choice: Option<Self>, isa: Isa) -> Result<ChosenDtype, Error> {
        let (dtype, reason) = match choice.map(Self::named) {
            None => (Dtype::F32, "the default of processors, exact"),
            Some(None) if isa.has_bf16_products() => {
                (Dtype::Bf16, "`auto`: this processor multiplies it fast")
            }
            Some(None) => (Dtype::F32, "`auto`: this processor has no fast products of bf16"),
            Some(Some(dtype @ Dtype::F16)) => {
                let (device, supported) = ("the processor".to_owned(), "f32, bf16, int8");
                return Err(Error::Dtype { dtype, device, supported });
            }
            Some(Some(dtype)) => (dtype, NAMED),
        };
        Ok(ChosenDtype { dtype, reason })
    }

    /// What is chosen on CUDA devices; `auto` where nothing is named. Whether they have it shows
    /// where it is used.
    #[must_use]
    pub fn on_cuda(choice: Option<Self>, has_bf16: bool) -> ChosenDtype {
        let (dtype, reason) = match choice.and_then(Self::named) {
            Some(dtype) => (dtype, NAMED),
            None if has_bf16 => (
                Dtype::Bf16,
                "`auto`, the default of CUDA; f32 is exact and should take 5 to 10 times as long",
            ),
            None => (
                Dtype::F16,
                "`auto`, the default of CUDA, without bf16; f32 is exact and should take 5 to 10 \
                 times as long",
            ),
        };
        ChosenDtype { dtype, reason }
    }

    /// The dtype that is named; `None` leaves it to the device.
    fn named(self) -> Option<Dtype> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Int8 => Some(Dtype::Int8),
        }
    }
}
