//! In builds without the feature `cuda`: devices that nothing can be made of.

use super::dtype::{Dtype, Numerics};
use super::error::Error;
use super::rows::{Pairs, Rows};

/// What runs on a [`CudaDevice`]: as there is none in this build, any form stands in.
pub use super::cpu::CpuExec as CudaExec;

/// A CUDA device, which this build has none of.
#[derive(Debug, Clone, Copy)]
pub enum CudaDevice {}

impl CudaDevice {
    /// Refuses.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn count() -> Result<usize, Error> {
        Err(absent())
    }

    /// Refuses.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn open(_: usize) -> Result<Self, Error> {
        Err(absent())
    }

    /// Whether it computes in bf16.
    #[must_use]
    pub fn has_bf16(&self) -> bool {
        match *self {}
    }

    /// Batches that it runs at a time.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match *self {}
    }

    /// Executors.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn execs(&self, _: Dtype, _: Numerics) -> Result<Vec<CudaExec>, Error> {
        match *self {}
    }

    /// What compares rows on the host on this device.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn similarity(&self) -> Result<CudaSimilarity, Error> {
        match *self {}
    }
}

/// What compares rows on a CUDA device, which this build does not have.
#[derive(Debug, Clone, Copy)]
pub enum CudaSimilarity {}

/// A row that was found and its score, for each of several rows.
type Found = Vec<Vec<(u32, f32)>>;

impl CudaSimilarity {
    /// Scores of neighbours.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn band(&self, _: Rows<'_>, _: usize, _: &mut [f32]) -> Result<(), Error> {
        match *self {}
    }

    /// All scores.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn pairwise(&self, _: Rows<'_>, _: Rows<'_>, _: &mut [f32]) -> Result<(), Error> {
        match *self {}
    }

    /// The best rows for each row.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn top_k(&self, _: Rows<'_>, _: Rows<'_>, _: usize, _: bool) -> Result<Found, Error> {
        match *self {}
    }

    /// The pairs above a threshold.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn threshold(
        &self,
        _: Rows<'_>,
        _: Rows<'_>,
        _: f32,
        _: Pairs,
    ) -> Result<Vec<(u32, u32, f32)>, Error> {
        match *self {}
    }

    /// The smallest row of each row's cluster.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn clusters(&self, _: Rows<'_>, _: f32) -> Result<Vec<u32>, Error> {
        match *self {}
    }

    /// The best rows for each of a few queries.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn scan(&self, _: Rows<'_>, _: Rows<'_>, _: usize) -> Result<Found, Error> {
        match *self {}
    }
}

fn absent() -> Error {
    Error::NoDevice("this build is without the feature `cuda`".to_owned())
}
