//! Rotary position embedding, with the norm of query and key heads that precedes it.

use cudarc::driver::DeviceRepr;

use super::super::attention::Attention;
use super::super::error::{Error, check_indices, check_len};
use super::super::rotary::{RotaryWeights, Rotate};
use super::buffer::Buffer;
use super::dtype::{bytes_of, suffix};
use super::exec::CudaExec;
use super::grid::{THREADS, WARP};
use super::launch::launch;
use super::memory::Memory;
use super::norm::{Norm, NormArgument};

/// Cosines and sines, `[positions, pairs]` f32 each.
pub struct Rotary {
    cos: Memory,
    sin: Memory,
    positions: usize,
    pairs: usize,
}

/// `Heads` of `kernels/rotary.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Heads {
    queries: u32,
    keys: u32,
    dim: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for Heads {}

impl Rotate for CudaExec {
    type Rotary = Rotary;

    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Rotary, Error> {
        let (cos, sin) = weights.tables();
        Ok(Rotary {
            cos: Memory::holding(&self.lane.stream, &cos)?,
            sin: Memory::holding(&self.lane.stream, &sin)?,
            positions: weights.positions,
            pairs: weights.frequencies.len(),
        })
    }

    fn rotary(
        &self,
        qkv: Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Norm; 2]>,
        rotary: &Rotary,
    ) -> Result<Buffer, Error> {
        let Attention { heads, kv_heads, head_dim, .. } = *attention;
        check_len("rotary input", qkv.cols, attention.qkv_dim())?;
        check_len("positions", positions.len(), qkv.rows)?;
        check_len("rotary pairs", rotary.pairs, head_dim / 2)?;
        check_len("head columns beyond pairs", head_dim % 2, 0)?;
        for norm in norms.into_iter().flatten() {
            check_len("head norm", norm.len, head_dim)?;
        }
        check_indices("position", positions, rotary.positions)?;
        if qkv.rows == 0 {
            return Ok(qkv);
        }
        let sent = self.lane.upload_once("position", positions)?;
        let [query_norm, key_norm] =
            norms.map_or([NormArgument::NONE; 2], |norms| norms.each_ref().map(Norm::argument));
        let shape = Heads { queries: heads as u32, keys: kv_heads as u32, dim: head_dim as u32 };
        // Lanes of a head: each takes 16 bytes of either half.
        let chunks = (head_dim / 2).div_ceil(16 / bytes_of(qkv.dtype));
        let group = chunks.next_power_of_two().min(WARP as usize);
        let grid =
            ((qkv.rows * (heads + kv_heads) * group).div_ceil(THREADS as usize) as u32, 1, 1);
        // SAFETY: `qkv` has the columns of these heads, there is a position a row within the table,
        // tables have half a head's columns and norms a head's, as checked above.
        unsafe {
            launch!(&self.lane, &format!("rotary_{}", suffix(qkv.dtype)), grid, THREADS, 0;
                &qkv.pointer(), &sent.pointer(), &rotary.cos.pointer(), &rotary.sin.pointer(),
                &query_norm, &key_norm, &shape, &(qkv.rows as u32), &(group as u32))
        }?;
        Ok(qkv)
    }
}
