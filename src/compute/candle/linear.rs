//! Dense layers and their epilogues.

use candle_core::{Module, Tensor};
use candle_nn::Linear;

use super::super::error::Error;
use super::super::linear::{Activation, Dense, DenseWeights, Epilogue, Precision};
use super::super::pool::Span;
use super::exec::CandleExec;

impl Dense for CandleExec {
    type Linear = Linear;

    fn load_linear(&self, parts: &[DenseWeights<'_>], _: Precision) -> Result<Linear, Error> {
        let [in_features, out_features] = DenseWeights::features(parts)?;
        let weights = parts.iter().map(|part| self.tensor(part.weight, in_features));
        let weight = Tensor::cat(&weights.collect::<Result<Vec<_>, _>>()?, 0)?;
        let bias = DenseWeights::biases(parts);
        let bias = bias.map(|bias| Tensor::from_vec(bias, out_features, &self.device));
        Ok(Linear::new(weight, bias.transpose()?))
    }

    fn linear(&self, input: &Tensor, linear: &Linear, epilogue: Epilogue) -> Result<Tensor, Error> {
        let output = linear.forward(input)?;
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
            let tokens = span.rows(cu_seqlens, input.dim(0)?)?;
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
