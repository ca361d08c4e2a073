//! The micro-kernel of every matrix product: a tile of a few rows by two vectors of columns.
//!
//! All dtypes share it, as all fill words of 32 bits: one f32, a pair of bf16, four bytes. Each
//! sum runs over the inner dimension in order, whatever the tile's rows, so that a row has the
//! same bits in any company.

use std::ops::Range;

use super::packed::Affine;
use super::simd::Simd;

/// Words of rows: where the first is, and how far apart rows and the terms of a row are.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) first: *const u32,
    pub(super) row: usize,
    pub(super) term: usize,
}

impl Terms {
    /// # Safety
    /// The term is there.
    #[inline(always)]
    unsafe fn splat<S: Simd>(self, simd: S, row: usize, term: usize) -> S::I32 {
        // SAFETY: the caller's promise.
        simd.splat_i32(unsafe { *self.first.add(row * self.row + term * self.term) } as i32)
    }
}

/// How the words of rows and weights multiply.
pub(super) trait Product<S: Simd> {
    /// Lanes of sums.
    type Sum: Copy;

    /// Whether sums are of bytes, and mean something only with a scale.
    const IS_SCALED: bool = false;

    /// `start` plus the products of `ROWS` rows with the first `VECTORS`, at most two, of the
    /// vectors of a panel of weights, `depth` values each.
    ///
    /// # Safety
    /// Words of `depth` values are readable in `rows` and, for two vectors, at `panel`.
    unsafe fn accumulate<const ROWS: usize, const VECTORS: usize>(
        simd: S,
        rows: Terms,
        panel: *const u32,
        depth: usize,
        start: [Self::Sum; VECTORS],
    ) -> [[Self::Sum; VECTORS]; ROWS];

    /// What sums start from: the offset where they are scaled, or else 0, as a large bias would
    /// take digits from them.
    fn start(simd: S, affine: &Affine<S>) -> Self::Sum;

    /// What a sum stands for, scaled if it is, plus the bias.
    fn value(simd: S, sum: Self::Sum, row_scale: S::F32, affine: &Affine<S>) -> S::F32;
}

/// A word is an f32.
pub(super) struct F32Words;
/// A word of weights is a pair of bf16, of rows an f32: exact products, in f32.
pub(super) struct WideBf16Words;
/// A word is a pair of bf16; sums are f32.
pub(super) struct Bf16Words;
/// A word is four u8 in rows and four i8 in weights; sums are i32.
pub(super) struct I8Words;

/// The loop of the products whose words pair up; `$dot` adds the products of a word.
macro_rules! accumulate {
    ($simd:ident, $start:ident, $dot:expr, $rows:ident, $panel:ident, $words:expr) => {{
        let mut sums = [$start; ROWS];
        for word in 0..$words {
            // SAFETY: within what the caller promises.
            unsafe {
                let from = $panel.add(word * 2 * S::LANES);
                let mut weights = [$simd.splat_i32(0); VECTORS];
                for (vector, weights) in weights.iter_mut().enumerate() {
                    *weights = $simd.load_i32(from.add(vector * S::LANES));
                }
                prefetch($simd, from);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = $rows.splat($simd, row, word);
                    for (sum, &weights) in sums.iter_mut().zip(&weights) {
                        *sum = $dot(*sum, x, weights);
                    }
                }
            }
        }
        sums
    }};
}

impl<S: Simd> Product<S> for F32Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize, const VECTORS: usize>(
        simd: S,
        rows: Terms,
        panel: *const u32,
        depth: usize,
        start: [S::F32; VECTORS],
    ) -> [[S::F32; VECTORS]; ROWS] {
        let dot = |sum, a, b| simd.mul_add(simd.as_f32(a), simd.as_f32(b), sum);
        accumulate!(simd, start, dot, rows, panel, depth)
    }

    #[inline(always)]
    fn start(simd: S, _: &Affine<S>) -> S::F32 {
        simd.splat(0.0)
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, affine: &Affine<S>) -> S::F32 {
        simd.add(sum, affine.bias)
    }
}

