//! Norms, in two passes as they are written.

use candle_core::{D, Tensor};

use super::super::error::{Error, check_len};
use super::super::norm::{NormKind, NormWeights, Norms};
use super::exec::CandleExec;

/// A norm over `[H]`.
pub struct Norm {
    kind: NormKind,
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
}

impl Norm {
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        check_len("norm weight", self.weight.dim(0)?, x.dim(D::Minus1)?)?;
        let centred = match self.kind {
            NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
            NormKind::Rms => x.clone(),
        };
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scaled = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        let scaled = scaled.broadcast_mul(&self.weight)?;
        Ok(match &self.bias {
            Some(bias) => scaled.broadcast_add(bias)?,
            None => scaled,
        })
    }
}

impl Norms for CandleExec {
    type Norm = Norm;

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        weights.check()?;
        let NormWeights { kind, weight, bias, eps } = weights;
        let vector = |values: &[f32]| Tensor::from_slice(values, values.len(), &self.device);
        Ok(Norm {
            kind,
            weight: vector(weight)?,
            bias: bias.map(vector).transpose()?,
            eps: f64::from(eps),
        })
    }

    fn norm(&self, x: &Tensor, norm: &Norm) -> Result<Tensor, Error> {
        norm.apply(x)
    }

    fn add_norm(
        &self,
        x: Tensor,
        inner: Option<&Norm>,
        residual: &mut Tensor,
        norm: &Norm,
    ) -> Result<Tensor, Error> {
        let x = inner.map_or(Ok(x.clone()), |inner| inner.apply(&x))?;
        *residual = (&*residual + x)?;
        norm.apply(residual)
    }

    fn residual_norm(&self, x: Tensor, residual: &Tensor, norm: &Norm) -> Result<Tensor, Error> {
        norm.apply(&(x + residual)?)
    }
}
