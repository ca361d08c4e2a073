//! Norms: alone, and with the residual sums that precede them.

use super::buffer::Buffers;
use super::error::{Error, check_len};

/// Which statistic a norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `(x - mean) / sqrt(variance + eps)` (Ba et al. 2016, arXiv 1607.06450).
    Layer,
    /// `x / sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, arXiv 1910.07467).
    Rms,
}

/// A norm over `[H]`.
#[derive(Debug, Clone, Copy)]
pub struct NormWeights<'a> {
    /// The statistic.
    pub kind: NormKind,
    /// `[H]` f32, multiplied last.
    pub weight: &'a [f32],
    /// `[H]` f32, added last.
    pub bias: Option<&'a [f32]>,
    /// Added to the statistic under its root.
    pub eps: f32,
}

impl NormWeights<'_> {
    /// Refuses a bias of another length than the weight's.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_len("norm bias", self.bias.map_or(self.weight.len(), <[f32]>::len), self.weight.len())
    }
}

/// Norms, row by row.
pub trait Norms: Buffers {
    /// A norm.
    type Norm: Send + Sync;

    /// Takes a norm.
    ///
    /// # Errors
    /// When weight and bias differ in length.
    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Self::Norm, Error>;

    /// `norm(x)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the columns are not the norm's.
    fn norm(&self, x: &Self::Buffer, norm: &Self::Norm) -> Result<Self::Buffer, Error>;

    /// Adds `x`, normalised by `inner` first where there is that, to `residual` in place and gives
    /// `norm(residual)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the shapes differ.
    fn add_norm(
        &self,
        x: Self::Buffer,
        inner: Option<&Self::Norm>,
        residual: &mut Self::Buffer,
        norm: &Self::Norm,
    ) -> Result<Self::Buffer, Error>;

    /// `norm(x + residual)`, row by row: `[T, H]`.
    ///
    /// # Errors
    /// When the shapes differ.
    fn residual_norm(
        &self,
        x: Self::Buffer,
        residual: &Self::Buffer,
        norm: &Self::Norm,
    ) -> Result<Self::Buffer, Error>;
}