impl<S: Simd> Product<S> for Bf16Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize, const VECTORS: usize>(
        simd: S,
        rows: Terms,
        panel: *const u32,
        depth: usize,
        start: [S::F32; VECTORS],
    ) -> [[S::F32; VECTORS]; ROWS] {
        let dot = |sum, a, b| simd.dot_bf16(sum, a, b);
        accumulate!(simd, start, dot, rows, panel, depth.div_ceil(2))
    }

    #[inline(always)]
    fn start(simd: S, _: &Affine<S>) -> S::F32 {
        simd.splat(0.0)
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, affine: &Affine<S>) -> S::F32 {
        simd.add(sum, affine.bias)
    }
}

impl<S: Simd> Product<S> for I8Words {
    type Sum = S::I32;

    const IS_SCALED: bool = true;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize, const VECTORS: usize>(
        simd: S,
        rows: Terms,
        panel: *const u32,
        depth: usize,
        start: [S::I32; VECTORS],
    ) -> [[S::I32; VECTORS]; ROWS] {
        let dot = |sum, a, b| simd.dot_i8(sum, a, b);
        accumulate!(simd, start, dot, rows, panel, depth.div_ceil(4))
    }

    #[inline(always)]
    fn start(_: S, affine: &Affine<S>) -> S::I32 {
        affine.offset
    }

    #[inline(always)]
    fn value(simd: S, sum: S::I32, row_scale: S::F32, affine: &Affine<S>) -> S::F32 {
        simd.mul_add(simd.to_f32(sum), simd.mul(row_scale, affine.scale), affine.bias)
    }
}

impl<S: Simd> Product<S> for WideBf16Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize, const VECTORS: usize>(
        simd: S,
        rows: Terms,
        panel: *const u32,
        depth: usize,
        start: [S::F32; VECTORS],
    ) -> [[S::F32; VECTORS]; ROWS] {
        let mut sums = [start; ROWS];
        let high = simd.splat_i32(0xffff_0000_u32 as i32);
        for term in 0..depth {
            // SAFETY: within what the caller promises.
            unsafe {
                let from = panel.add(term / 2 * 2 * S::LANES);
                let mut weights = [simd.splat(0.0); VECTORS];
                for (vector, weights) in weights.iter_mut().enumerate() {
                    let pair = simd.load_i32(from.add(vector * S::LANES));
                    let widened =
                        if term % 2 == 0 { simd.shl::<16>(pair) } else { simd.and(pair, high) };
                    *weights = simd.as_f32(widened);
                }
                prefetch(simd, from);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = simd.as_f32(rows.splat(simd, row, term));
                    for (sum, &weights) in sums.iter_mut().zip(&weights) {
                        *sum = simd.mul_add(x, weights, *sum);
                    }
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn start(simd: S, _: &Affine<S>) -> S::F32 {
        simd.splat(0.0)
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, affine: &Affine<S>) -> S::F32 {
        simd.add(sum, affine.bias)
    }
}

/// Panels follow one another: the end of one fetches the start of the next.
#[inline(always)]
fn prefetch<S: Simd>(simd: S, panel: *const u32) {
    simd.prefetch(panel.wrapping_add(PREFETCH_WORDS));
    simd.prefetch(panel.wrapping_add(PREFETCH_WORDS + S::LANES));
}

/// How far ahead of the products weights are fetched, 4 KiB: measured.
const PREFETCH_WORDS: usize = 1_024;

/// Rows of the largest tile of any instruction set.
pub(super) const MAX_ROWS: usize = 14;

/// Divides `count` rows into as few tiles as the registers allow, of like heights, as a low one keeps
/// the units waiting.
#[inline(always)]
pub(super) fn tiles<S: Simd>(count: usize) -> impl Iterator<Item = Range<usize>> {
    let tiles = count.div_ceil(S::TILE_ROWS);
    (0..tiles).map(move |tile| count * tile / tiles..count * (tile + 1) / tiles)
}

/// Runs `$body` with `$rows` as a constant, for up to [`MAX_ROWS`] rows of which `S` has registers
/// for no more than [`Simd::TILE_ROWS`].
macro_rules! with_rows {
    ($count:expr, $rows:ident => $body:expr) => {
        with_rows!(@ $count, $rows => $body; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $count:expr, $rows:ident => $body:expr; $($n:literal)+) => {
        match $count {
            $($n if $n <= S::TILE_ROWS => {
                const $rows: usize = $n;
                $body
            })+
            other => unreachable!("tile of {other} rows"),
        }
    };
}
pub(super) use with_rows;
