//! Rows as panels of columns, packed for the products of a whole operand with them.

use super::super::super::row_format::RowFormat;
use super::super::super::rows::Rows;
use super::super::arena::{Arena, Block};
use super::super::buffer::Operand;
use super::super::multiply::Multiply;
use super::super::narrow::ZERO_POINT;
use super::super::packed::Panels;
use super::super::simd::{Isa, MAX_LANES, Op, Simd};
use super::super::words::Words;
use super::stage::{Stage, offset_bytes, stride_of};

/// Some rows of the second operand as panels.
pub(super) struct Group {
    isa: Isa,
    words: Words,
    dim: usize,
    len: usize,
    /// `[panels][word][column]`, and room for the last square that is transposed.
    panels: Block,
    zeros: Vec<f32>,
    scales: Vec<f32>,
    offsets: Vec<u32>,
}

impl Group {
    pub(super) fn pack(isa: Isa, arena: &Arena, rows: Rows<'_>, words: Words) -> Self {
        let (dim, len, width) = (rows.dim(), rows.len(), 2 * isa.lanes());
        let (padded, stride) = (len.next_multiple_of(width), stride_of(words, dim));
        let panel_words = width * words.words(dim);
        let mut group = Self {
            isa,
            words,
            dim,
            len,
            panels: arena.take(padded / width * panel_words + width * MAX_LANES),
            zeros: vec![0.0; padded],
            scales: vec![1.0; padded],
            offsets: vec![0; padded],
        };
        let mut staged = arena.take(width.min(len) * stride);
        for first in (0..len).step_by(width) {
            let rows = rows.slice(first..len.min(first + width));
            isa.run(Stage { rows, words, to: staged.words_mut() });
            let staged = &staged.words()[..rows.len() * stride];
            if words == Words::I8 {
                for (index, row) in staged.chunks_exact(stride).enumerate() {
                    group.scales[first + index] = rows.scale(index);
                    group.offsets[first + index] = (-ZERO_POINT * sum_of_bytes(row)) as u32;
                }
            }
            let to = &mut group.panels.words_mut()[first / width * panel_words..];
            isa.run(Deal { staged, stride, words: words.words(dim), to });
        }
        group
    }

    /// Writes the scores of `rows` with all of the group: `[rows, group]`.
    pub(super) fn scores(&self, arena: &Arena, rows: Rows<'_>, output: &mut [f32]) {
        let Self { isa, words, dim, len, .. } = *self;
        let stride = stride_of(words, dim);
        let mut staged = arena.take(rows.len() * stride);
        isa.run(Stage { rows, words, to: staged.words_mut() });
        let mut scales = Vec::new();
        if words == Words::I8 {
            offset_bytes(staged.words_mut());
            scales.extend((0..rows.len()).map(|index| rows.scale(index)));
        }
        let operand = Operand { words: staged.words(), stride, scales: &scales };
        let panels = Panels {
            words,
            in_features: dim,
            out_features: len,
            width: 2 * isa.lanes(),
            weights: self.panels.words(),
            bias: &self.zeros,
            scales: &self.scales,
            offsets: &self.offsets,
        };
        Multiply::new(panels, operand, rows.len(), None).run_here(isa, output);
        if rows.format() == RowFormat::Binary {
            isa.run(Divide { values: output, by: dim as f32 });
        }
    }
}

/// Sums of signs become cosines; no scale would do, as 1 is to be exact.
struct Divide<'a> {
    values: &'a mut [f32],
    by: f32,
}

impl Op for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let by = simd.splat(self.by);
        for values in self.values.chunks_mut(S::LANES) {
            simd.store_head(values, simd.div(simd.load_head(values), by));
        }
    }
}

fn sum_of_bytes(words: &[u32]) -> i32 {
    bytemuck::cast_slice::<u32, i8>(words).iter().map(|&byte| i32::from(byte)).sum()
}

/// Deals the words of up to a panel's columns out to them.
struct Deal<'a, 'b> {
    /// `[columns, stride]`.
    staged: &'a [u32],
    stride: usize,
    words: usize,
    /// `[word][column]`, and room beyond the last word for the rest of a square.
    to: &'b mut [u32],
}

impl Op for Deal<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { staged, stride, words, to } = self;
        let (width, columns) = (2 * S::LANES, staged.len() / stride);
        assert!(columns > 0 && words <= stride, "columns to deal out");
        assert!(to.len() >= width * words.next_multiple_of(S::LANES), "room for squares");
        for half in 0..2 {
            // Where a vector has no column, the last stands in: its sums are not read.
            let first = (half * S::LANES).min(columns - 1);
            for word in (0..words).step_by(S::LANES) {
                // SAFETY: a stride is whole lines, and the room is there as asserted.
                unsafe {
                    let from = staged.as_ptr().add(first * stride + word);
                    let to = to.as_mut_ptr().add(word * width + half * S::LANES);
                    simd.transpose(from.cast(), stride, columns - first, to.cast(), width);
                }
            }
        }
    }
}
