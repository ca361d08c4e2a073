//! Dense layers and their epilogues.

use candle_core::{DType, Tensor};

use super::super::error::{Error, check_len};
use super::super::linear::{Activation, Dense, DenseWeights, Epilogue, Precision};
use super::super::pool::Span;
use super::exec::CandleExec;

/// A dense layer: `weight: [in, out]`, `bias: [out]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense for CandleExec {
    type Linear = Linear;

    fn load_linear(&self, parts: &[DenseWeights<'_>], _: Precision) -> Result<Linear, Error> {
        let mut weights = Vec::with_capacity(parts.len());
        let mut biases = Vec::with_capacity(parts.len());
        for part in parts {
            let weight = self.tensor(part.weight, part.in_features)?;
            let out = weight.dim(0)?;
            biases.push(match part.bias {
                Some(bias) => {
                    check_len("dense bias", bias.len(), out)?;
                    Tensor::from_slice(bias, out, &self.device)?
                }
                None => Tensor::zeros(out, DType::F32, &self.device)?,
            });
            weights.push(weight);
        }
        let has_bias = parts.iter().any(|part| part.bias.is_some());
        Ok(Linear {
            weight: Tensor::cat(&weights, 0)?.t()?.contiguous()?,
            bias: if has_bias { Some(Tensor::cat(&biases, 0)?) } else { None },
        })
    }

    fn linear(&self, input: &Tensor, linear: &Linear, epilogue: Epilogue) -> Result<Tensor, Error> {
        let mut output = input.matmul(&linear.weight)?;
        if let Some(bias) = &linear.bias {
            output = output.broadcast_add(bias)?;
        }
        let columns = epilogue.columns(output.dim(1)?)?;
        Ok(match epilogue {
            Epilogue::None => output,
            Epilogue::Activate(activation) => activate(activation, &output)?,
            Epilogue::Gate(activation) => {
                let gate = activate(activation, &output.narrow(1, 0, columns)?.contiguous()?)?;
                (gate * output.narrow(1, columns, columns)?)?
            }
        })
    }

    fn linear_max(
        &self,
        input: &Tensor,
        linear: &Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Tensor, Error> {
        let rows = spans.iter().map(|span| {
            let tokens = span.rows(cu_seqlens)?;
            let states = input.narrow(0, tokens.start, tokens.len())?;
            Ok(self.linear(&states, linear, Epilogue::None)?.max_keepdim(0)?)
        });
        Ok(Tensor::cat(&rows.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, candle_core::Error> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}
