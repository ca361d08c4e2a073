//! The micro-kernel of every matrix product: a tile of a few rows by two vectors of columns.
//!
//! All dtypes share it, as all fill words of 32 bits: one f32, a pair of bf16, four bytes. Each
//! sum runs over the inner dimension in order, whatever the tile's rows, so that a row has the
//! same bits in any company.

use super::simd::Simd;

/// How the words of rows and weights multiply.
pub(super) trait Product<S: Simd> {
    /// Lanes of sums.
    type Sum: Copy;

    /// Rows that the registers hold sums of.
    const ROWS: usize = S::TILE_ROWS;
    /// Whether sums are of bytes, and mean something only with a scale.
    const IS_SCALED: bool = false;

    /// The products of `ROWS` rows with a panel of weights, `depth` terms each.
    ///
    /// # Safety
    /// Words of `depth` values are readable at `a + row * stride` for every row, and at `panel`
    /// for two vectors of columns.
    unsafe fn accumulate<const ROWS: usize>(
        simd: S,
        a: *const u32,
        stride: usize,
        panel: *const u32,
        depth: usize,
    ) -> [[Self::Sum; 2]; ROWS];

    /// What a sum stands for, plus `bias`: `(sum + offset) * scale` where there is a scale.
    fn value(simd: S, sum: Self::Sum, scale: S::F32, offset: S::I32, bias: S::F32) -> S::F32;
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
    ($simd:ident, $zero:expr, $dot:expr, $a:ident, $stride:ident, $panel:ident, $words:expr) => {{
        let mut sums = [[$zero; 2]; ROWS];
        for word in 0..$words {
            // SAFETY: within what the caller promises.
            unsafe {
                let b = $panel.add(word * 2 * S::LANES);
                let (first, second) = ($simd.load_i32(b), $simd.load_i32(b.add(S::LANES)));
                prefetch($simd, b);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = $simd.splat_i32(*$a.add(row * $stride + word) as i32);
                    sums[0] = $dot(sums[0], x, first);
                    sums[1] = $dot(sums[1], x, second);
                }
            }
        }
        sums
    }};
}

impl<S: Simd> Product<S> for F32Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize>(
        simd: S,
        a: *const u32,
        stride: usize,
        panel: *const u32,
        depth: usize,
    ) -> [[S::F32; 2]; ROWS] {
        let dot = |sum, a, b| simd.mul_add(simd.as_f32(a), simd.as_f32(b), sum);
        accumulate!(simd, simd.splat(0.0), dot, a, stride, panel, depth)
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, _: S::I32, bias: S::F32) -> S::F32 {
        simd.add(sum, bias)
    }
}

impl<S: Simd> Product<S> for Bf16Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize>(
        simd: S,
        a: *const u32,
        stride: usize,
        panel: *const u32,
        depth: usize,
    ) -> [[S::F32; 2]; ROWS] {
        let dot = |sum, a, b| simd.dot_bf16(sum, a, b);
        accumulate!(simd, simd.splat(0.0), dot, a, stride, panel, depth.div_ceil(2))
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, _: S::I32, bias: S::F32) -> S::F32 {
        simd.add(sum, bias)
    }
}

impl<S: Simd> Product<S> for I8Words {
    type Sum = S::I32;

    const IS_SCALED: bool = true;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize>(
        simd: S,
        a: *const u32,
        stride: usize,
        panel: *const u32,
        depth: usize,
    ) -> [[S::I32; 2]; ROWS] {
        let dot = |sum, a, b| simd.dot_i8(sum, a, b);
        accumulate!(simd, simd.splat_i32(0), dot, a, stride, panel, depth.div_ceil(4))
    }

    #[inline(always)]
    fn value(simd: S, sum: S::I32, scale: S::F32, offset: S::I32, bias: S::F32) -> S::F32 {
        simd.mul_add(simd.to_f32(simd.add_i32(sum, offset)), scale, bias)
    }
}

impl<S: Simd> Product<S> for WideBf16Words {
    type Sum = S::F32;

    #[inline(always)]
    unsafe fn accumulate<const ROWS: usize>(
        simd: S,
        a: *const u32,
        stride: usize,
        panel: *const u32,
        depth: usize,
    ) -> [[S::F32; 2]; ROWS] {
        let mut sums = [[simd.splat(0.0); 2]; ROWS];
        let high = simd.splat_i32(0xffff_0000_u32 as i32);
        for term in 0..depth {
            // SAFETY: within what the caller promises.
            unsafe {
                let b = panel.add(term / 2 * 2 * S::LANES);
                let [first, second] = [simd.load_i32(b), simd.load_i32(b.add(S::LANES))];
                let widen = |x| if term % 2 == 0 { simd.shl::<16>(x) } else { simd.and(x, high) };
                let (first, second) = (simd.as_f32(widen(first)), simd.as_f32(widen(second)));
                prefetch(simd, b);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = simd.as_f32(simd.splat_i32(*a.add(row * stride + term) as i32));
                    sums[0] = simd.mul_add(x, first, sums[0]);
                    sums[1] = simd.mul_add(x, second, sums[1]);
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn value(simd: S, sum: S::F32, _: S::F32, _: S::I32, bias: S::F32) -> S::F32 {
        simd.add(sum, bias)
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

/// Runs `$body` with `$rows` as a constant, for up to [`MAX_ROWS`] rows of which `S` has registers for no
/// more than [`Simd::TILE_ROWS`].
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
