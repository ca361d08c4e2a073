//! Rotary position embedding, with the norm of query and key heads that precedes it.

use rayon::prelude::*;

use super::super::exec::{Error, check_len};
use super::super::operands::{Attention, RotaryWeights};
use super::arena::Buffer;
use super::norm::Norm;

/// Rows of a task: enough work to be worth handing to another thread.
const BLOCK_ROWS: usize = 16;

/// Cosines and sines, `[positions, head_dim / 2]` each.
pub struct Rotary {
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    pub(super) fn new(weights: RotaryWeights<'_>) -> Self {
        let (cos, sin) = weights.tables();
        Self { pairs: weights.frequencies.len(), cos, sin }
    }

    fn at(&self, position: u32) -> Result<(&[f32], &[f32]), Error> {
        let position = position as usize;
        let row = position * self.pairs..(position + 1) * self.pairs;
        self.cos.get(row.clone()).zip(self.sin.get(row)).ok_or(Error::Index {
            what: "position",
            index: position,
            limit: self.cos.len() / self.pairs.max(1),
        })
    }
}

/// See [`Exec::rotary`](super::Exec::rotary).
pub(super) fn rotary(
    mut qkv: Buffer,
    positions: &[u32],
    attention: &Attention,
    norms: Option<&[Norm; 2]>,
    rotary: &Rotary,
) -> Result<Buffer, Error> {
    let Attention { heads, kv_heads, head_dim, .. } = *attention;
    check_len("rotary input", qkv.cols(), attention.qkv_dim())?;
    check_len("positions", positions.len(), qkv.rows())?;
    check_len("rotary pairs", rotary.pairs, head_dim / 2)?;
    for norm in norms.into_iter().flatten() {
        norm.check_columns(head_dim)?;
    }
    let cols = qkv.cols();
    qkv.par_chunks_mut(cols).zip(positions).with_min_len(BLOCK_ROWS).try_for_each(
        |(row, &position)| {
            let (cosines, sines) = rotary.at(position)?;
            let rotated = &mut row[..(heads + kv_heads) * head_dim];
            for (index, head) in rotated.chunks_exact_mut(head_dim).enumerate() {
                if let Some(norms) = norms {
                    norms[usize::from(index >= heads)].apply(head);
                }
                rotate(head, cosines, sines);
            }
            Ok::<_, Error>(())
        },
    )?;
    Ok(qkv)
}

fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}
