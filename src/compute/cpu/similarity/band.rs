//! The banded Gram matrix.
//!
//! Rows are staged as quads: groups of rows whose values alternate, four of each, so that a vector
//! holds four terms of each of its rows. That is the middle between panels, which a band would
//! leave half empty at both its edges, and rows as they are, whose sums would have to be taken
//! across all lanes. Each product is summed in four chains in the order of the columns.

use rayon::prelude::*;

use super::super::super::band::Band;
use super::super::super::error::{Error, check_len};
use super::super::super::row_format::RowFormat;
use super::super::super::rows::{RowValues, Rows};
use super::super::buffer::Buffer;
use super::super::exec::CpuExec;
use super::super::simd::{MAX_LANES, Op, Simd};
use super::super::words::Words;
use super::stage::{Stage, stride_of};

/// Offsets that rows meet in one pass.
const OFFSETS: usize = 64;
/// Rows that pass by below a few offsets: whole groups of any instruction set.
const STEP: usize = 24;
/// Staged rows: those of a step, the neighbours of the last of them, and a group.
const SLOTS: usize = (STEP + OFFSETS + MAX_GROUP).next_multiple_of(STEP);
/// Rows of a task, which stages the neighbours of its last rows beside its own.
const TASK_ROWS: usize = 40 * STEP;
/// Rows of the largest group.
const MAX_GROUP: usize = MAX_LANES / 4;
/// Groups that a group meets in a tile: with four rows 24 sums of 32 registers, with two 12 of 16.
const TILE: usize = 6;
/// Scores of a row: those with groups that it meets in part, and what vectors have beyond them.
const ROOM: usize = OFFSETS + 3 * MAX_LANES;

impl Band for CpuExec {
    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let mut band = vec![0.0; rows.rows() * width];
        self.band(Rows::f32(rows.f32()?, rows.cols())?, width, &mut band)?;
        Ok(band)
    }
}

impl CpuExec {
    /// Writes the banded Gram matrix of `rows`, `[n, width]` f32: element `(i, d)` is the score of
    /// rows `i` and `i + d`, zero past the last row. A value's bits depend on its two rows alone.
    ///
    /// # Errors
    /// [`Error::Length`] where `output` has another size.
    pub fn band(&self, rows: Rows<'_>, width: usize, output: &mut [f32]) -> Result<(), Error> {
        check_len("band", output.len(), rows.len() * width)?;
        if width == 0 {
            return Ok(());
        }
        output.par_chunks_mut(TASK_ROWS * width).enumerate().for_each(|(index, output)| {
            for offset in (0..width).step_by(OFFSETS) {
                let (end, first) = (width.min(offset + OFFSETS), index * TASK_ROWS);
                Pass { exec: self, rows, width, first, offset, end }.run(output);
            }
        });
        Ok(())
    }
}

/// Products of some rows with their neighbours at some offsets.
struct Pass<'a> {
    exec: &'a CpuExec,
    rows: Rows<'a>,
    width: usize,
    /// The first row of the output.
    first: usize,
    offset: usize,
    /// Of the offsets.
    end: usize,
}

