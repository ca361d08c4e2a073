//! Norms by candle-nn.
//!
//! Its layer norm with a bias is left aside: that takes the variance as E[x^2] - mean^2, which
//! loses all digits far from zero. The one without centres the values first.

use candle_core::{D, Module, Tensor};
use candle_nn::{LayerNorm, RmsNorm};

use super::super::error::{Error, check_len};
use super::super::norm::{NormKind, NormWeights, Norms};
use super::exec::CandleExec;

/// A norm over `[columns]`.
pub struct Norm {
    statistic: Statistic,
    bias: Option<Tensor>,
    columns: usize,
}

enum Statistic {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl Norm {
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, Error> {
        check_len("norm input", x.dim(D::Minus1)?, self.columns)?;
        let scaled = match &self.statistic {
            Statistic::Layer(norm) => norm.forward(x)?,
            Statistic::Rms(norm) => norm.forward(x)?,
        };
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
        let (scale, bias) = (vector(weight)?, bias.map(vector).transpose()?);
        let statistic = match kind {
            NormKind::Layer => Statistic::Layer(LayerNorm::new_no_bias(scale, eps.into())),
            NormKind::Rms => Statistic::Rms(RmsNorm::new(scale, eps.into())),
        };
        Ok(Norm { statistic, bias, columns: weight.len() })
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
