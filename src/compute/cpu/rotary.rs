//! Rotary position embedding, with the norm of query and key heads that precedes it.

use super::super::attention::Attention;
use super::super::error::{Error, check_len};
use super::super::rotary::{RotaryWeights, Rotate};
use super::buffer::{Buffer, Rows};
use super::exec::CpuExec;
use super::narrow::Format;
use super::norm::Norm;
use super::simd::{Op, Simd};

/// Rows of a task: enough work to be worth handing to another thread.
const BLOCK_ROWS: usize = 16;

/// Cosines and sines, `[positions, head_dim / 2]` each.
pub struct Rotary {
    positions: usize,
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    fn at(&self, position: u32) -> Result<(&[f32], &[f32]), Error> {
        let position = position as usize;
        let row = position * self.pairs..(position + 1) * self.pairs;
        self.cos.get(row.clone()).zip(self.sin.get(row)).ok_or(Error::Index {
            what: "position",
            index: position,
            limit: self.positions,
        })
    }
}

impl Rotate for CpuExec {
    type Rotary = Rotary;

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        let (cos, sin) = weights.tables();
        let (positions, pairs) = (weights.positions, weights.frequencies.len());
        Ok(Rotary { positions, pairs, cos, sin })
    }

    fn rotary(
        &self,
        mut qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        check_len("rotary input", qkv.cols(), attention.qkv_dim())?;
        check_len("positions", positions.len(), qkv.rows())?;
        check_len("rotary pairs", rotary.pairs, attention.head_dim / 2)?;
        for norm in norms.into_iter().flatten() {
            norm.check_columns(attention.head_dim)?;
        }
        check_len("head columns beyond pairs", attention.head_dim % 2, 0)?;
        qkv.renew(&self.arena, Format::F32)?;
        qkv.rows_mut().for_each_block(BLOCK_ROWS, &|rows| {
            self.isa.run(TurnHeads { rows, positions, attention, norms, rotary })
        })?;
        Ok(qkv)
    }
}

/// Rotates the heads of a block of rows.
struct TurnHeads<'a, 'b> {
    rows: Rows<'b>,
    positions: &'a [u32],
    attention: &'a Attention,
    norms: Option<&'a [Norm; 2]>,
    rotary: &'a Rotary,
}

impl Op for TurnHeads<'_, '_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) -> Result<(), Error> {
        let Attention { heads, kv_heads, head_dim, .. } = *self.attention;
        for index in 0..self.rows.len {
            let (cos, sin) = self.rotary.at(self.positions[self.rows.first + index])?;
            let rotated = &mut self.rows.row(index)[..(heads + kv_heads) * head_dim];
            for (index, head) in rotated.chunks_exact_mut(head_dim).enumerate() {
                if let Some(norms) = self.norms {
                    norms[usize::from(index >= heads)].apply(simd, head);
                }
                rotate(simd, head, cos, sin);
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn rotate<S: Simd>(simd: S, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    let pairs = first.chunks_mut(S::LANES).zip(second.chunks_mut(S::LANES));
    let angles = cos.chunks(S::LANES).zip(sin.chunks(S::LANES));
    for ((a, b), (cos, sin)) in pairs.zip(angles) {
        let [x, y] = [simd.load_head(a), simd.load_head(b)];
        let [cos, sin] = [simd.load_head(cos), simd.load_head(sin)];
        simd.store_head(a, simd.sub(simd.mul(x, cos), simd.mul(y, sin)));
        simd.store_head(b, simd.mul_add(y, cos, simd.mul(x, sin)));
    }
}