impl Pass<'_> {
    /// Writes the offsets of `output: [rows, width]`.
    fn run(&self, output: &mut [f32]) {
        let Self { exec, rows, width, first, offset, end } = *self;
        let stride = 4 * rows.dim().div_ceil(4);
        let mut others = exec.arena.take(SLOTS * stride);
        let mut own = exec.arena.take(if offset > 0 { STEP * stride } else { 0 });
        let mut scores = exec.arena.take(STEP * ROOM);
        let mut staged = 0;
        for (step, output) in output.chunks_mut(STEP * width).enumerate() {
            // Every row is staged once, and stays until the last row that it meets has passed.
            while staged < step * STEP + SLOTS {
                let slot = staged % SLOTS * stride;
                self.stage(first + offset + staged, &mut others[slot..slot + STEP * stride]);
                staged += STEP;
            }
            let slot = step * STEP % SLOTS;
            if offset > 0 {
                self.stage(first + step * STEP, &mut own);
            }
            exec.isa.run(Tiles {
                own: if offset > 0 { &own } else { &others[slot * stride..] },
                others: &others,
                stride,
                slot,
                offsets: end - offset,
                scores: &mut scores,
                coming: rows.address(first + offset + staged),
                value_bytes: rows.row_bytes().div_ceil(rows.dim()),
                output: output[offset..].as_ptr(),
                width,
            });
            self.keep(first + step * STEP, &scores, output);
        }
    }

    /// Stages a step of rows, as many as there are, from `row` on.
    fn stage(&self, row: usize, to: &mut [f32]) {
        let Self { exec, rows, .. } = *self;
        let start = row.min(rows.len());
        let rows = rows.slice(start..rows.len().min(start + STEP));
        let dim = rows.dim();
        if let RowValues::F32(values) = rows.values() {
            exec.isa.run(Quads { from: values, stride: dim, dim, to });
            return;
        }
        let stride = stride_of(Words::F32, dim);
        let mut wide = exec.arena.take(rows.len() * stride);
        exec.isa.run(Stage { rows, words: Words::F32, to: wide.words_mut() });
        exec.isa.run(Quads { from: &wide, stride, dim, to });
    }

    /// Writes a step's scores, those of `row` first, as far as there are neighbours.
    fn keep(&self, row: usize, scores: &[f32], output: &mut [f32]) {
        let Self { exec, rows, width, offset, end, .. } = *self;
        let group = exec.isa.lanes() / 4;
        for (index, output) in output.chunks_exact_mut(width).enumerate() {
            let (row, neighbour) = (row + index, row + index + offset);
            let output = &mut output[offset..end];
            let (kept, rest) =
                output.split_at_mut(rows.len().saturating_sub(neighbour).min(output.len()));
            kept.copy_from_slice(&scores[index * ROOM + index % group..][..kept.len()]);
            rest.fill(0.0);
            match rows.format() {
                RowFormat::Int8 => {
                    let scale = rows.scale(row);
                    for (score, other) in kept.iter_mut().zip(neighbour..) {
                        *score *= scale * rows.scale(other);
                    }
                }
                RowFormat::Binary => kept.iter_mut().for_each(|score| *score /= rows.dim() as f32),
                _ => {}
            }
        }
    }
}

/// Makes quads of rows; where there are none for the last group, it is left as it is there.
struct Quads<'a, 'b> {
    /// `[rows, stride]`, of which `dim` are values.
    from: &'a [f32],
    stride: usize,
    dim: usize,
    /// `[groups][quad][row][4]`.
    to: &'b mut [f32],
}

impl Op for Quads<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { from, stride, dim, to } = self;
        let (group, quads) = (S::LANES / 4, dim.div_ceil(4));
        let groups = to.chunks_exact_mut(quads * S::LANES);
        for (rows, to) in from.chunks(group * stride).zip(groups) {
            let is_whole = rows.len() >= (group - 1) * stride + dim;
            let whole = if is_whole { dim / S::LANES } else { 0 };
            for part in 0..whole {
                // SAFETY: the group has all its rows, and they have as many vectors.
                unsafe {
                    let from = rows.as_ptr().add(part * S::LANES);
                    let to = to.as_mut_ptr().add(part * S::LANES * group);
                    simd.alternate_quads(from, stride, to);
                }
            }
            for (row, from) in rows.chunks(stride).enumerate() {
                let first = whole * group;
                for (quad, x) in (first..).zip(from[4 * first..dim].chunks(4)) {
                    let to = &mut to[quad * S::LANES + 4 * row..][..4];
                    to[..x.len()].copy_from_slice(x);
                    to[x.len()..].fill(0.0);
                }
            }
        }
    }
}

/// Products of the rows of a step.
struct Tiles<'a> {
    /// `[STEP, stride]`, as quads.
    own: &'a [f32],
    /// `[SLOTS, stride]`, as quads; rows go round in it.
    others: &'a [f32],
    stride: usize,
    /// Of the row at the first offset from the first row.
    slot: usize,
    /// Neighbours of each row.
    offsets: usize,
    /// `[STEP, ROOM]`, each row from the first one of its group on.
    scores: &'a mut [f32],
    /// Rows that the next step brings in: they are fetched meanwhile.
    coming: *const u8,
    value_bytes: usize,
    /// Where scores will go: `[STEP, width]`.
    output: *const f32,
    width: usize,
}

