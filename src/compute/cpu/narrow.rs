//! From f32 rows, of activations and of weights, to the narrower formats of products.

use super::simd::{Isa, MAX_LANES, Op, Simd};

/// How a row is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// f32 as it is.
    F32,
    /// Two bf16 a word, rounded to nearest even.
    Bf16,
    /// Four u8 a word: `round(x / scale) + 128`, where the row's scale is its largest magnitude
    /// over 127. Symmetric and per token or output feature, after Dettmers et al. 2022 (arXiv 2208.07339).
    U8,
}

/// The byte that stands for 0.
pub(super) const ZERO_POINT: i32 = 128;

impl Format {
    /// Words of a row of `cols` values.
    pub(super) fn words(self, cols: usize) -> usize {
        match self {
            Self::F32 => cols,
            Self::Bf16 => cols.div_ceil(2),
            Self::U8 => cols.div_ceil(4),
        }
    }
}

/// Rows to write in a format.
pub(super) struct NarrowRows<'a> {
    pub(super) format: Format,
    /// `[rows, format.words(cols)]`.
    pub(super) words: &'a mut [u32],
    /// `[rows]`.
    pub(super) scales: &'a mut [f32],
}

impl NarrowRows<'_> {
    /// The first `rows` and the rest.
    pub(super) fn split_at(self, rows: usize, cols: usize) -> (Self, Self) {
        let Self { format, words, scales } = self;
        let (words, words_rest) = words.split_at_mut(rows * format.words(cols));
        let (scales, scales_rest) = scales.split_at_mut(rows);
        (Self { format, words, scales }, Self { format, words: words_rest, scales: scales_rest })
    }

    /// Writes f32 rows of `cols` values.
    pub(super) fn write(&mut self, isa: Isa, f32: &[f32], cols: usize) {
        struct Write<'a, 'b>(&'a mut NarrowRows<'b>, &'a [f32], usize);
        impl Op for Write<'_, '_> {
            type Output = ();

            #[inline(always)]
            fn eval<S: Simd>(self, simd: S) {
                let Self(rows, f32, cols) = self;
                for (index, row) in f32.chunks_exact(cols).enumerate() {
                    rows.write_row(simd, index, row);
                }
            }
        }
        if cols > 0 {
            isa.run(Write(self, f32, cols));
        }
    }

    /// Writes row `index`.
    #[inline(always)]
    pub(super) fn write_row<S: Simd>(&mut self, simd: S, index: usize, row: &[f32]) {
        let words = self.format.words(row.len());
        let words = &mut self.words[index * words..(index + 1) * words];
        self.scales[index] = match self.format {
            Format::F32 => unreachable!("f32 rows are read as they are"),
            Format::Bf16 => {
                write_bf16(simd, row, words);
                1.0
            }
            Format::U8 => write_u8(simd, row, words),
        };
    }
}

#[inline(always)]
fn write_bf16<S: Simd>(simd: S, row: &[f32], words: &mut [u32]) {
    let mut full = row.chunks_exact(S::LANES);
    let to = words.as_mut_ptr().cast::<u16>();
    for (index, x) in full.by_ref().enumerate() {
        let half = bf16(simd, simd.load_head(x));
        // SAFETY: `words` holds a half for every value of `row`.
        unsafe { simd.store_u16(to.add(index * S::LANES), half) };
    }
    let rest = full.remainder();
    if !rest.is_empty() {
        let mut halves = [0_u16; MAX_LANES];
        // SAFETY: no vector is longer than the array.
        unsafe { simd.store_u16(halves.as_mut_ptr(), bf16(simd, simd.load_head(rest))) };
        let start = (row.len() - rest.len()) / 2;
        for (word, pair) in words[start..].iter_mut().zip(halves.chunks_exact(2)) {
            *word = u32::from(pair[0]) | u32::from(pair[1]) << 16;
        }
    }
}

/// The upper half of the nearest bf16, ties to even, in the lower half of every lane.
#[inline(always)]
fn bf16<S: Simd>(simd: S, x: S::F32) -> S::I32 {
    let bits = simd.as_i32(x);
    let odd = simd.and(simd.shr::<16>(bits), simd.splat_i32(1));
    let rounded = simd.add_i32(bits, simd.add_i32(odd, simd.splat_i32(0x7fff)));
    // Rounding would make infinity of a NaN whose payload is low; its quiet bit is set instead.
    let magnitude = simd.as_f32(simd.and(bits, simd.splat_i32(i32::MAX)));
    let quiet = simd.or(bits, simd.splat_i32(0x40_0000));
    let at_most = simd.splat(f32::INFINITY);
    let finite = simd.select_lt(magnitude, at_most, simd.as_f32(rounded), simd.as_f32(quiet));
    let infinite = simd.select_lt(simd.splat(f32::MAX), magnitude, x, finite);
    simd.shr::<16>(simd.as_i32(infinite))
}

/// The largest magnitude of a row; NaN where a value is not finite.
#[inline(always)]
fn largest_magnitude<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mask = simd.splat_i32(i32::MAX);
    // Several of each, as one would wait for itself.
    let mut largest = [simd.splat(0.0); 4];
    let mut checked = [simd.splat(0.0); 4];
    for vectors in row.chunks(4 * S::LANES) {
        let parts = largest.iter_mut().zip(&mut checked);
        for (x, (largest, checked)) in vectors.chunks(S::LANES).zip(parts) {
            let x = simd.load_head(x);
            *largest = simd.max(simd.as_f32(simd.and(simd.as_i32(x), mask)), *largest);
            // 0 * x is NaN for NaN and infinities alone.
            *checked = simd.mul_add(x, simd.splat(0.0), *checked);
        }
    }
    let [a, b, c, d] = checked;
    let checked = simd.sum(simd.add(simd.add(a, b), simd.add(c, d)));
    let [a, b, c, d] = largest;
    simd.max_lane(simd.max(simd.max(a, b), simd.max(c, d))) + checked
}

/// Writes the bytes of a row and gives its scale; NaN where a value is not finite, so that it
/// shows in the result.
#[inline(always)]
fn write_u8<S: Simd>(simd: S, row: &[f32], words: &mut [u32]) -> f32 {
    let largest = largest_magnitude(simd, row);
    // So small a row counts as zero, as its scale would be infinite.
    let inverse = simd.splat(if largest > 1e-30 { 127.0 / largest } else { 0.0 });
    let quantise = |x| simd.add_i32(simd.round(simd.mul(x, inverse)), simd.splat_i32(ZERO_POINT));
    let mut full = row.chunks_exact(S::LANES);
    let to = words.as_mut_ptr().cast::<u8>();
    for (index, x) in full.by_ref().enumerate() {
        // SAFETY: `words` holds a byte for every value of `row`.
        unsafe { simd.store_u8(to.add(index * S::LANES), quantise(simd.load_head(x))) };
    }
    let rest = full.remainder();
    if !rest.is_empty() {
        let mut bytes = [0_u8; MAX_LANES];
        // SAFETY: no vector is longer than the array.
        unsafe { simd.store_u8(bytes.as_mut_ptr(), quantise(simd.load_head(rest))) };
        let start = (row.len() - rest.len()) / 4;
        for (word, quad) in words[start..].iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*quad);
        }
    }
    largest / 127.0
}
