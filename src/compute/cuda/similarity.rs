//! Launches of the kernels that compare rows with rows, of which only what is asked for leaves the
//! device.

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::CUdevice_attribute;

use super::super::error::Error;
use super::super::row_format::RowFormat;
use super::super::rows::Pairs;
use super::device::driver_error;
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;
use super::operand::DeviceRows;

/// Threads of a block.
const THREADS: u32 = 256;
/// Warps of a block.
const WARPS: usize = 8;
/// The most scores that the kernels keep of a row.
pub(super) const MAX_BEST: usize = 128;
/// Rows that the tiles of few rows have.
const FEW_ROWS: usize = 32;
/// Blocks that run on a multiprocessor at a time.
const RESIDENT_BLOCKS: usize = 2;
/// Room for pairs to begin with.
const MIN_PAIRS: usize = 1 << 16;
/// Blocks of a grid.
const MAX_GRID: usize = (1 << 31) - 1;

/// Indices of the first rows of both operands; `Origin` of `kernels/similarity.cu`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Origin {
    pub(super) row: u32,
    pub(super) column: u32,
}

/// Which rows are wanted for each row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    /// At most [`MAX_BEST`].
    pub(super) k: usize,
    pub(super) exclude_self: bool,
    pub(super) origin: Origin,
}

/// Which pairs are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    pub(super) min_score: f32,
    pub(super) pairs: Pairs,
    pub(super) origin: Origin,
}

/// `TopK` of `kernels/similarity.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct TopKArgument {
    k: u32,
    step: u32,
    exclude_self: u32,
    origin: Origin,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for TopKArgument {}

/// `Threshold` of `kernels/similarity.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct ThresholdArgument {
    min_score: f32,
    pick: u32,
    capacity: u64,
    origin: Origin,
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
    fn top_k(a: DeviceRows<'_>) -> Self {
        let suffix = a.suffix();
        let kernel = format!("top_k_{suffix}");
        match a.format {
            RowFormat::F16 | RowFormat::Bf16 => {
                Self { kernel, rows: 128, cols: 128, shared: 41_984 }
            }
            _ if a.count <= FEW_ROWS => {
                let kernel = format!("top_k_few_{suffix}");
                Self { kernel, rows: FEW_ROWS, cols: 128, shared: 21_248 }
            }
            _ => Self { kernel, rows: 128, cols: 64, shared: 26_112 },
        }
    }

    /// Of the kernels whose grid has a block a tile.
    fn of_scores(operation: &str, a: DeviceRows<'_>) -> Self {
        let kernel = format!("{operation}_{}", a.suffix());
        match a.format {
            RowFormat::F16 | RowFormat::Bf16 => {
                Self { kernel, rows: 128, cols: 128, shared: 40_960 }
            }
            _ => Self { kernel, rows: 128, cols: 64, shared: 25_088 },
        }
    }

    /// A block for every tile.
    fn grid(&self, a: DeviceRows<'_>, b: DeviceRows<'_>) -> Result<(u32, u32, u32), Error> {
        let tiles = a.count.div_ceil(self.rows) * b.count.div_ceil(self.cols);
        if tiles > MAX_GRID {
            return Err(Error::Index { what: "tile of scores", index: tiles, limit: MAX_GRID + 1 });
        }
        Ok((tiles as u32, 1, 1))
    }
}

/// `[a.count, k]` keys, best first. Where `a` has too few rows to fill the device, `b` is split
/// between blocks.
pub(super) fn best_keys(
    lane: &Lane,
    a: DeviceRows<'_>,
    b: DeviceRows<'_>,
    best: Best,
) -> Result<Memory, Error> {
    a.check_comparable(&b)?;
    let Best { k, exclude_self, origin } = best;
    assert!(k <= MAX_BEST, "{k} best scores of {MAX_BEST}");
    let tile = Tile::top_k(a);
    let (down, across) = (a.count.div_ceil(tile.rows), b.count.div_ceil(tile.cols));
    let wanted = (RESIDENT_BLOCKS * multiprocessors(lane)?).div_ceil(down);
    let step = across.div_ceil(wanted.clamp(1, across));
    let parts = across.div_ceil(step);
    let keys = lane.take::<u64>(a.count * parts * k)?;
    let exclude_self = u32::from(exclude_self);
    let argument = TopKArgument { k: k as u32, step: step as u32, exclude_self, origin };
    let grid = (down as u32, parts as u32, 1);
    // SAFETY: `a` and `b` describe their rows, of one format and number of columns; there is room
    // for `k` keys, at most `MAX_BEST`, for every row and part.
    unsafe {
        launch!(lane, &tile.kernel, grid, THREADS, tile.shared;
            &a.argument(), &b.argument(), &keys.pointer(), &argument)
    }?;
    if parts == 1 {
        return Ok(keys);
    }
    let merged = lane.take::<u64>(a.count * k)?;
    let grid = (a.count.div_ceil(WARPS) as u32, 1, 1);
    // SAFETY: there are `parts` times `k` keys for each of as many rows, and room for `k` merged.
    unsafe {
        launch!(lane, "merge_best", grid, THREADS, 0;
            &keys.pointer(), &merged.pointer(), &(a.count as u32), &(parts as u32), &(k as u32))
    }?;
    Ok(merged)
}

