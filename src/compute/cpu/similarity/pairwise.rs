//! The whole matrix of scores.

use super::super::arena::Arena;
use super::super::simd::{Isa, Op, Simd};
use super::blocks::{ScoreBlock, Sink};

/// `[rows, columns]` that blocks are written to, each element once.
pub(super) struct Matrix<'a> {
    isa: Isa,
    arena: &'a Arena,
    output: Output,
    len: usize,
    columns: usize,
}

/// The first element of a matrix whose parts several threads write.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: blocks and their mirror images do not overlap.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl<'a> Matrix<'a> {
    pub(super) fn new(isa: Isa, arena: &'a Arena, output: &'a mut [f32], columns: usize) -> Self {
        let len = output.len();
        Self { isa, arena, output: Output(output.as_mut_ptr()), len, columns }
    }

    /// Writes `scores: [rows, columns]` at row and column `at`.
    fn write(&self, at: [usize; 2], scores: &[f32], columns: usize) {
        let rows = scores.len() / columns;
        let end = (at[0] + rows - 1) * self.columns + at[1] + columns;
        assert!(at[1] + columns <= self.columns && end <= self.len, "block of the matrix");
        // SAFETY: the block lies within the matrix.
        let to = unsafe { self.output.0.add(at[0] * self.columns + at[1]) };
        self.isa.run(Write { scores, columns, to, stride: self.columns });
    }
}

impl Sink for Matrix<'_> {
    fn take(&self, block: ScoreBlock<'_>) {
        let ScoreBlock { rows, columns, scores, is_mirrored } = block;
        self.write([rows.start, columns.start], scores, columns.len());
        if is_mirrored {
            let mut mirrored = self.arena.take(scores.len());
            self.isa.run(Mirror { scores, columns: columns.len(), to: &mut mirrored });
            self.write([columns.start, rows.start], &mirrored, rows.len());
        }
    }
}

/// Transposes a block in cache.
struct Mirror<'a> {
    /// `[rows, columns]`.
    scores: &'a [f32],
    columns: usize,
    /// `[columns, rows]`.
    to: &'a mut [f32],
}

impl Op for Mirror<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { scores, columns, to } = self;
        let rows = scores.len() / columns;
        let square = S::LANES;
        assert!(to.len() >= scores.len(), "room for the transpose");
        let (whole_rows, whole_columns) = (rows / square * square, columns / square * square);
        for row in (0..whole_rows).step_by(square) {
            for column in (0..whole_columns).step_by(square) {
                // SAFETY: the square lies within both.
                unsafe {
                    let from = scores.as_ptr().add(row * columns + column);
                    let to = to.as_mut_ptr().add(column * rows + row);
                    simd.transpose(from, columns, square, to, rows);
                }
            }
        }
        for row in 0..rows {
            let first = if row < whole_rows { whole_columns } else { 0 };
            for column in first..columns {
                to[column * rows + row] = scores[row * columns + column];
            }
        }
    }
}

/// Writes rows past the caches, whose whole lines need not be read for that.
struct Write<'a> {
    /// `[rows, columns]`.
    scores: &'a [f32],
    columns: usize,
    to: *mut f32,
    stride: usize,
}

impl Op for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { scores, columns, to, stride } = self;
        for (index, row) in scores.chunks_exact(columns).enumerate() {
            // SAFETY: the block lies within the matrix, as `Matrix::write` has checked.
            let to = unsafe { std::slice::from_raw_parts_mut(to.add(index * stride), columns) };
            let bytes = 4 * S::LANES;
            let before = (to.as_ptr().addr().wrapping_neg() % bytes / 4).min(columns);
            let whole = (columns - before) / S::LANES * S::LANES;
            to[..before].copy_from_slice(&row[..before]);
            for at in (before..before + whole).step_by(S::LANES) {
                // SAFETY: a vector from `at` on is within the row, and aligned.
                unsafe {
                    let x = simd.load(row.as_ptr().add(at));
                    simd.stream(to.as_mut_ptr().add(at), x);
                }
            }
            to[before + whole..].copy_from_slice(&row[before + whole..]);
        }
        simd.fence();
    }
}
