//! The best scores of each row.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::super::simd::{Isa, Op, Simd};
use super::blocks::{ScoreBlock, Sink};

/// The `k` best of every row, which are the same whatever the order in which they are found.
///
/// A score and its index make a key of 64 bits that is the larger, the better; 0 is none. The keys
/// of a row are a heap whose root is the worst of them.
pub(super) struct Best {
    k: usize,
    /// `[rows, k]`.
    keys: Vec<u64>,
    /// `[rows]`: scores below are not among the best.
    min_scores: Vec<f32>,
}

impl Best {
    pub(super) fn new(rows: usize, k: usize) -> Self {
        Self { k, keys: vec![0; rows * k], min_scores: vec![f32::NEG_INFINITY; rows] }
    }

    /// Considers a score that is no NaN.
    pub(super) fn add(&mut self, row: usize, index: usize, score: f32) {
        self.add_key(row, key(index as u32, score));
    }

    fn add_key(&mut self, row: usize, key: u64) {
        let heap = &mut self.keys[row * self.k..(row + 1) * self.k];
        if heap.first().is_none_or(|&worst| key <= worst) {
            return;
        }
        let mut place = 0;
        loop {
            let child = 2 * place + 1;
            let child = match heap.get(child..heap.len().min(child + 2)) {
                Some(&[left, right]) => child + usize::from(right < left),
                Some(&[_]) => child,
                _ => break,
            };
            if key <= heap[child] {
                break;
            }
            heap[place] = heap[child];
            place = child;
        }
        heap[place] = key;
        if heap[0] != 0 {
            self.min_scores[row] = scored_index(heap[0]).1;
        }
    }

    /// Considers the best of the same rows elsewhere.
    pub(super) fn merge(&mut self, other: &Self) {
        for (row, keys) in other.keys.chunks_exact(self.k.max(1)).enumerate() {
            for &key in keys {
                self.add_key(row, key);
            }
        }
    }

    /// The best of each row, in order.
    pub(super) fn into_sorted(mut self) -> Vec<Vec<(u32, f32)>> {
        if self.k == 0 {
            return vec![Vec::new(); self.min_scores.len()];
        }
        let rows = self.keys.chunks_exact_mut(self.k).map(|keys| {
            keys.sort_unstable_by(|a, b| b.cmp(a));
            keys.iter().take_while(|&&key| key != 0).map(|&key| scored_index(key)).collect()
        });
        rows.collect()
    }
}

/// Set where a score is not negative.
const SIGN: u32 = 1 << 31;

/// The larger, the better: by score, and of equal ones the smaller index.
fn key(index: u32, score: f32) -> u64 {
    // -0 becomes 0, its equal.
    let bits = (score + 0.0).to_bits();
    let order = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    u64::from(order) << 32 | u64::from(!index)
}

/// What a key stands for.
fn scored_index(key: u64) -> (u32, f32) {
    let order = (key >> 32) as u32;
    let bits = if order & SIGN == 0 { !order } else { order ^ SIGN };
    (!(key as u32), f32::from_bits(bits))
}

/// The best of each row of a product, in the groups that its blocks keep to.
pub(super) struct BestOfProduct {
    isa: Isa,
    group: usize,
    groups: Vec<Mutex<Best>>,
    exclude_self: bool,
}

impl BestOfProduct {
    pub(super) fn new(isa: Isa, rows: usize, group: usize, k: usize, exclude_self: bool) -> Self {
        let lens = (0..rows).step_by(group).map(|first| group.min(rows - first));
        let groups = lens.map(|len| Mutex::new(Best::new(len, k))).collect();
        Self { isa, group, groups, exclude_self }
    }

    /// The best of each row, in order.
    pub(super) fn into_sorted(self) -> Vec<Vec<(u32, f32)>> {
        let groups = self.groups.into_iter();
        let groups = groups.map(|best| best.into_inner().unwrap_or_else(PoisonError::into_inner));
        groups.flat_map(Best::into_sorted).collect()
    }
}

