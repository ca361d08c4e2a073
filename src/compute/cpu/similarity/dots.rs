//! Tiles of inner products whose lanes run along the rows, which are read as they are: for what is
//! limited by memory.
//!
//! Each product is summed in `LANES` chains in the order of the columns, then across them in one
//! order, whatever the tile.

use super::super::simd::Simd;
use super::stage::{Value, load_head};

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Queries of the largest tile: 24 sums of 32 registers.
const MAX_QUERIES: usize = 3;

/// Queries of the largest tile that fits the registers.
#[inline(always)]
pub(super) const fn tile_queries<S: Simd>() -> usize {
    if S::TILE_ROWS > ROWS { MAX_QUERIES } else { 1 }
}

/// Products of staged queries with rows, to be summed across their lanes.
///
/// # Safety
/// `QUERIES` queries of `dim` values, rounded up to a vector, are readable `stride` apart, and `dim`
/// values of each row.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, V: Value, const QUERIES: usize>(
    simd: S,
    queries: *const f32,
    stride: usize,
    rows: &[*const V; ROWS],
    dim: usize,
) -> [[S::F32; ROWS]; QUERIES] {
    let mut sums = [[simd.splat(0.0); ROWS]; QUERIES];
    let whole = dim / S::LANES * S::LANES;
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: within what the caller promises.
        unsafe {
            for (index, row) in rows.iter().enumerate() {
                let y = V::load(simd, row.add(at));
                // The same place eight rows on.
                simd.prefetch(row.wrapping_add(at + ROWS * dim).cast());
                for (query, sums) in sums.iter_mut().enumerate() {
                    let x = simd.load(queries.add(query * stride + at));
                    sums[index] = simd.mul_add(x, y, sums[index]);
                }
            }
        }
    }
    if whole < dim {
        // SAFETY: as above.
        unsafe {
            for (index, row) in rows.iter().enumerate() {
                let rest = std::slice::from_raw_parts(row.add(whole), dim - whole);
                let y = load_head(simd, rest);
                for (query, sums) in sums.iter_mut().enumerate() {
                    let x = simd.load(queries.add(query * stride + whole));
                    sums[index] = simd.mul_add(x, y, sums[index]);
                }
            }
        }
    }
    sums
}
