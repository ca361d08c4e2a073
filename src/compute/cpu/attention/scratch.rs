//! Working memory of the attention kernel, and the sizes that it is cut to.

use super::super::simd::MAX_LANES;

/// Keys whose scores and values are in the first-level cache at a time.
pub(super) const BLOCK_KEYS: usize = 128;
/// Queries of the widest panel.
pub(super) const MAX_WIDTH: usize = 2 * MAX_LANES;

/// Working memory of one head. A panel of queries is as wide as two vectors.
pub(super) struct Scratch<'a> {
    /// `[panel][dim][query]`: queries, transposed.
    pub(super) queries: &'a mut [f32],
    /// `[panel][key][dim]`: the values of a block of keys.
    pub(super) values: &'a mut [f32],
    /// `[key][query]`: scores of a block of keys with a panel of queries, then their exponentials.
    pub(super) weights: &'a mut [f32],
    /// `[panel][query]`: each query's largest score so far, times log2(e), and the sum of its
    /// exponentials.
    pub(super) largest: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
    /// `[query]` of a panel: factors on the output so far, and on what a block adds to it.
    pub(super) keep: &'a mut [f32],
    pub(super) gain: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    /// Words of each part, in order.
    pub(super) fn sizes(queries: usize, head_dim: usize, width: usize) -> [usize; 7] {
        let queries = queries.next_multiple_of(width);
        let values = BLOCK_KEYS * head_dim.next_multiple_of(width);
        [queries * head_dim, values, BLOCK_KEYS * width, queries, queries, width, width]
    }

    pub(super) fn new(memory: &'a mut [f32], sizes: [usize; 7]) -> Self {
        let mut rest = memory;
        let mut take = |len: usize| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(len);
            rest = others;
            part
        };
        let [queries, values, weights, largest, sums, keep, gain] = sizes.map(&mut take);
        Self { queries, values, weights, largest, sums, keep, gain }
    }
}
