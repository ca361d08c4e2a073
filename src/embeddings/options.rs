//! How a model is loaded: the choices of precision, form and place.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::device::DeviceChoice;
use super::modules::Kind;
use crate::compute::{self, Dtype, Isa, Numerics};

/// Which form of the operations runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The fast form of the device.
    #[default]
    Native,
    /// Plain candle tensors: the oracle.
    Candle,
}
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
    pub fn resolve(self, isa: Isa) -> Result<Dtype, compute::Error> {
        match self.given() {
            None if isa.has_bf16_products() => Ok(Dtype::Bf16),
            None => Ok(Dtype::F32),
            Some(dtype @ Dtype::F16) => {
                let (device, supported) = ("the processor".to_owned(), "f32, bf16, int8");
                Err(compute::Error::Dtype { dtype, device, supported })
            }
            Some(dtype) => Ok(dtype),
        }
    }

    /// The dtype that is named; `None` leaves it to the device.
    pub(super) fn given(self) -> Option<Dtype> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Dtype::F32),
            Self::F16 => Some(Dtype::F16),
            Self::Bf16 => Some(Dtype::Bf16),
            Self::Int8 => Some(Dtype::Int8),
        }
    }
}

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Known models stand below this folder as `owner/name`.
    pub models_dir: PathBuf,
    /// The cache of Hugging Face's libraries, read where `models_dir` has no such model.
    pub cache_dir: Option<PathBuf>,
    /// A file of the user's with more models.
    pub registry: Option<PathBuf>,
    /// Branch, tag or commit, in place of the registry's or of `main`.
    pub revision: Option<String>,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Which form of the operations runs.
    pub backend: Backend,
    /// What dense layers run in; the registry's, or else f32, where `None`. Candle's form is f32.
    pub dtype: Option<DtypeChoice>,
    /// Instruction set of the fast form.
    pub isa: Isa,
    /// Whether a vector's bits may depend on its batch, on CUDA.
    pub numerics: Numerics,
    /// Tokens that run together, on a processor in forward passes of at most 512; a longer sequence
    /// runs alone. As many as suit the device where `None`.
    pub max_batch_tokens: Option<usize>,
    /// What the model is to give, where its files leave that open: a checkpoint with a masked-LM
    /// head is an embedding model unless it is asked to be sparse.
    pub kind: Option<Kind>,
}

impl Default for ModelOptions {
    /// Models below `models`, in the fast form of the processor.
    fn default() -> Self {
        Self {
            models_dir: PathBuf::from("models"),
            cache_dir: None,
            registry: None,
            revision: None,
            device: DeviceChoice::Cpu,
            backend: Backend::Native,
            dtype: None,
            isa: Isa::detect(),
            numerics: Numerics::default(),
            max_batch_tokens: None,
            kind: None,
        }
    }
}
