//! In builds without the feature `cuda`: a form that nothing can be made of.

use super::attention::{Attend, Attention, BiasWeights};
use super::band::Band;
use super::buffer::Buffers;
use super::dtype::{Dtype, Numerics};
use super::embed::{Embed, TableWeights, Tokens};
use super::error::Error;
use super::exec::{Batching, Exec};
use super::linear::{Dense, DenseWeights, Epilogue, Precision};
use super::norm::{NormWeights, Norms};
use super::pool::{Finish, Pool, Pooling, Span};
use super::rotary::{RotaryWeights, Rotate};
use super::rows::{Pairs, Rows};

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

    /// An executor.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn exec(&self, _: Dtype, _: Numerics) -> Result<CudaExec, Error> {
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

/// The CUDA form, which this build does not have.
#[derive(Debug, Clone, Copy)]
pub enum CudaExec {}

impl CudaExec {
    /// Gives memory that no buffer holds back to the device.
    ///
    /// # Errors
    /// None: there is no such device.
    pub fn trim(&self) -> Result<(), Error> {
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

impl Buffers for CudaExec {
    type Buffer = Self;

    fn upload(&self, _: &[f32], _: usize) -> Result<Self, Error> {
        match *self {}
    }
}

impl Embed for CudaExec {
    type Tables = Self;

    fn load_tables(&self, _: TableWeights<'_>) -> Result<Self, Error> {
        match *self {}
    }

    fn embed_norm(&self, _: &Self, _: Option<&Self>, _: Tokens<'_>) -> Result<Self, Error> {
        match *self {}
    }
}

impl Norms for CudaExec {
    type Norm = Self;

    fn load_norm(&self, _: NormWeights<'_>) -> Result<Self, Error> {
        match *self {}
    }

    fn norm(&self, _: &Self, _: &Self) -> Result<Self, Error> {
        match *self {}
    }

    fn add_norm(&self, _: Self, _: Option<&Self>, _: &mut Self, _: &Self) -> Result<Self, Error> {
        match *self {}
    }

    fn residual_norm(&self, _: Self, _: &Self, _: &Self) -> Result<Self, Error> {
        match *self {}
    }
}

impl Dense for CudaExec {
    type Linear = Self;

    fn load_linear(&self, _: &[DenseWeights<'_>], _: Precision) -> Result<Self, Error> {
        match *self {}
    }

    fn linear(&self, _: &Self, _: &Self, _: Epilogue) -> Result<Self, Error> {
        match *self {}
    }

    fn linear_max(&self, _: &Self, _: &Self, _: &[u32], _: &[Span]) -> Result<Self, Error> {
        match *self {}
    }
}

impl Rotate for CudaExec {
    type Rotary = Self;

    fn load_rotary(&self, _: RotaryWeights<'_>) -> Result<Self, Error> {
        match *self {}
    }

    fn rotary(
        &self,
        _: Self,
        _: &[u32],
        _: &Attention,
        _: Option<&[Self; 2]>,
        _: &Self,
    ) -> Result<Self, Error> {
        match *self {}
    }
}

impl Attend for CudaExec {
    type Bias = Self;

    fn load_bias(&self, _: BiasWeights<'_>) -> Result<Self, Error> {
        match *self {}
    }

    fn attention(
        &self,
        _: &Self,
        _: &[u32],
        _: &Attention,
        _: Option<&Self>,
    ) -> Result<Self, Error> {
        match *self {}
    }
}

impl Pool for CudaExec {
    fn pool(&self, _: &Self, _: &[u32], _: &[Span], _: Pooling) -> Result<Self, Error> {
        match *self {}
    }

    fn finish(&self, _: Self, _: Finish) -> Result<Vec<f32>, Error> {
        match *self {}
    }
}

impl Band for CudaExec {
    fn gram(&self, _: &Self, _: usize) -> Result<Vec<f32>, Error> {
        match *self {}
    }
}

impl Exec for CudaExec {
    fn describe(&self) -> String {
        match *self {}
    }

    fn batching(&self) -> Batching {
        match *self {}
    }
}
