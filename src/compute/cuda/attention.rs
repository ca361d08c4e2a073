//! Attention: a batch cut into tiles of queries, and the kernel for its dtype and head size.

use cudarc::driver::DeviceRepr;

use super::super::attention::{Attend, Attention, BiasWeights, Mask, check_sequences};
use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::buffer::{Buffer, take};
use super::dtype::suffix;
use super::exec::CudaExec;
use super::launch::launch;
use super::memory::Memory;

/// Head sizes that there are kernels for; a smaller head runs in the next.
const HEAD_DIMS: [usize; 5] = [32, 64, 96, 128, 256];

/// A bias by distance.
pub struct Bias {
    values: Memory,
    heads: usize,
    /// Of a table; slopes have none.
    radius: Option<usize>,
}

/// `AttentionShape` of `kernels/attention.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Shape {
    heads: u32,
    kv_heads: u32,
    dim: u32,
    mask: u32,
    radius: u32,
    bias: u32,
    bias_radius: u32,
    scale: f32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for Shape {}

impl Shape {
    fn new(attention: &Attention, bias: Option<&Bias>, rows: usize) -> Self {
        let Attention { heads, kv_heads, head_dim, scale, mask } = *attention;
        let (mask, radius) = match mask {
            Mask::Full => (0, 0),
            Mask::Causal => (1, 0),
            Mask::Local { radius } => (2, radius.min(rows)),
        };
        let (kind, bias_radius) = match bias.map(|bias| bias.radius) {
            None => (0, 0),
            Some(None) => (1, 0),
            Some(Some(radius)) => (2, radius),
        };
        Self {
            heads: heads as u32,
            kv_heads: kv_heads as u32,
            dim: head_dim as u32,
            mask,
            radius: radius as u32,
            bias: kind,
            bias_radius: bias_radius as u32,
            scale,
        }
    }
}

/// How a kernel cuts its work: constants of `MmaTile` and `F32Tile` in the kernels.
struct Tile {
    queries: usize,
    threads: u32,
    shared_bytes: u32,
}

impl Tile {
    fn of(dtype: Dtype, dim: usize) -> Self {
        // Lanes that share four queries, of the f32 form.
        const LANES: usize = 8;
        if dtype == Dtype::F32 {
            let (threads, keys) = match dim {
                32 | 64 => (64, 32),
                96 | 128 => (128, 16),
                _ => (64, 8),
            };
            let queries = threads / LANES * 4;
            let values = (queries + 2 * keys) * (dim + 4) + queries * (keys + 4);
            return Self { queries, threads: threads as u32, shared_bytes: 4 * values as u32 };
        }
        let (queries, threads) = (64, 128);
        let keys = match dim {
            32 | 64 | 96 => 64,
            128 => 32,
            _ => 16,
        };
        Self { queries, threads, shared_bytes: (2 * (queries + 2 * keys) * (dim + 8)) as u32 }
    }
}

impl Attend for CudaExec {
    type Bias = Bias;

    fn load_bias(&self, weights: BiasWeights<'_>) -> Result<Bias, Error> {
        weights.check()?;
        let (values, heads, radius) = match weights {
            BiasWeights::Slopes(slopes) => (slopes, slopes.len(), None),
            BiasWeights::Table { values, radius } => {
                (values, values.len() / (2 * radius + 1), Some(radius))
            }
        };
        Ok(Bias { values: Memory::holding(&self.lane.stream, values)?, heads, radius })
    }

    fn attention(
        &self,
        qkv: &Buffer,
        cu_seqlens: &[u32],
        attention: &Attention,
        bias: Option<&Bias>,
    ) -> Result<Buffer, Error> {
        let Attention { heads, head_dim, .. } = *attention;
        check_len("attention input", qkv.cols, attention.qkv_dim())?;
        check_sequences(cu_seqlens, qkv.rows)?;
        if let Some(bias) = bias {
            check_len("attention bias", bias.heads, heads)?;
        }
        let dim = HEAD_DIMS.into_iter().find(|&dim| head_dim <= dim);
        let dim = dim.ok_or(Error::Index { what: "head size", index: head_dim, limit: 257 })?;
        let cols = heads * head_dim;
        let output = take(&self.lane, qkv.rows, cols, qkv.dtype)?;
        let tile = Tile::of(qkv.dtype, dim);
        let tiles = tiles(cu_seqlens, tile.queries);
        if tiles.is_empty() || cols == 0 {
            return Ok(output);
        }
        let table = self.lane.upload_once("tiles of queries", &tiles)?;
        let shape = Shape::new(attention, bias, qkv.rows);
        let values = bias.map_or(0, |bias| bias.values.pointer());
        let name = format!("attention_{}_{dim}", suffix(qkv.dtype));
        let grid = ((tiles.len() / 4) as u32, heads as u32, 1);
        // SAFETY: `qkv` has the columns of these heads and as many rows as the tiles' sequences,
        // the output one of each query head a row, and the bias the heads and radius of `shape`.
        unsafe {
            launch!(&self.lane, &name, grid, tile.threads, tile.shared_bytes;
                &qkv.pointer(), &table.pointer(), &values, &output.pointer(), &shape)
        }?;
        Ok(output)
    }
}

/// `(first row, length, first query, 0)` of every tile, longest sequences as they come.
fn tiles(cu_seqlens: &[u32], queries: usize) -> Vec<u32> {
    let sequences = cu_seqlens.windows(2).map(|ends| (ends[0], ends[1] - ends[0]));
    sequences
        .flat_map(|(start, len)| (0..len).step_by(queries).map(move |query| [start, len, query, 0]))
        .flatten()
        .collect()
}
