//! Inner products of rows with rows, of which only what is asked for leaves the device.

use cudarc::driver::sys::CUdevice_attribute;
use cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};

use super::super::exec::{Error, check_len};
use super::super::operands::{Dtype, Pairs};
use super::CudaExec;
use super::buffer::Buffer;
use super::device::driver_error;
use super::lane::{Lane, launch};
use super::memory::Memory;
use super::rows::{convert, suffix, take};

/// Threads of a block.
const THREADS: u32 = 256;
/// Warps of a block.
const WARPS: usize = 8;
/// The most scores that are kept of a row.
const MAX_BEST: usize = 128;
/// Rows that the tiles of few rows have.
const FEW_ROWS: usize = 32;
/// Blocks that run on a multiprocessor at a time.
const RESIDENT_BLOCKS: usize = 2;
/// Room for pairs to begin with.
const MIN_PAIRS: usize = 1 << 16;
/// Rows of an operand; indices of tiles stay below 2^32.
const MAX_ROWS: usize = 1 << 31;
/// Blocks of a grid.
const MAX_GRID: usize = (1 << 31) - 1;

/// `TopK` of `kernels/similarity.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct TopKArgument {
    k: u32,
    step: u32,
    exclude_self: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for TopKArgument {}

/// `Threshold` of `kernels/similarity.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct ThresholdArgument {
    least: f32,
    pick: u32,
    capacity: u64,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for ThresholdArgument {}

/// A kernel with its tile, `[rows, cols]`, as `kernels/similarity.cu` says.
struct Tile {
    kernel: String,
    rows: usize,
    cols: usize,
    shared: u32,
}

impl Tile {
    fn top_k(rows: usize, dtype: Dtype) -> Self {
        let kernel = format!("top_k_{}", suffix(dtype));
        match dtype {
            Dtype::F32 | Dtype::Int8 if rows <= FEW_ROWS => Self {
                kernel: "top_k_few_f32".to_owned(),
                rows: FEW_ROWS,
                cols: 128,
                shared: 21_248,
            },
            Dtype::F32 | Dtype::Int8 => Self { kernel, rows: 128, cols: 64, shared: 26_112 },
            Dtype::F16 | Dtype::Bf16 => Self { kernel, rows: 128, cols: 128, shared: 41_984 },
        }
    }

    fn threshold(dtype: Dtype) -> Self {
        let kernel = format!("threshold_{}", suffix(dtype));
        match dtype {
            Dtype::F32 | Dtype::Int8 => Self { kernel, rows: 128, cols: 64, shared: 25_088 },
            Dtype::F16 | Dtype::Bf16 => Self { kernel, rows: 128, cols: 128, shared: 40_960 },
        }
    }
}

impl CudaExec {
    /// The banded Gram matrix of `rows` as [`Exec::gram`](super::Exec::gram) gives it, `[n, width]`
    /// f32, left on the device. A value's bits depend on its two rows alone.
    ///
    /// # Errors
    /// [`Error::Index`] for more than 2^31 rows.
    pub fn band(&self, rows: &Buffer, width: usize) -> Result<Buffer, Error> {
        band(&self.lane, rows, width)
    }

    /// For each row of `a: [m, d]` the `k` rows of `b: [n, d]` with the largest inner products, as
    /// `(row of b, product)`, the largest first, of equal ones the smaller row. Where `b` has fewer
    /// rows, all of them. `exclude_self` leaves out row `i` of `b` for row `i` of `a`. Products are
    /// summed in f32, of buffers in the working dtype on matrix units; their bits depend on the two
    /// rows alone. NaN is never among the best. No matrix of scores is written.
    ///
    /// # Errors
    /// [`Error::Length`] where the columns differ, [`Error::Index`] for `k` above 128.
    pub fn top_k(
        &self,
        a: &Buffer,
        b: &Buffer,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        if k > MAX_BEST {
            return Err(Error::Index { what: "best scores", index: k, limit: MAX_BEST + 1 });
        }
        check_operands(a, b)?;
        let k = k.min(b.rows);
        if k == 0 || a.rows == 0 {
            return Ok(vec![Vec::new(); a.rows]);
        }
        let keys =
            self.with_one_dtype(a, b, |a, b| best_keys(&self.lane, a, b, k, exclude_self))?;
        let keys: Vec<u64> = self.lane.download(&keys, a.rows * k)?;
        let rows = keys.chunks_exact(k);
        Ok(rows.map(|row| row.iter().copied().map_while(scored_index).collect()).collect())
    }

    /// All `(i, j, <a_i, b_j>)` with a product of at least `least` among `pairs` of rows of
    /// `a: [m, d]` and `b: [n, d]`, sorted by `i` and `j`. Products are those of
    /// [`top_k`](Self::top_k). No matrix of scores is written; where more pairs are found than room
    /// was made for, they are found again with room for all.
    ///
    /// # Errors
    /// [`Error::Length`] where the columns differ, [`Error::DeviceMemory`] where the pairs do not
    /// fit.
    pub fn threshold(
        &self,
        a: &Buffer,
        b: &Buffer,
        least: f32,
        pairs: Pairs,
    ) -> Result<Vec<(u32, u32, f32)>, Error> {
        check_operands(a, b)?;
        if a.rows == 0 || b.rows == 0 {
            return Ok(Vec::new());
        }
        let mut found = self.with_one_dtype(a, b, |a, b| {
            let mut capacity = MIN_PAIRS.max(4 * a.rows.max(b.rows));
            loop {
                let (count, values) = find_pairs(&self.lane, a, b, least, pairs, capacity)?;
                if count <= capacity {
                    return self.lane.download::<[u32; 3]>(&values, count);
                }
                capacity = count;
            }
        })?;
        found.sort_unstable_by_key(|&[i, j, _]| (i, j));
        Ok(found.into_iter().map(|[i, j, score]| (i, j, f32::from_bits(score))).collect())
    }

