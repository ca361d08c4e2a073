//! Variable-length attention over packed sequences, per block of queries and head.
//!
//! Softmax runs online over blocks of keys (Milakov and Gimelshein 2018, arXiv 1805.02867; tiled as
//! in `FlashAttention`, arXiv 2205.14135), so that scores never leave the cache and memory is linear
//! in the sequence. Blocks of keys are counted from the sequence's start, whichever queries meet
//! them: finite results do not depend on the batch or on threads.

use std::ops::Range;

use super::super::exec::{Error, check_len};
use super::super::operands::Attention;
use super::Context;
use super::arena::Block;
use super::bias::Bias;
use super::buffer::{Buffer, Rows, join};
use super::math::exp2_weight;
use super::simd::{Op, Simd};
use super::tile::{F32Words, MAX_ROWS, Product, with_rows};

/// Most queries of a task, for which keys and values are packed once.
const BLOCK_QUERIES: usize = 512;
/// Fewest, where a batch has not a sequence for every thread.
const MIN_BLOCK_QUERIES: usize = 56;
/// Keys whose scores are in cache at a time; a multiple of every panel's width.
const BLOCK_KEYS: usize = 256;

/// As many rows of the fused projection as a vector has lanes, or fewer at the end.
struct Keys<'a> {
    rows: &'a [f32],
    cols: usize,
    /// The first of the key's.
    column: usize,
    head_dim: usize,
}

impl Keys<'_> {
    /// Writes dimension by dimension the keys' values, two vectors apart.
    #[inline(always)]
    fn transpose<S: Simd>(&self, simd: S, to: &mut [f32]) {
        let Self { rows, cols, column, head_dim } = *self;
        let count = rows.len() / cols;
        let whole = if count == S::LANES { head_dim / S::LANES * S::LANES } else { 0 };
        for dim in (0..whole).step_by(S::LANES) {
            let (from, to) = (&rows[column + dim..], &mut to[dim * 2 * S::LANES..]);
            assert!(from.len() >= (S::LANES - 1) * cols + S::LANES, "keys to transpose");
            assert!(to.len() >= (2 * S::LANES - 1) * S::LANES, "room for keys");
            // SAFETY: both squares are within their slices.
            unsafe { simd.transpose(from.as_ptr(), cols, to.as_mut_ptr(), 2 * S::LANES) };
        }
        for (index, row) in rows.chunks_exact(cols).enumerate() {
            for dim in whole..head_dim {
                to[dim * 2 * S::LANES + index] = row[column + dim];
            }
        }
    }
}

/// See [`Exec::attention`](super::Exec::attention).
pub(super) fn attention(
    context: &Context,
    qkv: &Buffer,
    cu_seqlens: &[u32],
    attention: &Attention,
    bias: Option<&Bias>,
) -> Result<Buffer, Error> {
    check_len("attention input", qkv.cols(), attention.qkv_dim())?;
    if let Some(bias) = bias {
        check_len("attention bias", bias.heads(), attention.heads)?;
    }
    let tokens = cu_seqlens.last().map_or(0, |&end| end as usize);
    check_len("attention rows", qkv.rows(), tokens)?;
    let cols = attention.heads * attention.head_dim;
    let mut output = Buffer::take_only(&context.arena, tokens, cols, context.format());
    let ways = rayon::current_num_threads().div_ceil(cu_seqlens.len().max(2) - 1);
    let layer = Layer { context, qkv: qkv.f32()?, attention, bias, ways };
    layer.sequences(cu_seqlens, output.rows_mut())?;
    Ok(output)
}

/// What all tasks of a call read.
struct Layer<'a> {
    context: &'a Context,
    qkv: &'a [f32],
    attention: &'a Attention,
    bias: Option<&'a Bias>,
    /// Tasks that a sequence is worth.
    ways: usize,
}

