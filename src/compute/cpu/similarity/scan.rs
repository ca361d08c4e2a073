//! Few queries over many rows, which are read once, in order.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::super::super::error::Error;
use super::super::super::rows::{RowValues, Rows, check_comparable};
use super::super::exec::CpuExec;
use super::super::narrow::ZERO_POINT;
use super::super::simd::{MAX_LANES, Op, Simd};
use super::super::words::Words;
use super::best::{Best, Pick};
use super::blocks::for_each;
use super::dots::{ROWS, products, tile_queries};
use super::stage::{Stage, Value, stride_of, words_of};

/// Rows whose scores are looked at together.
const BLOCK_ROWS: usize = 256;
/// How far ahead rows are fetched.
const AHEAD: usize = 4 << 10;
/// Rows of a task at least.
const TASK_ROWS: usize = 4_096;

impl CpuExec {
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
        check_comparable(queries, rows)?;
        let k = k.min(rows.len());
        let words = match words_of(self.isa, queries.format(), rows.format()) {
            // Memory is the limit, not products.
            Words::Bf16 => Words::F32,
            words => words,
        };
        let stride = stride_of(words, queries.dim());
        let mut staged = self.arena.take(queries.len() * stride);
        self.isa.run(Stage { rows: queries, words, to: staged.words_mut() });
        let queries = Queries { rows: queries, words: staged.words(), stride };
        let threads = rayon::current_num_threads();
        let task = if threads == 1 { rows.len() } else { rows.len().div_ceil(4 * threads) };
        let task = task.max(TASK_ROWS);
        let tasks: Vec<Range<usize>> = (0..rows.len())
            .step_by(task)
            .map(|first| first..rows.len().min(first + task))
            .collect();
        let best = Mutex::new(Best::new(queries.rows.len(), k));
        for_each(&tasks, &|range: &Range<usize>| {
            let found = queries.scan(self, rows, range.clone(), k);
            best.lock().unwrap_or_else(PoisonError::into_inner).merge(&found);
        });
        Ok(best.into_inner().unwrap_or_else(PoisonError::into_inner).into_sorted())
    }
}

/// Staged queries.
#[derive(Clone, Copy)]
struct Queries<'a> {
    rows: Rows<'a>,
    /// `[queries, stride]`.
    words: &'a [u32],
    stride: usize,
}

impl Queries<'_> {
    /// The best among some rows.
    fn scan(&self, exec: &CpuExec, rows: Rows<'_>, range: Range<usize>, k: usize) -> Best {
        let count = self.rows.len();
        let mut best = Best::new(count, k);
        let mut scores = exec.arena.take(count * BLOCK_ROWS);
        for first in range.clone().step_by(BLOCK_ROWS) {
            let columns = first..range.end.min(first + BLOCK_ROWS);
            let scores = &mut scores[..count * columns.len()];
            self.score(exec, rows.slice(columns.clone()), scores);
            let rows = 0..count;
            exec.isa.run(Pick {
                scores,
                rows,
                columns,
                best: &mut best,
                first: 0,
                of_columns: None,
                exclude_self: false,
            });
        }
        best
    }

    /// Writes the scores with `rows`: `[queries, rows]`.
    fn score(&self, exec: &CpuExec, rows: Rows<'_>, scores: &mut [f32]) {
        let (queries, isa) = (*self, exec.isa);
        match rows.values() {
            RowValues::F32(values) => isa.run(Wide { queries, values, scores }),
            RowValues::F16(values) => isa.run(Wide { queries, values, scores }),
            RowValues::Bf16(values) => isa.run(Wide { queries, values, scores }),
            RowValues::Int8(values, _) => isa.run(Bytes { queries, rows, values, scores }),
            RowValues::Binary(bytes) => isa.run(Bits { queries, bytes, scores }),
        }
    }
}

/// Scores of rows of floating point.
struct Wide<'a, V> {
    queries: Queries<'a>,
    /// `[rows, dim]`.
    values: &'a [V],
    /// `[queries, rows]`.
    scores: &'a mut [f32],
}

impl<V: Value> Op for Wide<'_, V> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let dim = self.queries.rows.dim();
        let (count, len) = (self.queries.rows.len(), self.values.len() / dim);
        for first in (0..len).step_by(ROWS) {
            // Where there is no row, the last stands in; its scores are not kept.
            let mut rows = [self.values.as_ptr(); ROWS];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = self.values[(first + index).min(len - 1) * dim..].as_ptr();
            }
            let mut query = 0;
            while query < count {
                let height = tile_queries::<S>().min(count - query);
                match height {
                    3 => self.tile::<S, 3>(simd, query, first, &rows),
                    2 => self.tile::<S, 2>(simd, query, first, &rows),
                    _ => self.tile::<S, 1>(simd, query, first, &rows),
                }
                query += height;
            }
        }
    }
}

