//! Similarities of rows on the host: brought to the device in slices, on two lanes by turns, so that
//! one computes while the other's rows or results are under way.
//!
//! Invariant: what is found depends neither on the size of the slices nor on their order.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::super::error::{Error, check_len};
use super::super::forest::Forest;
use super::super::row_format::RowFormat;
use super::super::rows::{Pairs, Rows, check_comparable};
use super::band::band;
use super::device::{Device, driver_error};
use super::lane::Lane;
use super::memory::Memory;
use super::operand::{DeviceRows, Operand, row_bytes};
use super::similarity::{
    Best, MAX_BEST, Origin, Search, best_keys, bring_pairs, find_pairs, pairwise, score_key,
    scored_index, sorted_pairs,
};
use super::turns::{in_turns, slices};

/// The most bytes of a slice: many enough for the bus, few enough that the next overlaps.
const MAX_SLICE_BYTES: usize = 256 << 20;
/// The share of the device's memory that a slice may have: four are there at a time.
const SLICE_SHARE: usize = 8;
/// Rows of a slice, for which a grid has blocks enough.
const MAX_SLICE_ROWS: usize = 1 << 20;
/// Scores of a matrix that are brought to the host at a time, and rows of such a block.
const BLOCK_SCORES: usize = 1 << 22;
const BLOCK_ROWS: usize = 1 << 11;
/// Rows and columns that are searched for links at a time: should all be linked, their pairs take
/// some 200 MB. Few columns, as all of them are brought for each slice of rows.
const LINK_BLOCK: [usize; 2] = [1 << 15, 1 << 9];

/// Compares rows on the host, on a CUDA device.
pub struct CudaSimilarity {
    lanes: [Arc<Lane>; 2],
    slice_bytes: usize,
}

/// Two slices that meet.
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Block {
    fn origin(&self) -> Origin {
        Origin { row: self.rows.start as u32, column: self.columns.start as u32 }
    }

    fn transposed(&self) -> Self {
        Self { rows: self.columns.clone(), columns: self.rows.clone() }
    }

    fn scores(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// What is compared, and how it is cut.
struct Operands<'a> {
    a: Rows<'a>,
    b: Rows<'a>,
    /// Of both on the device.
    format: RowFormat,
    /// Rows of a slice of each.
    slices: [usize; 2],
    /// Only blocks with a pair `i <= j`.
    upper: bool,
}

/// A block under way, with what was started.
struct Started<S> {
    block: Block,
    right: Operand,
    result: S,
}

/// Work on a lane, of two blocks of rows.
#[derive(Clone, Copy)]
struct Work<'a> {
    lane: &'a Lane,
    block: &'a Block,
    left: DeviceRows<'a>,
    right: DeviceRows<'a>,
}

impl CudaSimilarity {
    pub(super) fn on(device: &Arc<Device>) -> Result<Self, Error> {
        let memory = device.context.total_mem();
        let memory = memory.map_err(|error| driver_error("ask the device", error))?;
        let slice_bytes = MAX_SLICE_BYTES.min(memory / SLICE_SHARE);
        Ok(Self { lanes: [Lane::new(device)?, Lane::new(device)?], slice_bytes })
    }

    /// The same with slices of at most so many bytes of device memory, a row at least; there are up
    /// to four at a time.
    #[must_use]
    pub fn with_slice_bytes(self, slice_bytes: usize) -> Self {
        Self { slice_bytes, ..self }
    }