impl Layer<'_> {
    /// Halves the sequences, in parallel, down to one, and that into blocks of queries.
    fn sequences(&self, cu_seqlens: &[u32], rows: Rows<'_>) -> Result<(), Error> {
        match cu_seqlens.len() {
            0 | 1 => Ok(()),
            2 => {
                let sequence = cu_seqlens[0] as usize..cu_seqlens[1] as usize;
                let share = sequence.len().div_ceil(self.ways);
                rows.for_each_block(share.clamp(MIN_BLOCK_QUERIES, BLOCK_QUERIES), &|rows| {
                    self.queries(sequence.clone(), rows);
                    Ok(())
                })
            }
            ends => {
                let middle = ends / 2;
                let (left, right) = rows.split_at((cu_seqlens[middle] - cu_seqlens[0]) as usize);
                let (left, right) = join(
                    || self.sequences(&cu_seqlens[..=middle], left),
                    || self.sequences(&cu_seqlens[middle..], right),
                );
                left.and(right)
            }
        }
    }

    /// All heads of a block of one sequence's queries.
    fn queries(&self, sequence: Range<usize>, mut rows: Rows<'_>) {
        let (cols, in_cols) = (rows.cols, self.attention.qkv_dim());
        let first_query = rows.first - sequence.start;
        let mut room = rows.f32.is_none().then(|| self.context.arena.take(rows.len * cols));
        let output = match &mut room {
            Some(room) => &mut room[..],
            None => rows.f32.as_deref_mut().unwrap_or_default(),
        };
        let isa = self.context.isa;
        let scratch = &mut Scratch::take(self.context, self.attention.head_dim);
        for index in 0..self.attention.heads {
            let qkv = &self.qkv[sequence.start * in_cols..sequence.end * in_cols];
            let Self { attention, bias, .. } = *self;
            isa.run(Head { qkv, attention, bias, index, first_query, scratch, output });
        }
        if let Some(narrow) = &mut rows.narrow {
            narrow.write(isa, output, cols);
        }
    }
}

/// Room for a block of keys.
struct Scratch {
    /// `[panel][dim][key]`: keys, transposed.
    keys: Block,
    /// `[panel][key][dim]`.
    values: Block,
    /// `[MAX_ROWS, BLOCK_KEYS]`.
    scores: Block,
    /// Largest score and sum of exponentials of each query.
    largest: Block,
    sums: Block,
}

impl Scratch {
    fn take(context: &Context, head_dim: usize) -> Self {
        let width = 2 * context.isa.lanes();
        let take = |len| context.arena.take(len);
        Self {
            keys: take(BLOCK_KEYS * head_dim),
            values: take(BLOCK_KEYS * head_dim.next_multiple_of(width)),
            scores: take(MAX_ROWS * BLOCK_KEYS),
            largest: take(BLOCK_QUERIES),
            sums: take(BLOCK_QUERIES),
        }
    }
}

/// One head of a block of queries.
struct Head<'a> {
    /// The sequence's rows of the fused projection, `[len, qkv_dim]`.
    qkv: &'a [f32],
    attention: &'a Attention,
    bias: Option<&'a Bias>,
    index: usize,
    first_query: usize,
    scratch: &'a mut Scratch,
    /// The block's rows of the output, `[queries, heads * head_dim]`.
    output: &'a mut [f32],
}

impl Op for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let Attention { heads, head_dim, mask, .. } = *self.attention;
        let len = self.qkv.len() / self.attention.qkv_dim();
        let queries = self.output.len() / (heads * head_dim);
        let last_query = self.first_query + queries - 1;
        let start = mask.keys(self.first_query, len).start / BLOCK_KEYS * BLOCK_KEYS;
        let keys = start..mask.keys(last_query, len).end;
        self.scratch.largest.fill(f32::NEG_INFINITY);
        self.scratch.sums.fill(0.0);
        let tiles = queries.div_ceil(<F32Words as Product<S>>::ROWS);
        for first_key in keys.clone().step_by(BLOCK_KEYS) {
            let block = first_key..keys.end.min(first_key + BLOCK_KEYS);
            self.pack(simd, block.clone());
            for tile in 0..tiles {
                let tile = queries * tile / tiles..queries * (tile + 1) / tiles;
                let first = mask.keys(self.first_query + tile.start, len).start;
                let last = mask.keys(self.first_query + tile.end - 1, len).end;
                if last <= block.start || first >= block.end {
                    if block.start == keys.start {
                        self.clear(tile);
                    }
                    continue;
                }
                with_rows!(tile.len(), ROWS => {
                    self.scores::<S, ROWS>(simd, tile.start, block.len());
                    self.softmax(simd, tile.clone(), block.clone(), keys.start);
                    self.weigh::<S, ROWS>(simd, tile.start, block.clone(), keys.start);
                });
            }
        }
        self.divide(simd, queries);
    }
}