impl Op for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let group = S::LANES / 4;
        let groups = (self.offsets + group - 1).div_ceil(group);
        let tiles = groups.div_ceil(TILE);
        assert!(self.own.len() >= STEP * self.stride && self.others.len() == SLOTS * self.stride);
        assert!(self.scores.len() >= STEP * ROOM, "room for scores");
        // Rows pass by below a few offsets, so that a tile meets few rows that the last has not.
        for tile in 0..tiles {
            let (first, end) = (groups * tile / tiles, groups * (tile + 1) / tiles);
            for own in 0..STEP / group {
                if tile == 0 {
                    self.fetch_output(simd, own * group);
                }
                let fetched = (S::LANES * self.value_bytes).div_ceil(tiles);
                match end - first {
                    1 => self.tile::<S, 1>(simd, own, first, fetched),
                    2 => self.tile::<S, 2>(simd, own, first, fetched),
                    3 => self.tile::<S, 3>(simd, own, first, fetched),
                    4 => self.tile::<S, 4>(simd, own, first, fetched),
                    5 => self.tile::<S, 5>(simd, own, first, fetched),
                    _ => self.tile::<S, TILE>(simd, own, first, fetched),
                }
            }
        }
    }
}

impl Tiles<'_> {
    /// Fetches the lines that the scores of a group will go to.
    #[inline(always)]
    fn fetch_output<S: Simd>(&self, simd: S, row: usize) {
        for row in row..row + S::LANES / 4 {
            for column in (0..self.offsets).step_by(MAX_LANES) {
                simd.prefetch(self.output.wrapping_add(row * self.width + column).cast());
            }
        }
    }

    /// Products of a group of rows with `COUNT` groups; with every quad, `fetched` bytes of the
    /// coming rows are brought in.
    #[inline(always)]
    fn tile<S: Simd, const COUNT: usize>(
        &mut self,
        simd: S,
        own: usize,
        first: usize,
        fetched: usize,
    ) {
        let Self { others, stride, .. } = *self;
        let (group, quads) = (S::LANES / 4, stride / 4);
        let mut b = [others.as_ptr(); COUNT];
        for (index, b) in b.iter_mut().enumerate() {
            let slot = (self.slot + (own + first + index) * group) % SLOTS;
            *b = others[slot * stride..].as_ptr();
        }
        let a = self.own[own * group * stride..].as_ptr();
        let mut sums = [[simd.splat(0.0); COUNT]; MAX_GROUP];
        for quad in 0..quads {
            // SAFETY: every group has as many quads; those of no rows are of older ones.
            unsafe {
                let mut y = [simd.splat(0.0); COUNT];
                for (y, b) in y.iter_mut().zip(&b) {
                    *y = simd.load(b.add(quad * S::LANES));
                }
                simd.prefetch(self.coming.wrapping_add(quad * fetched).cast());
                for (row, sums) in sums.iter_mut().enumerate().take(group) {
                    let x = simd.repeat_quad(a.add(quad * S::LANES + 4 * row));
                    for (sum, &y) in sums.iter_mut().zip(&y) {
                        *sum = simd.mul_add(x, y, *sum);
                    }
                }
            }
        }
        self.coming = self.coming.wrapping_add(quads * fetched);
        for (row, sums) in sums.iter().enumerate().take(group) {
            let to = self.scores[(own * group + row) * ROOM + first * group..].as_mut_ptr();
            for part in 0..COUNT.div_ceil(4) {
                let mut four = [simd.splat(0.0); 4];
                for (four, sum) in four.iter_mut().zip(&sums[4 * part..]) {
                    *four = *sum;
                }
                // SAFETY: there is room for two vectors beyond the offsets.
                unsafe { simd.store_quad_sums(to.add(part * S::LANES), &four) };
            }
        }
    }
}
