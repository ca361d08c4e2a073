//! The contract between the encoder and a device: all groups of operations together.
//!
//! Matrices are row-major. `T` is the number of tokens in a batch, `H` the hidden size. Every
//! row's arithmetic runs in an order that depends on that row's sequence alone.

use std::ops::RangeInclusive;

use super::attention::Attend;
use super::band::Band;
use super::embed::Embed;
use super::error::Error;
use super::linear::Dense;
use super::pool::Pool;
use super::rotary::Rotate;

/// How a form wants work cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batching {
    /// Batches that one executor runs at a time.
    pub parallel: usize,
    /// Tokens of a batch: enough to keep the device busy, and no more than it is best at.
    pub tokens: RangeInclusive<usize>,
    /// Tokens that run together unless the user says otherwise.
    pub budget: usize,
}

impl Batching {
    /// Batches that keep a thread's kernels busy and leave their activations in its caches.
    pub(super) fn of_cpu() -> Self {
        Self { parallel: rayon::current_num_threads(), tokens: 128..=512, budget: 2_048 }
    }
}

/// An executor: the operations of a transformer encoder on one device.
pub trait Exec: Embed + Dense + Rotate + Attend + Pool + Band {
    /// Device, instruction set and kernels in words, for logs and `doctor`.
    fn describe(&self) -> String;

    /// How work is to be cut.
    fn batching(&self) -> Batching;

    /// Gives memory that no buffer holds back to the device. Nothing on a host.
    ///
    /// # Errors
    /// Those of the device.
    fn trim(&self) -> Result<(), Error> {
        Ok(())
    }
}
