//! The CUDA form: a lane of its device, and what every operation of it needs to know.

use std::sync::Arc;

use super::super::dtype::{Dtype, Numerics};
use super::super::error::Error;
use super::super::exec::{Batching, Exec};
use super::lane::Lane;
use super::products::Products;

/// Tokens of a batch that fill a device.
const MIN_BATCH_TOKENS: usize = 2_048;
/// Tokens that run together unless the user says otherwise, as text-embeddings-inference's.
const BATCH_TOKENS: usize = 16_384;

/// The CUDA form.
pub struct CudaExec {
    pub(super) lane: Arc<Lane>,
    pub(super) products: Products,
    pub(super) dtype: Dtype,
}

impl CudaExec {
    pub(super) fn on(lane: &Arc<Lane>, dtype: Dtype, numerics: Numerics) -> Result<Self, Error> {
        let products = Products::new(lane, numerics)?;
        Ok(Self { lane: Arc::clone(lane), products, dtype })
    }

    /// What dense layers run in.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Waits until all that was asked of this executor is done.
    ///
    /// # Errors
    /// Those of the device.
    pub fn synchronise(&self) -> Result<(), Error> {
        self.lane.synchronise()
    }
}

impl Exec for CudaExec {
    fn describe(&self) -> String {
        format!("{}, {}", self.lane.device.describe(), self.dtype)
    }

    fn batching(&self) -> Batching {
        let tokens = MIN_BATCH_TOKENS..=usize::MAX;
        Batching { parallel: 1, tokens, budget: BATCH_TOKENS }
    }

    fn trim(&self) -> Result<(), Error> {
        self.lane.pool.trim()
    }
}
