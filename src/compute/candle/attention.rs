//! Softmax attention on candle tensors, a block of queries at a time.

use std::ops::Range;

use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;

use super::super::attention::{Attend, Attention, BiasWeights, Mask, check_sequences};
use super::super::error::{Error, check_len};
use super::exec::CandleExec;

/// Queries of one step, so that scores take memory linear in the sequence.
const BLOCK_QUERIES: usize = 512;

/// A bias by distance, kept on the host: this form writes it out for every block of queries.
pub enum Bias {
    /// One slope a head.
    Slopes(Vec<f32>),
    /// `[heads, 2 * radius + 1]`.
    Table(Vec<f32>, usize),
}

impl Bias {
    fn heads(&self) -> usize {
        match self {
            Self::Slopes(slopes) => slopes.len(),
            Self::Table(values, radius) => values.len() / (2 * radius + 1),
        }
    }

    fn at(&self, head: usize, query: usize, key: usize) -> f32 {
        match self {
            Self::Slopes(slopes) => -slopes[head] * key.abs_diff(query) as f32,
            Self::Table(values, radius) => {
                let distance = (key + radius).saturating_sub(query).min(2 * radius);
                values[head * (2 * radius + 1) + distance]
            }
        }
    }
}

impl Attend for CandleExec {
    type Bias = Bias;

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        weights.check()?;
        Ok(match weights {
            BiasWeights::Slopes(slopes) => Bias::Slopes(slopes.to_vec()),
            BiasWeights::Table { values, radius } => Bias::Table(values.to_vec(), radius),
        })
    }

    fn attention(
        &self,
        qkv: &Tensor,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Tensor, Error> {
        check_len("attention input", qkv.dim(1)?, attention.qkv_dim())?;
        check_sequences(cu_seqlens, qkv.dim(0)?)?;
        if let Some(bias) = bias {
            check_len("attention bias", bias.heads(), attention.heads)?;
        }
        let sequences = cu_seqlens.windows(2).map(|ends| {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            self.attend(&qkv.narrow(0, start, end - start)?, attention, bias)
        });
        Ok(Tensor::cat(&sequences.collect::<Result<Vec<_>, _>>()?, 0)?)
    }
}

impl CandleExec {
    /// What is added to the scores of `queries`, `[heads or 1, queries, len]`: the bias by
    /// distance, and minus infinity where the query does not see the key.
    fn score_offsets(
        &self,
        queries: Range<usize>,
        len: usize,
        mask: Mask,
        bias: Option<&Bias>,
    ) -> Result<Option<Tensor>, Error> {
        if mask == Mask::Full && bias.is_none() {
            return Ok(None);
        }
        let heads = bias.map_or(1, Bias::heads);
        let mut values = Vec::with_capacity(heads * queries.len() * len);
        for head in 0..heads {
            for query in queries.clone() {
                let seen = mask.keys(query, len);
                values.extend((0..len).map(|key| match bias {
                    _ if !seen.contains(&key) => f32::NEG_INFINITY,
                    Some(bias) => bias.at(head, query, key),
                    None => 0.0,
                }));
            }
        }
        Ok(Some(Tensor::from_vec(values, (heads, queries.len(), len), &self.device)?))
    }

    /// Attention within one sequence: `qkv: [len, qkv_dim]` to `[len, heads * head_dim]`.
    fn attend(
        &self,
        qkv: &Tensor,
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Tensor, Error> {
        let Attention { heads, kv_heads, head_dim, scale, mask } = *attention;
        let len = qkv.dim(0)?;
        let part = |first: usize, count: usize| -> Result<Tensor, candle_core::Error> {
            let columns = qkv.narrow(1, first * head_dim, count * head_dim)?;
            columns.reshape((len, count, head_dim))?.transpose(0, 1)?.contiguous()
        };
        let shared: Vec<u32> = (0..heads).map(|head| attention.kv_head(head) as u32).collect();
        let shared = Tensor::from_vec(shared, heads, &self.device)?;
        let queries = part(0, heads)?;
        let keys = part(heads, kv_heads)?.index_select(&shared, 0)?.t()?.contiguous()?;
        let values = part(heads + kv_heads, kv_heads)?.index_select(&shared, 0)?;
        let blocks = (0..len).step_by(BLOCK_QUERIES).map(|first| {
            let block = first..len.min(first + BLOCK_QUERIES);
            let queries = queries.narrow(1, first, block.len())?.contiguous()?;
            let mut scores = (queries.matmul(&keys)? * f64::from(scale))?;
            if let Some(offsets) = self.score_offsets(block, len, mask, bias)? {
                scores = scores.broadcast_add(&offsets)?;
            }
            Ok(softmax_last_dim(&scores)?.matmul(&values)?)
        });
        let output = Tensor::cat(&blocks.collect::<Result<Vec<_>, Error>>()?, 1)?;
        Ok(output.transpose(0, 1)?.reshape((len, heads * head_dim))?)
    }
}