    /// `a` and `b` as they are, or in f32 where their dtypes differ.
    fn with_one_dtype<T>(
        &self,
        a: &Buffer,
        b: &Buffer,
        run: impl FnOnce(&Buffer, &Buffer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match (a.dtype, b.dtype) {
            (a_dtype, b_dtype) if a_dtype == b_dtype => run(a, b),
            (Dtype::F32, _) => run(a, &convert(&self.lane, b, Dtype::F32)?),
            _ => run(&convert(&self.lane, a, Dtype::F32)?, b),
        }
    }
}

/// The band of [`CudaExec::band`], on the host.
pub(super) fn gram(lane: &Lane, x: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
    let output = band(lane, x, width)?;
    lane.download(&output.memory, x.rows * width)
}

fn band(lane: &Lane, x: &Buffer, width: usize) -> Result<Buffer, Error> {
    /// Rows and neighbours of a block, its threads and shared memory.
    const TILE: usize = 32;
    const TILE_THREADS: u32 = 64;
    const SHARED: u32 = 8_704;
    check_rows(x)?;
    let output = take(lane, x.rows, width, Dtype::F32)?;
    if x.rows * width > 0 {
        // The last row of a block has the last neighbours.
        let neighbours = (TILE - 1 + width).div_ceil(TILE);
        let grid = (x.rows.div_ceil(TILE) as u32, neighbours as u32, 1);
        launch!(lane, &format!("gram_{}", suffix(x.dtype)), grid, TILE_THREADS, SHARED;
            &x.pointer(), &output.pointer(), &(x.rows as u32), &(x.cols as u32), &(width as u32))?;
    }
    Ok(output)
}

fn check_rows(x: &Buffer) -> Result<(), Error> {
    if x.rows >= MAX_ROWS {
        return Err(Error::Index { what: "row", index: x.rows, limit: MAX_ROWS });
    }
    Ok(())
}

fn check_operands(a: &Buffer, b: &Buffer) -> Result<(), Error> {
    check_len("a row to compare with", b.cols, a.cols)?;
    check_rows(a)?;
    check_rows(b)
}

/// `[a.rows, k]` keys. Where `a` has too few rows to fill the device, `b` is split between blocks.
fn best_keys(
    lane: &Lane,
    a: &Buffer,
    b: &Buffer,
    k: usize,
    exclude_self: bool,
) -> Result<Memory, Error> {
    let tile = Tile::top_k(a.rows, a.dtype);
    let (down, across) = (a.rows.div_ceil(tile.rows), b.rows.div_ceil(tile.cols));
    let wanted = (RESIDENT_BLOCKS * multiprocessors(lane)?).div_ceil(down);
    let step = across.div_ceil(wanted.clamp(1, across));
    let parts = across.div_ceil(step);
    let keys = lane.take::<u64>(a.rows * parts * k)?;
    let argument =
        TopKArgument { k: k as u32, step: step as u32, exclude_self: u32::from(exclude_self) };
    let grid = (down as u32, parts as u32, 1);
    launch!(lane, &tile.kernel, grid, THREADS, tile.shared;
        &a.pointer(), &b.pointer(), &keys.pointer(), &(a.rows as u32), &(b.rows as u32),
        &(a.cols as u32), &argument)?;
    if parts == 1 {
        return Ok(keys);
    }
    let merged = lane.take::<u64>(a.rows * k)?;
    let grid = (a.rows.div_ceil(WARPS) as u32, 1, 1);
    launch!(lane, "merge_best", grid, THREADS, 0;
        &keys.pointer(), &merged.pointer(), &(a.rows as u32), &(parts as u32), &(k as u32))?;
    Ok(merged)
}

/// The number of pairs, and the first `capacity` that were found.
fn find_pairs(
    lane: &Lane,
    a: &Buffer,
    b: &Buffer,
    least: f32,
    pairs: Pairs,
    capacity: usize,
) -> Result<(usize, Memory), Error> {
    let tile = Tile::threshold(a.dtype);
    let tiles = a.rows.div_ceil(tile.rows) * b.rows.div_ceil(tile.cols);
    if tiles > MAX_GRID {
        return Err(Error::Index { what: "tile of scores", index: tiles, limit: MAX_GRID + 1 });
    }
    let found = lane.take::<[u32; 3]>(capacity)?;
    let count = lane.upload(&[0_u64])?;
    let argument = ThresholdArgument { least, pick: pairs as u32, capacity: capacity as u64 };
    launch!(lane, &tile.kernel, (tiles as u32, 1, 1), THREADS, tile.shared;
        &a.pointer(), &b.pointer(), &(a.rows as u32), &(b.rows as u32), &(a.cols as u32),
        &argument, &count.pointer(), &found.pointer())?;
    let count: Vec<u64> = lane.download(&count, 1)?;
    Ok((count[0] as usize, found))
}

fn multiprocessors(lane: &Lane) -> Result<usize, Error> {
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    let count = lane.device.context.attribute(attribute);
    count.map(|count| count.max(1) as usize).map_err(|error| driver_error("ask the device", error))
}

/// What a key of `kernels/best.cuh` stands for; `None` for no score.
fn scored_index(key: u64) -> Option<(u32, f32)> {
    /// Set where the score is not negative.
    const SIGN: u32 = 1 << 31;
    let order = (key >> 32) as u32;
    let bits = if order & SIGN == 0 { !order } else { order ^ SIGN };
    (key != 0).then(|| (!(key as u32), f32::from_bits(bits)))
}
