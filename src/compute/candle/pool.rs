//! What leaves the encoder: pooled spans and finished rows.

use candle_core::Tensor;

use super::super::error::Error;
use super::super::pool::{MIN_NORM, Pool, Pooling, Projection, Span, WeightedRuns};
use super::exec::CandleExec;

impl Pool for CandleExec {
    fn pool(
        &self,
        hidden: &Tensor,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Tensor, Error> {
        let rows = spans.iter().map(|span| {
            let tokens = span.rows(cu_seqlens, hidden.dim(0)?)?;
            let states = hidden.narrow(0, tokens.start, tokens.len())?;
            let row = match pooling {
                Pooling::Mean => states.mean_keepdim(0)?,
                Pooling::Cls => states.narrow(0, 0, 1)?,
                Pooling::LastToken => states.narrow(0, tokens.len() - 1, 1)?,
                Pooling::Max => states.max_keepdim(0)?,
                Pooling::MeanSqrtLength => (states.sum_keepdim(0)? / (tokens.len() as f64).sqrt())?,
                Pooling::WeightedMean => {
                    let places: Vec<f32> =
                        (span.start..span.end).map(|at| (at + 1) as f32).collect();
                    let places = Tensor::from_vec(places, (tokens.len(), 1), hidden.device())?;
                    let sum = states.broadcast_mul(&places)?.sum_keepdim(0)?;
                    sum.broadcast_div(&places.sum_keepdim(0)?)?
                }
            };
            Ok(row)
        });
        Ok(Tensor::cat(&rows.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }

    fn sum_runs(&self, rows: &Tensor, runs: &WeightedRuns) -> Result<Tensor, Error> {
        runs.check(rows.dim(0)?)?;
        let weights = Tensor::from_slice(&runs.weights, (runs.weights.len(), 1), &self.device)?;
        let weighted = rows.broadcast_mul(&weights)?;
        let sums = runs.runs.iter().zip(&runs.divisors).map(|(run, &divisor)| {
            let sum = weighted.narrow(0, run.start, run.len())?.sum_keepdim(0)?;
            Ok((sum / f64::from(divisor))?)
        });
        Ok(Tensor::cat(&sums.collect::<Result<Vec<_>, Error>>()?, 0)?)
    }

    fn finish(&self, rows: Tensor, finish: Projection) -> Result<Vec<f32>, Error> {
        finish.check(rows.dim(1)?)?;
        let mut rows = rows.narrow(1, 0, finish.dims)?;
        if finish.normalize {
            let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
            rows = rows.broadcast_div(&norms.maximum(MIN_NORM)?)?;
        }
        Ok(rows.contiguous()?.flatten_all()?.to_vec1()?)
    }
}