impl<V: Value> Wide<'_, V> {
    /// Scores of a few queries with eight rows from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const QUERIES: usize>(
        &mut self,
        simd: S,
        query: usize,
        first: usize,
        rows: &[*const V; ROWS],
    ) {
        let Queries { rows: queries, words, stride } = self.queries;
        let dim = queries.dim();
        let from = words[query * stride..(query + QUERIES) * stride].as_ptr().cast();
        // SAFETY: the rows are there, and the queries are whole lines.
        let sums = unsafe { products::<S, V, QUERIES>(simd, from, stride, rows, dim) };
        let len = self.values.len() / dim;
        for (index, sums) in sums.iter().enumerate() {
            let scores = &mut self.scores[(query + index) * len..][first..len.min(first + ROWS)];
            let mut all = [0.0; ROWS];
            // SAFETY: as many values fit.
            unsafe { simd.store_sums(all.as_mut_ptr(), sums) };
            scores.copy_from_slice(&all[..scores.len()]);
        }
    }
}

/// Scores of rows of i8.
struct Bytes<'a> {
    queries: Queries<'a>,
    rows: Rows<'a>,
    /// `[rows, dim]`.
    values: &'a [i8],
    /// `[queries, rows]`.
    scores: &'a mut [f32],
}

impl Op for Bytes<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { queries: Queries { rows: queries, words, stride }, rows, values, scores } = self;
        let len = rows.len();
        for query in 0..queries.len() {
            let words = &words[query * stride..(query + 1) * stride];
            let signed: &[i8] = bytemuck::cast_slice(words);
            let offset: i32 = signed.iter().map(|&byte| -ZERO_POINT * i32::from(byte)).sum();
            let scale = queries.scale(query);
            let scores = &mut scores[query * len..(query + 1) * len];
            for (index, row) in values.chunks_exact(rows.dim()).enumerate() {
                let sum = offset + dot_bytes(simd, row, words);
                scores[index] = sum as f32 * (scale * rows.scale(index));
            }
        }
    }
}

/// The products of a row, made unsigned, with signed bytes; those are zero past the row's end.
#[inline(always)]
fn dot_bytes<S: Simd>(simd: S, row: &[i8], words: &[u32]) -> i32 {
    const HIGHEST_BITS: i32 = i32::from_le_bytes([ZERO_POINT as u8; 4]);
    let mut sums = [simd.splat_i32(0); 2];
    let offset = simd.splat_i32(HIGHEST_BITS);
    for (index, bytes) in row.chunks(4 * S::LANES).enumerate() {
        simd.prefetch(bytes.as_ptr().wrapping_add(AHEAD).cast());
        let from = &words[index * S::LANES..][..S::LANES];
        // SAFETY: both are as long as a vector.
        unsafe {
            let x = if bytes.len() == 4 * S::LANES {
                simd.load_i32(bytes.as_ptr().cast())
            } else {
                let mut rest = [0_i8; 4 * MAX_LANES];
                rest[..bytes.len()].copy_from_slice(bytes);
                simd.load_i32(rest.as_ptr().cast())
            };
            let y = simd.load_i32(from.as_ptr());
            sums[index % 2] = simd.dot_i8(sums[index % 2], simd.xor(x, offset), y);
        }
    }
    simd.sum_i32(simd.add_i32(sums[0], sums[1]))
}

/// Scores of rows of bits.
struct Bits<'a> {
    queries: Queries<'a>,
    /// `[rows, dim.div_ceil(8)]`.
    bytes: &'a [u8],
    /// `[queries, rows]`.
    scores: &'a mut [f32],
}

impl Op for Bits<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        let Self { queries: Queries { rows: queries, .. }, bytes, scores } = self;
        let RowValues::Binary(query_bytes) = queries.values() else {
            unreachable!("rows of bits have scores with rows of bits alone")
        };
        let (dim, row_bytes) = (queries.dim(), queries.row_bytes());
        let unused = (8 * row_bytes - dim) as u32;
        let scores = scores.chunks_exact_mut(bytes.len() / row_bytes);
        for (query, scores) in query_bytes.chunks_exact(row_bytes).zip(scores) {
            for (row, score) in bytes.chunks_exact(row_bytes).zip(scores) {
                let hamming = hamming(query, row, unused);
                *score = (dim as i32 - 2 * hamming as i32) as f32 / dim as f32;
            }
        }
    }
}

/// Bits that differ, but for the last few.
#[inline(always)]
fn hamming(a: &[u8], b: &[u8], unused: u32) -> u32 {
    let ((eights_a, rest_a), (eights_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut count = 0;
    for (a, b) in eights_a.iter().zip(eights_b) {
        count += (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones();
    }
    for (a, b) in rest_a.iter().zip(rest_b) {
        count += (a ^ b).count_ones();
    }
    if unused > 0 {
        let beyond = (1_u8 << unused) - 1;
        count -= ((a[a.len() - 1] ^ b[b.len() - 1]) & beyond).count_ones();
    }
    count
}
