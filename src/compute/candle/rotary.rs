//! Rotary position embedding, with the norm of query and key heads that precedes it.

use candle_core::Tensor;
use candle_nn::rotary_emb::rope_thd;

use super::super::attention::Attention;
use super::super::error::{Error, check_len};
use super::super::rotary::{RotaryWeights, Rotate};
use super::exec::CandleExec;
use super::norm::Norm;

/// Cosines and sines, `[positions, head_dim / 2]` each.
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotate for CandleExec {
    type Rotary = Rotary;

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        let (cos, sin) = weights.tables();
        let columns = weights.frequencies.len();
        Ok(Rotary { cos: self.tensor(&cos, columns)?, sin: self.tensor(&sin, columns)? })
    }

    fn rotary(
        &self,
        qkv: Tensor,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Tensor, Error> {
        check_len("rotary input", qkv.dim(1)?, attention.qkv_dim())?;
        check_len("positions", positions.len(), qkv.dim(0)?)?;
        check_len("rotary pairs", rotary.cos.dim(1)?, attention.head_dim / 2)?;
        check_len("head columns beyond pairs", attention.head_dim % 2, 0)?;
        let cos = self.lookup(&rotary.cos, "position", positions)?;
        let sin = self.lookup(&rotary.sin, "position", positions)?;
        let Attention { heads, kv_heads, head_dim, .. } = *attention;
        let rotate = |first: usize, count: usize, norm: Option<&Norm>| {
            let columns = qkv.narrow(1, first * head_dim, count * head_dim)?.contiguous()?;
            let mut x = columns.reshape((1, positions.len(), count, head_dim))?;
            if let Some(norm) = norm {
                x = norm.apply(&x)?;
            }
            let turned = rope_thd(&x, &cos, &sin)?;
            Ok::<_, Error>(turned.reshape((positions.len(), count * head_dim))?)
        };
        let queries = rotate(0, heads, norms.map(|norms| &norms[0]))?;
        let keys = rotate(heads, kv_heads, norms.map(|norms| &norms[1]))?;
        let values = qkv.narrow(1, (heads + kv_heads) * head_dim, kv_heads * head_dim)?;
        Ok(Tensor::cat(&[queries, keys, values.contiguous()?], 1)?)
    }
}
