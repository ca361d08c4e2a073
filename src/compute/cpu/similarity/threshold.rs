//! Pairs of rows above a threshold, or the clusters that they make.

use std::sync::{Mutex, PoisonError};

use super::super::super::forest::Forest;
use super::super::super::rows::Pairs;
use super::super::simd::{Isa, Op, Simd};
use super::blocks::{ScoreBlock, Sink};

/// Rows, columns and their scores.
type Found = Vec<(u32, u32, f32)>;

/// Collects pairs, in any order.
pub(super) struct AtLeast {
    isa: Isa,
    min_score: f32,
    pairs: Pairs,
    found: Mutex<Found>,
}

impl AtLeast {
    pub(super) fn new(isa: Isa, min_score: f32, pairs: Pairs) -> Self {
        Self { isa, min_score, pairs, found: Mutex::default() }
    }

    /// All pairs, sorted.
    pub(super) fn into_sorted(self) -> Found {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable_by_key(|&(i, j, _)| (i, j));
        found
    }
}

impl Sink for AtLeast {
    fn take(&self, block: ScoreBlock<'_>) {
        let Self { isa, min_score, pairs, .. } = *self;
        let mut found = Vec::new();
        isa.run(Pick { block, min_score, pairs, found: &mut found });
        if !found.is_empty() {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).append(&mut found);
        }
    }
}

/// Links the rows of pairs, which are not kept.
pub(super) struct Linked {
    isa: Isa,
    min_score: f32,
    forest: Mutex<Forest>,
}

impl Linked {
    pub(super) fn new(isa: Isa, min_score: f32, rows: usize) -> Self {
        Self { isa, min_score, forest: Mutex::new(Forest::new(rows)) }
    }

    /// Of each row the smallest of its cluster.
    pub(super) fn into_roots(self) -> Vec<u32> {
        self.forest.into_inner().unwrap_or_else(PoisonError::into_inner).into_roots()
    }
}

impl Sink for Linked {
    fn take(&self, block: ScoreBlock<'_>) {
        let Self { isa, min_score, .. } = *self;
        let mut found = Vec::new();
        isa.run(Pick { block, min_score, pairs: Pairs::Upper, found: &mut found });
        if !found.is_empty() {
            let mut forest = self.forest.lock().unwrap_or_else(PoisonError::into_inner);
            for (first, second, _) in found {
                forest.unite(first, second);
            }
        }
    }
}

struct Pick<'a> {
    block: ScoreBlock<'a>,
    min_score: f32,
    pairs: Pairs,
    found: &'a mut Found,
}

impl Op for Pick<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { block: ScoreBlock { rows, columns, scores, is_mirrored }, pairs, found, .. } =
            self;
        let min_score = simd.splat(self.min_score);
        for (i, scores) in rows.zip(scores.chunks_exact(columns.len())) {
            for (vector, part) in scores.chunks(S::LANES).enumerate() {
                let mut lanes = simd.at_least(simd.load_head_or(part, f32::NAN), min_score);
                while lanes != 0 {
                    let lane = lanes.trailing_zeros() as usize;
                    lanes &= lanes - 1;
                    let j = columns.start + vector * S::LANES + lane;
                    if pairs.contain(i, j) {
                        found.push((i as u32, j as u32, part[lane]));
                    }
                    if is_mirrored && pairs.contain(j, i) {
                        found.push((j as u32, i as u32, part[lane]));
                    }
                }
            }
        }
    }
}