impl Sink for BestOfProduct {
    fn take(&self, block: ScoreBlock<'_>) {
        // The group of rows is the earlier one, so that no two blocks wait for each other.
        let lock = |row: usize| {
            self.groups[row / self.group].lock().unwrap_or_else(PoisonError::into_inner)
        };
        let ScoreBlock { rows, columns, scores, is_mirrored } = block;
        let mut best = lock(rows.start);
        let mut mirrored = is_mirrored.then(|| lock(columns.start));
        self.isa.run(Pick {
            scores,
            first: rows.start % self.group,
            best: &mut best,
            of_columns: mirrored.as_deref_mut(),
            rows,
            columns,
            exclude_self: self.exclude_self,
        });
    }
}

/// A block of scores, and the best so far of its rows.
pub(super) struct Pick<'a> {
    /// `[rows, columns]`.
    pub(super) scores: &'a [f32],
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) best: &'a mut Best,
    /// The block's first row among those of `best`.
    pub(super) first: usize,
    /// The best so far of its columns, where the block stands for its mirror image too.
    pub(super) of_columns: Option<&'a mut Best>,
    /// Whether row `i` and column `i` are left out.
    pub(super) exclude_self: bool,
}

impl Op for Pick<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(mut self, simd: S) {
        let (scores, width) = (self.scores, self.columns.len());
        for (index, scores) in scores.chunks_exact(width).enumerate() {
            let mut min_score = simd.splat(self.best.min_scores[self.first + index]);
            for (vector, part) in scores.chunks(S::LANES).enumerate() {
                let x = simd.load_head_or(part, f32::NAN);
                let column = vector * S::LANES;
                let by_row = simd.at_least(x, min_score);
                let by_column = match &self.of_columns {
                    Some(best) => simd.at_least(x, simd.load_head(&best.min_scores[column..])),
                    None => 0,
                };
                if by_row | by_column != 0 {
                    self.keep(index, column, part, [by_row, by_column]);
                    min_score = simd.splat(self.best.min_scores[self.first + index]);
                }
            }
        }
    }
}

impl Pick<'_> {
    /// Considers the lanes of a row, from column `column` of the block on, that are good enough for
    /// the row or the column.
    #[inline(never)]
    fn keep(&mut self, row: usize, column: usize, scores: &[f32], [by_row, by_column]: [u32; 2]) {
        for (lane, &score) in scores.iter().enumerate() {
            let (i, j) = (self.rows.start + row, self.columns.start + column + lane);
            if by_row >> lane & 1 == 1 && !(self.exclude_self && i == j) {
                self.best.add(self.first + row, j, score);
            }
            if let Some(best) = self.of_columns.as_deref_mut()
                && by_column >> lane & 1 == 1
            {
                best.add(column + lane, i, score);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Best;

    /// Sorted by score, then index, without NaN.
    fn expected(scores: &[f32], k: usize) -> Vec<(u32, f32)> {
        let mut all: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
        all.sort_by(|x, y| y.1.partial_cmp(&x.1).unwrap().then(x.0.cmp(&y.0)));
        all.truncate(k);
        all
    }

    #[test]
    fn the_best_are_the_same_in_any_order_of_arrival() {
        let scores = [0.5, -0.0, f32::NEG_INFINITY, 0.0, 0.5, -1.0, f32::INFINITY, 0.25, -0.0];
        for k in 0..=scores.len() + 1 {
            for turn in 0..scores.len() {
                let mut best = Best::new(2, k);
                let mut other = Best::new(2, k);
                for step in 0..scores.len() {
                    let index = (turn + 4 * step) % scores.len();
                    let half = if step % 3 == 0 { &mut other } else { &mut best };
                    half.add(1, index, scores[index]);
                }
                best.merge(&other);
                let found = best.into_sorted();
                assert!(found[0].is_empty());
                assert_eq!(found[1], expected(&scores, k), "{k} from {turn}");
            }
        }
    }
}
