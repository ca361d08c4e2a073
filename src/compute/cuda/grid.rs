//! How kernels that work row by row are cut into blocks and threads.

/// Threads of a block where a kernel leaves that open, and the most that its bounds allow.
pub(super) const THREADS: u32 = 256;
/// Lanes of a warp.
pub(super) const WARP: u32 = 32;
/// Shared memory of a block that keeps several blocks on a multiprocessor.
const SHARED_BYTES: usize = 48 << 10;
/// Blocks of kernels that loop over their grid: a few for every multiprocessor of any device.
const MAX_BLOCKS: usize = 4096;

/// Blocks of warps, a warp and `cols` floats of shared memory a row: grid, threads, shared bytes.
pub(super) fn by_warps(rows: usize, cols: usize) -> ((u32, u32, u32), u32, u32) {
    // Whole blocks of `SharedRow` in either width.
    let cols = cols.next_multiple_of(WARP as usize * 8);
    let fitting = SHARED_BYTES / (4 * cols.max(1));
    let warps = fitting.clamp(1, (THREADS / WARP) as usize);
    (((rows.div_ceil(warps)) as u32, 1, 1), warps as u32 * WARP, (4 * cols * warps) as u32)
}

/// Blocks for `items` of threads that loop over the grid.
pub(super) fn by_items(items: usize) -> (u32, u32, u32) {
    (items.div_ceil(THREADS as usize).clamp(1, MAX_BLOCKS) as u32, 1, 1)
}