impl Head<'_> {
    /// Starts the sums of queries that see nothing of the first block.
    #[inline(always)]
    fn clear(&mut self, tile: Range<usize>) {
        let Attention { heads, head_dim, .. } = *self.attention;
        for query in tile {
            let start = (query * heads + self.index) * head_dim;
            self.output[start..start + head_dim].fill(0.0);
        }
    }

    /// Copies a block's keys, transposed, and values, with zeros to whole panels.
    #[inline(always)]
    fn pack<S: Simd>(&mut self, simd: S, block: Range<usize>) {
        let Attention { heads, kv_heads, head_dim, .. } = *self.attention;
        let (cols, width) = (self.attention.qkv_dim(), 2 * S::LANES);
        let kv_head = self.attention.kv_head(self.index);
        let key_column = (heads + kv_head) * head_dim;
        let value_column = (heads + kv_heads + kv_head) * head_dim;
        let scratch = &mut *self.scratch;
        let padded = block.len().next_multiple_of(width);
        if padded > block.len() {
            let panel = (padded / width - 1) * width * head_dim;
            scratch.keys[panel..][..width * head_dim].fill(0.0);
        }
        let rows = &self.qkv[block.start * cols..block.end * cols];
        for (index, row) in rows.chunks_exact(cols).enumerate() {
            let value = &row[value_column..value_column + head_dim];
            for (panel, dims) in value.chunks(width).enumerate() {
                let to = &mut scratch.values[(panel * BLOCK_KEYS + index) * width..][..width];
                for (half, to) in to.chunks_mut(S::LANES).enumerate() {
                    let from = &dims[dims.len().min(half * S::LANES)..];
                    simd.store_head(to, simd.load_head(from));
                }
            }
        }
        for (square, rows) in rows.chunks(S::LANES * cols).enumerate() {
            let panel = &mut scratch.keys[square / 2 * width * head_dim..][..width * head_dim];
            let keys = Keys { rows, cols, column: key_column, head_dim };
            keys.transpose(simd, &mut panel[square % 2 * S::LANES..]);
        }
    }

    /// `query x key^T` of a tile of queries with the packed keys.
    #[inline(always)]
    fn scores<S: Simd, const ROWS: usize>(&mut self, simd: S, first: usize, keys: usize) {
        let head_dim = self.attention.head_dim;
        let (cols, width) = (self.attention.qkv_dim(), 2 * S::LANES);
        let row = self.first_query + first;
        let queries = &self.qkv[row * cols..(row + ROWS) * cols];
        let queries = queries[self.index * head_dim..].as_ptr().cast::<u32>();
        let Scratch { keys: packed, scores, .. } = &mut *self.scratch;
        for (index, panel) in packed.words().chunks_exact(width * head_dim).enumerate() {
            if index * width >= keys {
                break;
            }
            let to = &mut scores[index * width..];
            // SAFETY: `ROWS` rows of `cols` words start at the queries' rows, a whole panel is
            // at `panel`, and scores have `BLOCK_KEYS` columns, a multiple of `width`.
            unsafe {
                let panel = panel.as_ptr();
                let sums = F32Words::accumulate::<ROWS>(simd, queries, cols, panel, head_dim);
                for (row, sums) in sums.into_iter().enumerate() {
                    let to = to.as_mut_ptr().add(row * BLOCK_KEYS);
                    simd.store(to, sums[0]);
                    simd.store(to.add(S::LANES), sums[1]);
                }
            }
        }
    }

    /// From scores to `e^(score - largest)`, the largest being that of all keys so far; what was
    /// summed with a smaller one is scaled down.
    #[inline(always)]
    fn softmax<S: Simd>(
        &mut self,
        simd: S,
        tile: Range<usize>,
        block: Range<usize>,
        first_key: usize,
    ) {
        let Attention { heads, head_dim, scale, mask, .. } = *self.attention;
        let len = self.qkv.len() / self.attention.qkv_dim();
        let padded = block.len().next_multiple_of(2 * S::LANES);
        let Scratch { scores, largest, sums, .. } = &mut *self.scratch;
        for (row, query) in tile.enumerate() {
            let scores = &mut scores[row * BLOCK_KEYS..][..padded];
            let place = self.first_query + query;
            let seen = mask.keys(place, len);
            let from = seen.start.clamp(block.start, block.end) - block.start;
            let to = seen.end.clamp(block.start, block.end) - block.start;
            scores[..from].fill(f32::NEG_INFINITY);
            scores[to.max(from)..].fill(f32::NEG_INFINITY);
            if from >= to {
                scores.fill(0.0);
                continue;
            }
            let mut scale = scale;
            if let Some(bias) = self.bias {
                for score in scores.iter_mut() {
                    *score *= scale;
                }
                bias.add(self.index, place, block.start, &mut scores[..to]);
                scores[..from].fill(f32::NEG_INFINITY);
                scale = 1.0;
            }
            let mut max = [simd.splat(f32::NEG_INFINITY); 2];
            for pair in scores.chunks_exact(2 * S::LANES) {
                let (a, b) = pair.split_at(S::LANES);
                max = [simd.max(max[0], simd.load_head(a)), simd.max(max[1], simd.load_head(b))];
            }
            let highest = simd.max_lane(simd.max(max[0], max[1])) * scale;
            let highest = largest[query].max(highest);
            // e^(scale * score - highest), by powers of 2.
            let factor = simd.splat(scale * std::f32::consts::LOG2_E);
            let shift = simd.splat(-highest * std::f32::consts::LOG2_E);
            let mut sum = simd.splat(0.0);
            for score in scores.chunks_exact_mut(S::LANES) {
                let x = simd.mul_add(simd.load_head(score), factor, shift);
                let weight = exp2_weight(simd, x);
                sum = simd.add(sum, weight);
                simd.store_head(score, weight);
            }
            let is_first = largest[query] == f32::NEG_INFINITY;
            let before = if is_first { 0.0 } else { (largest[query] - highest).exp() };
            sums[query] = sums[query] * before + simd.sum(sum);
            largest[query] = highest;
            if before < 1.0 && block.start > first_key {
                let columns = query * heads * head_dim + self.index * head_dim;
                for x in &mut self.output[columns..columns + head_dim] {
                    *x *= before;
                }
            }
        }
    }

    /// Adds the values, each times its key's exponential, to the tile's rows of the output.
    #[inline(always)]
    fn weigh<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        first: usize,
        block: Range<usize>,
        first_key: usize,
    ) {
        let Attention { heads, head_dim, .. } = *self.attention;
        let (cols, width) = (heads * head_dim, 2 * S::LANES);
        let Scratch { values, scores, .. } = &*self.scratch;
        for (index, panel) in values.words().chunks(width * BLOCK_KEYS).enumerate() {
            let dims = index * width..head_dim.min((index + 1) * width);
            if dims.is_empty() {
                break;
            }
            // SAFETY: scores have `ROWS` rows, and the panel a row for each key of the block.
            let sums = unsafe {
                let (scores, panel) = (scores.words().as_ptr(), panel.as_ptr());
                F32Words::accumulate::<ROWS>(simd, scores, BLOCK_KEYS, panel, block.len())
            };
            for (row, sums) in sums.into_iter().enumerate() {
                let start = (first + row) * cols + self.index * head_dim;
                let to = &mut self.output[start + dims.start..start + dims.end];
                for (to, sum) in to.chunks_mut(S::LANES).zip(sums) {
                    let before =
                        if block.start == first_key { simd.splat(0.0) } else { simd.load_head(to) };
                    simd.store_head(to, simd.add(before, sum));
                }
            }
        }
    }

    /// Divides each query's weighted sum by the sum of the weights.
    #[inline(always)]
    fn divide<S: Simd>(&mut self, simd: S, queries: usize) {
        let Attention { heads, head_dim, .. } = *self.attention;
        for query in 0..queries {
            let start = (query * heads + self.index) * head_dim;
            let factor = simd.splat(1.0 / self.scratch.sums[query]);
            for x in self.output[start..start + head_dim].chunks_mut(S::LANES) {
                simd.store_head(x, simd.mul(simd.load_head(x), factor));
            }
        }
    }
}
