//! The kernel: one sequence's queries, or a block of them, with all their keys.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::super::super::attention::Attention;
use super::super::bias::Bias;
use super::super::math::exp2_weight;
use super::super::simd::{Op, Simd};
use super::super::tile::{F32Words, Product, Terms, tiles, with_rows};
use super::scratch::{BLOCK_KEYS, MAX_WIDTH, Scratch};

/// All heads of a block of queries.
pub(super) struct Task<'a> {
    /// The sequence's rows of the fused projection, `[len, qkv_dim]`.
    pub(super) qkv: &'a [f32],
    pub(super) attention: &'a Attention,
    pub(super) bias: Option<&'a Bias>,
    /// Rows of `qkv`.
    pub(super) queries: Range<usize>,
    pub(super) scratch: Scratch<'a>,
    /// The queries' rows of the output, `[queries, heads * head_dim]`.
    pub(super) output: &'a mut [f32],
}

/// A panel of queries and the keys of a block that any of them sees.
struct Meeting {
    head: usize,
    panel: usize,
    /// Rows of `qkv`.
    queries: Range<usize>,
    /// Rows of `qkv`.
    keys: Range<usize>,
    /// The first of these among the packed values.
    first_value: usize,
    /// Whether the queries see no earlier keys, and no later ones.
    is_first: bool,
    is_last: bool,
}

impl Op for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (mask, width) = (self.attention.mask, 2 * S::LANES);
        let (len, queries) = (self.len(), self.queries.clone());
        let start = mask.keys(queries.start, len).start / BLOCK_KEYS * BLOCK_KEYS;
        let keys = start..mask.keys(queries.end - 1, len).end;
        for head in 0..self.attention.heads {
            self.pack_queries(simd, head);
            self.scratch.largest.fill(f32::MIN);
            self.scratch.sums.fill(0.0);
            for block in keys.clone().step_by(BLOCK_KEYS) {
                let block = block..keys.end.min(block + BLOCK_KEYS);
                self.pack_values(simd, head, block.clone());
                for panel in 0..queries.len().div_ceil(width) {
                    let first = queries.start + panel * width;
                    let queries = first..queries.end.min(first + width);
                    let seen = mask.keys(first, len).start..mask.keys(queries.end - 1, len).end;
                    let keys = block.start.max(seen.start)..block.end.min(seen.end);
                    if !keys.is_empty() {
                        let (is_first, is_last) = (keys.start == seen.start, keys.end == seen.end);
                        let first_value = keys.start - block.start;
                        let meeting =
                            Meeting { head, panel, queries, keys, first_value, is_first, is_last };
                        self.meet(simd, &meeting);
                    }
                }
            }
        }
    }
}

