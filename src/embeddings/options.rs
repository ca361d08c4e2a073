//! How a model is loaded, the choices of place, form and precision; and how long texts are cut.

use serde::{Deserialize, Serialize};

use super::device::DeviceChoice;
use super::known_keys::Unknown;
use crate::compute::{DtypeChoice, Isa, Numerics};
use crate::models::{Places, Task};

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
/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Where its files are looked for.
    pub places: Places,
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
    pub kind: Option<Task>,
    /// What becomes of a model whose files have keys that nothing is known of.
    pub unknown: Unknown,
}

impl Default for ModelOptions {
    /// Models below `models`, in the fast form of the processor.
    fn default() -> Self {
        Self {
            places: Places::default(),
            revision: None,
            device: DeviceChoice::Cpu,
            backend: Backend::Native,
            dtype: None,
            isa: Isa::detect(),
            numerics: Numerics::default(),
            max_batch_tokens: None,
            kind: None,
            unknown: Unknown::default(),
        }
    }
}

/// Which end of a text that is too long is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Truncate {
    /// Drop the beginning.
    Left,
    /// Drop the end.
    Right,
    /// Drop what the model's files say, which is the end where they say nothing.
    #[default]
    Model,
}
