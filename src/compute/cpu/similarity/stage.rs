//! Rows in the words that products read, each from the start of a cache line.
//!
//! Staged rows are whole lines whatever their source, so that kernels know neither formats nor
//! alignment nor the ends of rows; what is past a row's end is zero.

use half::{bf16, f16};

use super::super::super::row_format::RowFormat;
use super::super::super::rows::{RowValues, Rows};
use super::super::narrow::ZERO_POINT;
use super::super::simd::{Isa, MAX_LANES, Op, Simd};
use super::super::words::Words;

/// Words of a cache line, which is also the longest vector.
const LINE_WORDS: usize = 16;

/// The words that products of two formats read: narrow floating point only where both are and the
/// processor multiplies it at least as fast as f32.
pub(super) fn words_of(isa: Isa, a: RowFormat, b: RowFormat) -> Words {
    match (a, b) {
        (RowFormat::Int8 | RowFormat::Binary, _) => Words::I8,
        (RowFormat::Bf16, RowFormat::Bf16) if isa.has_bf16_products() => Words::Bf16,
        _ => Words::F32,
    }
}

/// Words from one staged row to the next: an odd number of lines, so that the lines of one column
/// do not share a set of the cache.
pub(super) fn stride_of(words: Words, dim: usize) -> usize {
    (words.words(dim).div_ceil(LINE_WORDS) | 1) * LINE_WORDS
}

/// Writes rows as words; scales are left out. Bits become signs: 1 and -1.
pub(super) struct Stage<'a, 'b> {
    pub(super) rows: Rows<'a>,
    pub(super) words: Words,
    /// `[rows, stride_of(words, dim)]`.
    pub(super) to: &'b mut [u32],
}

impl Op for Stage<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { rows, words, to } = self;
        let (dim, stride) = (rows.dim(), stride_of(words, rows.dim()));
        assert!(to.len() >= rows.len() * stride, "room for staged rows");
        match (rows.values(), words) {
            (RowValues::F32(values), _) => widen(simd, values, dim, to, stride),
            (RowValues::F16(values), _) => widen(simd, values, dim, to, stride),
            (RowValues::Bf16(values), Words::Bf16) => {
                copy(bytemuck::cast_slice(values), 2 * dim, to, stride);
            }
            (RowValues::Bf16(values), _) => widen(simd, values, dim, to, stride),
            (RowValues::Int8(values, _), Words::I8) => {
                copy(bytemuck::cast_slice(values), dim, to, stride);
            }
            (RowValues::Int8(values, _), _) => {
                for (row, to) in values.chunks_exact(dim).zip(to.chunks_exact_mut(stride)) {
                    widen_bytes(row, to);
                }
            }
            (RowValues::Binary(bits), _) => {
                // Words of bytes take signs as they are.
                let room = if words == Words::I8 { 0 } else { dim.next_multiple_of(8) };
                let mut signs = vec![0_u8; room];
                let rows = bits.chunks_exact(dim.div_ceil(8));
                for (row, to) in rows.zip(to.chunks_exact_mut(stride)) {
                    if words == Words::I8 {
                        write_signs(row, dim, bytemuck::cast_slice_mut(to));
                    } else {
                        write_signs(row, dim, &mut signs);
                        widen_bytes(bytemuck::cast_slice(&signs[..dim]), to);
                    }
                }
            }
        }
    }
}

/// Values that are widened to f32.
pub(super) trait Value: Copy + Default {
    /// # Safety
    /// As many values as a vector has lanes are readable.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F32;
}

macro_rules! value {
    ($type:ty, $load:ident) => {
        impl Value for $type {
            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F32 {
                // SAFETY: the caller's promise.
                unsafe { simd.$load(from) }
            }
        }
    };
}
value!(f32, load);
value!(f16, load_f16);
value!(bf16, load_bf16);

/// The first values, zeros where there are fewer than a vector has lanes.
#[inline(always)]
pub(super) fn load_head<S: Simd, V: Value>(simd: S, from: &[V]) -> S::F32 {
    let mut values = [V::default(); MAX_LANES];
    let len = from.len().min(S::LANES);
    values[..len].copy_from_slice(&from[..len]);
    // SAFETY: no vector is longer than the array.
    unsafe { V::load(simd, values.as_ptr()) }
}

#[inline(always)]
fn widen<S: Simd, V: Value>(simd: S, values: &[V], dim: usize, to: &mut [u32], stride: usize) {
    for (row, to) in values.chunks_exact(dim).zip(to.chunks_exact_mut(stride)) {
        let (vectors, rest) = to.split_at_mut(dim.next_multiple_of(S::LANES));
        for (from, to) in row.chunks(S::LANES).zip(vectors.chunks_exact_mut(S::LANES)) {
            // SAFETY: both are as long as a vector.
            unsafe {
                let x = if from.len() == S::LANES {
                    V::load(simd, from.as_ptr())
                } else {
                    load_head(simd, from)
                };
                simd.store(to.as_mut_ptr().cast(), x);
            }
        }
        rest.fill(0);
    }
}

#[inline(always)]
fn copy(bytes: &[u8], row_bytes: usize, to: &mut [u32], stride: usize) {
    for (row, to) in bytes.chunks_exact(row_bytes).zip(to.chunks_exact_mut(stride)) {
        let (copied, rest) = bytemuck::cast_slice_mut::<u32, u8>(to).split_at_mut(row_bytes);
        copied.copy_from_slice(row);
        rest.fill(0);
    }
}

/// Whole numbers as f32.
#[inline(always)]
fn widen_bytes(row: &[i8], to: &mut [u32]) {
    let (values, rest) = to.split_at_mut(row.len());
    for (to, &x) in values.iter_mut().zip(row) {
        *to = f32::from(x).to_bits();
    }
    rest.fill(0);
}

/// Eight signs for each byte of bits, zeros from `dim` on.
#[inline(always)]
fn write_signs(bits: &[u8], dim: usize, to: &mut [u8]) {
    let eights = to.as_chunks_mut::<8>().0;
    for (&byte, signs) in bits.iter().zip(eights) {
        *signs = SIGNS[usize::from(byte)];
    }
    to[dim..].fill(0);
}

/// The signs of every byte of bits, the highest first.
static SIGNS: [[u8; 8]; 256] = {
    let mut signs = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut place = 0;
        while place < 8 {
            signs[byte][place] = if byte >> (7 - place) & 1 == 1 { 1 } else { u8::MAX };
            place += 1;
        }
        byte += 1;
    }
    signs
};

/// Makes signed bytes unsigned, off by [`ZERO_POINT`].
pub(super) fn offset_bytes(words: &mut [u32]) {
    const HIGHEST_BITS: u32 = u32::from_le_bytes([ZERO_POINT as u8; 4]);
    for word in words {
        *word ^= HIGHEST_BITS;
    }
}