/// What a search for pairs writes: how many there are, and the first `capacity` of them.
pub(super) struct FoundPairs {
    count: Memory,
    pairs: Memory,
    capacity: usize,
}

/// Starts a search with room for what is likely.
pub(super) fn find_pairs(
    lane: &Lane,
    a: DeviceRows<'_>,
    b: DeviceRows<'_>,
    search: Search,
) -> Result<FoundPairs, Error> {
    find_up_to(lane, a, b, search, MIN_PAIRS.max(4 * a.count.max(b.count)))
}

fn find_up_to(
    lane: &Lane,
    a: DeviceRows<'_>,
    b: DeviceRows<'_>,
    search: Search,
    capacity: usize,
) -> Result<FoundPairs, Error> {
    a.check_comparable(&b)?;
    let tile = Tile::of_scores("threshold", a);
    let grid = tile.grid(a, b)?;
    let pairs = lane.take::<[u32; 3]>(capacity)?;
    let count = lane.upload(&[0_u64])?;
    let Search { min_score, pairs: picked, origin } = search;
    let argument =
        ThresholdArgument { min_score, pick: picked as u32, capacity: capacity as u64, origin };
    // SAFETY: `a` and `b` describe their rows, of one format and number of columns; there is room
    // for the count and for `capacity` pairs, beyond which the kernel writes none.
    unsafe {
        launch!(lane, &tile.kernel, grid, THREADS, tile.shared;
            &a.argument(), &b.argument(), &argument, &count.pointer(), &pairs.pointer())
    }?;
    Ok(FoundPairs { count, pairs, capacity })
}

/// Brings all pairs, as `(i, j, bits of the score)` in any order; where there are more than there was
/// room for, after they were found again.
pub(super) fn bring_pairs(
    lane: &Lane,
    a: DeviceRows<'_>,
    b: DeviceRows<'_>,
    search: Search,
    mut found: FoundPairs,
) -> Result<Vec<[u32; 3]>, Error> {
    loop {
        let count: Vec<u64> = lane.download(&found.count, 1)?;
        let count = count[0] as usize;
        if count <= found.capacity {
            return lane.download(&found.pairs, count);
        }
        // Its memory is free for the next.
        drop(found);
        found = find_up_to(lane, a, b, search, count)?;
    }
}

/// What [`bring_pairs`] gave, in order.
pub(super) fn sorted_pairs(mut found: Vec<[u32; 3]>) -> Vec<(u32, u32, f32)> {
    found.sort_unstable_by_key(|&[i, j, _]| (i, j));
    found.into_iter().map(|[i, j, score]| (i, j, f32::from_bits(score))).collect()
}

/// Writes all scores to `scores: [a.count, b.count]` f32 and, where there is a `mirror`, transposed to
/// that. Where `mirror` is `scores`, `a` and `b` are the same rows, and half of them is computed.
pub(super) fn pairwise(
    lane: &Lane,
    a: DeviceRows<'_>,
    b: DeviceRows<'_>,
    scores: &Memory,
    mirror: Option<&Memory>,
) -> Result<(), Error> {
    a.check_comparable(&b)?;
    let room = 4 * a.count * b.count;
    let holds_all = scores.bytes() >= room && mirror.is_none_or(|mirror| mirror.bytes() >= room);
    assert!(holds_all, "room for {} by {} scores", a.count, b.count);
    let tile = Tile::of_scores("pairwise", a);
    let mirror = mirror.map_or(0, Memory::pointer);
    // SAFETY: `a` and `b` describe their rows, of one format and number of columns; there is room
    // for all scores, and as much for their transpose where that is not in the same place.
    unsafe {
        launch!(lane, &tile.kernel, tile.grid(a, b)?, THREADS, tile.shared;
            &a.argument(), &b.argument(), &scores.pointer(), &mirror)
    }
}

fn multiprocessors(lane: &Lane) -> Result<usize, Error> {
    let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    let count = lane.device.context.attribute(attribute);
    count.map(|count| count.max(1) as usize).map_err(|error| driver_error("ask the device", error))
}

/// Set in a key where the score is not negative.
const SIGN: u32 = 1 << 31;

/// What a key of `kernels/best.cuh` stands for; `None` for no score.
pub(super) fn scored_index(key: u64) -> Option<(u32, f32)> {
    let order = (key >> 32) as u32;
    let bits = if order & SIGN == 0 { !order } else { order ^ SIGN };
    (key != 0).then(|| (!(key as u32), f32::from_bits(bits)))
}

/// The key of a score, 0 for NaN: the larger is the better, by score and then by smaller index.
pub(super) fn score_key(score: f32, index: u32) -> u64 {
    if score.is_nan() {
        return 0;
    }
    // -0 counts as 0.
    let bits = (score + 0.0).to_bits();
    let order = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    u64::from(order) << 32 | u64::from(!index)
}