    /// The device in words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.lanes[0].device.describe()
    }

    /// Writes the banded Gram matrix of `rows`, `[n, width]` f32: element `(i, d)` is the score of
    /// rows `i` and `i + d`, zero past the last row. A value's bits depend on its two rows alone.
    ///
    /// # Errors
    /// [`Error::Length`] where `output` has another size, and those of the device.
    pub fn band(&self, rows: Rows<'_>, width: usize, output: &mut [f32]) -> Result<(), Error> {
        check_len("band", output.len(), rows.len() * width)?;
        if output.is_empty() {
            return Ok(());
        }
        // A slice goes on with the neighbours of its last row.
        let fitting = self.fitting(row_bytes(rows, rows.format()) + 4 * width);
        let step = fitting.saturating_sub(width - 1).max(1);
        let start = |turn: usize, own: Range<usize>| {
            let lane = &self.lanes[turn];
            let end = rows.len().min(own.end + width - 1);
            let slice = Operand::upload(lane, rows.slice(own.start..end), rows.format())?;
            Ok((own, band(lane, slice.rows(), width)?))
        };
        in_turns(slices(rows.len(), step), start, |turn, (own, band)| {
            let place = &mut output[own.start * width..own.end * width];
            let all = 0..place.len();
            self.lanes[turn].read(&band.memory, all, |band| place.copy_from_slice(band))
        })
    }

    /// Writes the scores of all rows of `a` with all rows of `b`: `[m, n]` f32.
    ///
    /// # Errors
    /// [`Error::Length`] where the columns differ or `output` has another size,
    /// [`Error::Formats`] where rows of the two formats have no scores, and those of the device.
    pub fn pairwise(&self, a: Rows<'_>, b: Rows<'_>, output: &mut [f32]) -> Result<(), Error> {
        check_comparable(a, b)?;
        check_len("matrix of scores", output.len(), a.len() * b.len())?;
        self.blocks_of_scores(a, b, |lane, Block { rows, columns }, scores| {
            lane.read(scores, 0..rows.len() * columns.len(), |scores: &[f32]| {
                for (row, scores) in rows.clone().zip(scores.chunks_exact(columns.len())) {
                    output[row * b.len()..][columns.clone()].copy_from_slice(scores);
                }
            })
        })
    }

    /// For each row of `a` the `k` rows of `b` with the largest scores, as `(row of b, score)`, the
    /// largest first, of equal ones the smaller row. Where `b` has fewer rows, all of them.
    /// `exclude_self` leaves out row `i` of `b` for row `i` of `a`. NaN is never among the best.
    /// For `k` up to 128 no score leaves the device but the best; beyond, they are chosen on the
    /// host from all scores, block by block.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn top_k(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        check_comparable(a, b)?;
        let k = k.min(b.len());
        let best = match k {
            0 => vec![Vec::new(); a.len()],
            1..=MAX_BEST => self.best_of_slices(a, b, k, exclude_self)?,
            _ => self.best_of_scores(a, b, k, exclude_self)?,
        };
        let sorted = best.into_par_iter().map(|mut keys| {
            keys.sort_unstable_by(|x, y| y.cmp(x));
            keys.into_iter().filter_map(scored_index).collect()
        });
        Ok(sorted.collect())
    }

    /// All `(i, j, score)` with a score of at least `least` among `pairs` of rows of `a` and `b`,
    /// sorted by `i` and `j`.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise), and [`Error::DeviceMemory`] where the pairs of two slices do
    /// not fit.
    pub fn threshold(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        min_score: f32,
        pairs: Pairs,
    ) -> Result<Vec<(u32, u32, f32)>, Error> {
        check_comparable(a, b)?;
        let format = self.common_format(a, b);
        let slices = [a, b].map(|rows| self.fitting(row_bytes(rows, format)));
        let operands = Operands { a, b, format, slices, upper: pairs == Pairs::Upper };
        let mut found = Vec::new();
        self.pairs(&operands, min_score, pairs, |pairs| found.extend(pairs))?;
        Ok(sorted_pairs(found))
    }

    /// Of each row the smallest row of its cluster: rows with a score of at least `least` are
    /// linked, and what links connect is a cluster. Links are forgotten as they are found.
    ///
    /// # Errors
    /// Those of the device.
    pub fn clusters(&self, rows: Rows<'_>, min_score: f32) -> Result<Vec<u32>, Error> {
        let format = self.common_format(rows, rows);
        let fitting = self.fitting(row_bytes(rows, format));
        let slices = LINK_BLOCK.map(|most| fitting.min(most));
        let operands = Operands { a: rows, b: rows, format, slices, upper: true };
        let mut forest = Forest::new(rows.len());
        self.pairs(&operands, min_score, Pairs::Upper, |pairs| {
            for [first, second, _] in pairs {
                forest.unite(first, second);
            }
        })?;
        Ok(forest.into_roots())
    }

    /// Finds pairs block by block and hands those of each to `take`, in any order.
    fn pairs(
        &self,
        operands: &Operands<'_>,
        min_score: f32,
        pairs: Pairs,
        mut take: impl FnMut(Vec<[u32; 3]>),
    ) -> Result<(), Error> {
        let search = |block: &Block| Search { min_score, pairs, origin: block.origin() };
        self.run(
            operands,
            |Work { lane, block, left, right }| find_pairs(lane, left, right, search(block)),
            |Work { lane, block, left, right }, started| {
                take(bring_pairs(lane, left, right, search(block), started)?);
                Ok(())
            },
        )
    }

    /// The `k` best rows for each of a few `queries`, as [`top_k`](Self::top_k) gives them, in one
    /// pass over `rows` in order, which may be mapped from a file.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn scan(
        &self,
        queries: Rows<'_>,
        rows: Rows<'_>,
        k: usize,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        self.top_k(queries, rows, k, false)
    }

    /// Keys of the best, in any order, chosen slice by slice on the device.
    fn best_of_slices(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let format = self.common_format(a, b);
        let slices = [row_bytes(a, format) + 8 * k, row_bytes(b, format)];
        let slices = slices.map(|bytes| self.fitting(bytes));
        let mut best = vec![Vec::new(); a.len()];
        self.run(
            &Operands { a, b, format, slices, upper: false },
            |Work { lane, block, left, right }| {
                let k = k.min(right.count);
                best_keys(lane, left, right, Best { k, exclude_self, origin: block.origin() })
            },
            |Work { lane, block, left, right }, keys| {
                let found = k.min(right.count);
                let keys: Vec<u64> = lane.download(&keys, left.count * found)?;
                let rows = best[block.rows.clone()].par_iter_mut().zip(keys.par_chunks(found));
                rows.for_each(|(best, keys)| keep_best(best, keys.iter().copied(), k));
                Ok(())
            },
        )?;
        Ok(best)
    }

    /// Keys of the best, in any order, chosen on the host.
    fn best_of_scores(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let mut best = vec![Vec::new(); a.len()];
        self.blocks_of_scores(a, b, |lane, block, scores| {
            let scores: Vec<f32> = lane.download(scores, block.scores())?;
            let scores = scores.par_chunks(block.columns.len());
            let rows = best[block.rows.clone()].par_iter_mut().zip(scores);
            rows.zip(block.rows.clone()).for_each(|((best, scores), row)| {
                let others = block.columns.clone().zip(scores);
                let others = others.filter(|&(column, _)| !(exclude_self && column == row));
                keep_best(best, others.map(|(column, &x)| score_key(x, column as u32)), k);
            });
            Ok(())
        })?;
        Ok(best)
    }

    /// Computes all scores block by block and hands each to `take`, `[rows, columns]` f32 on a lane.
    /// Where `a` and `b` are the same rows, half of the blocks are computed.
    fn blocks_of_scores(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        mut take: impl FnMut(&Lane, &Block, &Memory) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (format, same) = (self.common_format(a, b), a.is(&b));
        let [rows, columns] = [a, b].map(|rows| self.fitting(row_bytes(rows, format)));
        let rows = rows.min(BLOCK_ROWS).min(a.len().max(1));
        let columns = if same { rows } else { columns.min(BLOCK_SCORES / rows) };
        let operands = Operands { a, b, format, slices: [rows, columns], upper: same };
        self.run(
            &operands,
            |Work { lane, block, left, right }| {
                let scores = lane.take::<f32>(block.scores())?;
                let below = same && block.rows != block.columns;
                let below = below.then(|| lane.take::<f32>(block.scores())).transpose()?;
                let mirror = below.as_ref().or_else(|| same.then_some(&scores));
                pairwise(lane, left, right, &scores, mirror)?;
                Ok((scores, below))
            },
            |Work { lane, block, .. }, (scores, below)| {
                take(lane, block, &scores)?;
                below.map_or(Ok(()), |below| take(lane, &block.transposed(), &below))
            },
        )
    }

    /// Brings each slice of `a`, and each of `b` to it, runs `start` on them, and `finish` with what
    /// it gave while the next runs.
    fn run<S>(
        &self,
        operands: &Operands<'_>,
        start: impl Fn(Work<'_>) -> Result<S, Error>,
        mut finish: impl FnMut(Work<'_>, S) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Operands { a, b, format, slices: [down, across], upper } = *operands;
        for rows in slices(a.len(), down) {
            let met = slices(b.len(), across).filter(|met| !upper || met.end > rows.start);
            let met: Vec<Range<usize>> = met.collect();
            // A lane that gets no work needs no rows.
            let lanes = self.lanes.iter().take(met.len());
            let left = lanes.map(|lane| Operand::upload(lane, a.slice(rows.clone()), format));
            let left: Vec<Operand> = left.collect::<Result<_, _>>()?;
            let begin = |turn: usize, columns: Range<usize>| {
                let lane: &Lane = &self.lanes[turn];
                let right = Operand::upload(lane, b.slice(columns.clone()), format)?;
                let block = Block { rows: rows.clone(), columns };
                let (left, slice) = (left[turn].rows(), right.rows());
                let result = start(Work { lane, block: &block, left, right: slice })?;
                Ok(Started { block, right, result })
            };
            in_turns(met, begin, |turn, Started { block, right, result }| {
                let (lane, left): (&Lane, _) = (&self.lanes[turn], left[turn].rows());
                finish(Work { lane, block: &block, left, right: right.rows() }, result)
            })?;
        }
        Ok(())
    }

    /// Rows of so many bytes that make up a slice.
    fn fitting(&self, row_bytes: usize) -> usize {
        (self.slice_bytes / row_bytes).clamp(1, MAX_SLICE_ROWS)
    }

    /// What rows are compared in: their format, or f32 where the two differ or the device has no
    /// matrix units for it.
    fn common_format(&self, a: Rows<'_>, b: Rows<'_>) -> RowFormat {
        match a.format() {
            RowFormat::Bf16 if !self.lanes[0].device.has_bf16() => RowFormat::F32,
            format if format == b.format() => format,
            _ => RowFormat::F32,
        }
    }
}

/// Leaves the `k` largest of the keys in `best`, in any order.
fn keep_best(best: &mut Vec<u64>, keys: impl Iterator<Item = u64>, k: usize) {
    best.extend(keys.filter(|&key| key != 0));
    if best.len() > k {
        best.select_nth_unstable_by(k, |x, y| y.cmp(x));
        best.truncate(k);
    }
}