impl Task<'_> {
    /// Tokens of the sequence.
    fn len(&self) -> usize {
        self.qkv.len() / self.attention.qkv_dim()
    }

    /// Transposes a head's queries, with zeros or copies to whole panels.
    #[inline(always)]
    fn pack_queries<S: Simd>(&mut self, simd: S, head: usize) {
        let Attention { head_dim, .. } = *self.attention;
        let (cols, width) = (self.attention.qkv_dim(), 2 * S::LANES);
        let whole = head_dim / S::LANES * S::LANES;
        let rows = &self.qkv[self.queries.start * cols..self.queries.end * cols];
        for (square, rows) in rows.chunks(S::LANES * cols).enumerate() {
            let panel = &mut self.scratch.queries[square / 2 * width * head_dim..];
            let to = &mut panel[square % 2 * S::LANES..width * head_dim];
            let count = rows.len() / cols;
            for dim in (0..whole).step_by(S::LANES) {
                let (from, to) = (&rows[head * head_dim + dim..], &mut to[dim * width..]);
                assert!(from.len() >= (count - 1) * cols + S::LANES, "queries to transpose");
                assert!(to.len() >= (S::LANES - 1) * width + S::LANES, "room for queries");
                // SAFETY: rows and square are within their slices.
                unsafe { simd.transpose(from.as_ptr(), cols, count, to.as_mut_ptr(), width) };
            }
            for dim in whole..head_dim {
                let to = &mut to[dim * width..][..S::LANES];
                to.fill(0.0);
                for (to, row) in to.iter_mut().zip(rows.chunks_exact(cols)) {
                    *to = row[head * head_dim + dim];
                }
            }
        }
    }

    /// Copies the values of a block of keys, with zeros to whole panels.
    #[inline(always)]
    fn pack_values<S: Simd>(&mut self, simd: S, head: usize, block: Range<usize>) {
        let Attention { heads, kv_heads, head_dim, .. } = *self.attention;
        let (cols, width) = (self.attention.qkv_dim(), 2 * S::LANES);
        let column = (heads + kv_heads + self.attention.kv_head(head)) * head_dim;
        let rows = &self.qkv[block.start * cols..block.end * cols];
        for (index, row) in rows.chunks_exact(cols).enumerate() {
            let value = &row[column..column + head_dim];
            for (panel, dims) in value.chunks(width).enumerate() {
                let to = &mut self.scratch.values[(panel * BLOCK_KEYS + index) * width..][..width];
                for (half, to) in to.chunks_mut(S::LANES).enumerate() {
                    let from = &dims[dims.len().min(half * S::LANES)..];
                    simd.store_head(to, simd.load_head(from));
                }
            }
        }
    }

    /// Adds to a panel's output what it takes from the keys.
    #[inline(always)]
    fn meet<S: Simd>(&mut self, simd: S, meeting: &Meeting) {
        let count = meeting.queries.len();
        if count > S::LANES {
            self.scores::<S, 2>(simd, meeting);
        } else {
            self.scores::<S, 1>(simd, meeting);
        }
        if self.bias.is_some() || !self.sees_all(meeting) {
            self.adjust(simd, meeting);
        }
        for half in 0..count.div_ceil(S::LANES) {
            self.softmax(simd, meeting, half);
        }
        for tile in tiles::<S>(count) {
            with_rows!(tile.len(), ROWS => self.weigh::<S, ROWS>(simd, meeting, tile.start));
        }
    }

    /// Whether every query sees every key.
    fn sees_all(&self, meeting: &Meeting) -> bool {
        let seen = |query| self.attention.mask.keys(query, self.len());
        let Meeting { queries, keys, .. } = meeting;
        seen(queries.end - 1).start <= keys.start && seen(queries.start).end >= keys.end
    }

    /// `key x query^T` of all keys with as many vectors of queries.
    #[inline(always)]
    fn scores<S: Simd, const VECTORS: usize>(&mut self, simd: S, meeting: &Meeting) {
        for tile in tiles::<S>(meeting.keys.len()) {
            with_rows!(tile.len(), ROWS => {
                self.score_tile::<S, ROWS, VECTORS>(simd, meeting, tile.start);
            });
        }
    }

    /// The same of `ROWS` keys from the `first` on.
    #[inline(always)]
    fn score_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        meeting: &Meeting,
        first: usize,
    ) {
        let Attention { heads, head_dim, .. } = *self.attention;
        let (cols, width) = (self.attention.qkv_dim(), 2 * S::LANES);
        let column = (heads + self.attention.kv_head(meeting.head)) * head_dim;
        let row = meeting.keys.start + first;
        let keys = &self.qkv[row * cols..(row + ROWS) * cols];
        let terms = Terms { first: keys[column..].as_ptr().cast(), row: cols, term: 1 };
        let panel = &self.scratch.queries[meeting.panel * width * head_dim..][..width * head_dim];
        let to = &mut self.scratch.weights[first * width..(first + ROWS) * width];
        // SAFETY: `ROWS` rows of `cols` words hold the keys, a whole panel is at `panel`, and as
        // many rows of one are at `to`.
        unsafe {
            let start = [simd.splat(0.0); VECTORS];
            let panel = panel.as_ptr().cast();
            let sums = F32Words::accumulate::<ROWS, VECTORS>(simd, terms, panel, head_dim, start);
            for (row, sums) in sums.iter().enumerate() {
                for (half, &sum) in sums.iter().enumerate() {
                    simd.store(to.as_mut_ptr().add(row * width + half * S::LANES), sum);
                }
            }
        }
    }

    /// Scales scores where there is a bias, adds that, and hides the keys that a query does not see.
    #[inline(always)]
    fn adjust<S: Simd>(&mut self, simd: S, meeting: &Meeting) {
        let Attention { scale, mask, .. } = *self.attention;
        let (len, width) = (self.len(), 2 * S::LANES);
        // Counts of keys below 2^24 are exact.
        let mut first_seen = [0.0; MAX_WIDTH];
        let mut end_seen = [0.0; MAX_WIDTH];
        for (lane, query) in meeting.queries.clone().enumerate() {
            let seen = mask.keys(query, len);
            (first_seen[lane], end_seen[lane]) = (seen.start as f32, seen.end as f32);
        }
        let hidden = simd.splat(f32::NEG_INFINITY);
        let rows = self.scratch.weights.chunks_exact_mut(width);
        for (key, row) in meeting.keys.clone().zip(rows) {
            let place = simd.splat(key as f32);
            let halves = meeting.queries.len().div_ceil(S::LANES);
            for (half, scores) in row.chunks_exact_mut(S::LANES).take(halves).enumerate() {
                let lanes = half * S::LANES;
                let mut x = simd.load_head(scores);
                if let Some(bias) = self.bias {
                    let query = meeting.queries.start + lanes;
                    let added = bias.of_queries(simd, meeting.head, query, key);
                    x = simd.mul_add(x, simd.splat(scale), added);
                }
                let first = simd.load_head(&first_seen[lanes..]);
                let end = simd.load_head(&end_seen[lanes..]);
                x = simd.select_lt(place, first, hidden, x);
                simd.store_head(scores, simd.select_lt(place, end, x, hidden));
            }
        }
    }

    /// From a vector of queries' scores to `e^(score - largest)`, the largest being that of all
    /// keys so far, and how that scales what was added with a smaller one.
    #[inline(always)]
    fn softmax<S: Simd>(&mut self, simd: S, meeting: &Meeting, half: usize) {
        let (width, lanes) = (2 * S::LANES, half * S::LANES);
        let Scratch { weights, largest, sums, keep, gain, .. } = &mut self.scratch;
        let rows = &mut weights[..meeting.keys.len() * width];
        let mut max = [simd.splat(f32::NEG_INFINITY); 2];
        for pair in rows.chunks(2 * width) {
            let (a, b) = (&pair[lanes..], &pair[pair.len() - width + lanes..]);
            max = [simd.max(simd.load_head(a), max[0]), simd.max(simd.load_head(b), max[1])];
        }
        // Exponentials by powers of 2. Biased scores are scaled already.
        let scale = if self.bias.is_some() { 1.0 } else { self.attention.scale };
        let factor = simd.splat(scale * LOG2_E);
        let at = meeting.panel * width + lanes;
        let before = simd.load_head(&largest[at..]);
        let highest = simd.max(simd.mul(simd.max(max[0], max[1]), factor), before);
        let shift = simd.sub(simd.splat(0.0), highest);
        let mut sum = [simd.splat(0.0); 2];
        for pair in rows.chunks_mut(2 * width) {
            for (row, sum) in pair.chunks_exact_mut(width).zip(&mut sum) {
                let score = simd.load_head(&row[lanes..]);
                let weight = exp2_weight(simd, simd.mul_add(score, factor, shift));
                *sum = simd.add(*sum, weight);
                simd.store_head(&mut row[lanes..], weight);
            }
        }
        let kept = exp2_weight(simd, simd.sub(before, highest));
        let sum = simd.add(sum[0], sum[1]);
        let sum = simd.mul_add(simd.load_head(&sums[at..]), kept, sum);
        simd.store_head(&mut largest[at..], highest);
        simd.store_head(&mut sums[at..], sum);
        let one = simd.splat(1.0);
        let gained = if meeting.is_last { simd.div(one, sum) } else { one };
        simd.store_head(&mut keep[lanes..], simd.mul(kept, gained));
        simd.store_head(&mut gain[lanes..], gained);
    }

    /// Adds the values, each times its key's exponential, to the output of `ROWS` queries of the
    /// panel from the `first` on.
    #[inline(always)]
    fn weigh<S: Simd, const ROWS: usize>(&mut self, simd: S, meeting: &Meeting, first: usize) {
        let Attention { heads, head_dim, .. } = *self.attention;
        let (cols, width) = (heads * head_dim, 2 * S::LANES);
        let Scratch { values, weights, keep, gain, .. } = &self.scratch;
        let (keep, gain) = (&keep[first..first + ROWS], &gain[first..first + ROWS]);
        let weights = &weights[first..meeting.keys.len() * width];
        let row = meeting.queries.start - self.queries.start + first;
        let output = &mut self.output[row * cols..(row + ROWS) * cols];
        for (index, panel) in values.chunks_exact(BLOCK_KEYS * width).enumerate() {
            let panel = &panel[meeting.first_value * width..];
            assert!(panel.len() >= meeting.keys.len() * width, "values of keys");
            // SAFETY: weights have a row for each key, of `ROWS` queries at least, and the panel
            // has one too.
            let sums = unsafe {
                let terms = Terms { first: weights.as_ptr().cast(), row: 1, term: width };
                let (panel, zero) = (panel.as_ptr().cast(), [simd.splat(0.0); 2]);
                F32Words::accumulate::<ROWS, 2>(simd, terms, panel, meeting.keys.len(), zero)
            };
            let dims = index * width..head_dim.min((index + 1) * width);
            for (row, sums) in sums.iter().enumerate() {
                let start = row * cols + meeting.head * head_dim;
                let to = &mut output[start + dims.start..start + dims.end];
                let (keep, gain) = (simd.splat(keep[row]), simd.splat(gain[row]));
                for (to, &sum) in to.chunks_mut(S::LANES).zip(sums) {
                    let mut value = simd.mul(sum, gain);
                    if !meeting.is_first {
                        value = simd.mul_add(simd.load_head(to), keep, value);
                    }
                    simd.store_head(to, value);
                }
            }
        }
    }
}
