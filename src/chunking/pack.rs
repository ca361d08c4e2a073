//! Limits of size without an objective: packing, splitting and merging.

use std::ops::Range;

/// Fills segments one after the other with as many units as `room` tokens hold; the end of each.
/// Units that are `joined` to the one before go into the same segment, however many tokens they are.
#[must_use]
pub(super) fn pack(tokens: &[usize], joined: &[bool], room: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut unit, mut size) = (0, 0);
    while unit < tokens.len() {
        let next = (unit + 1..tokens.len()).find(|&next| !joined[next]).unwrap_or(tokens.len());
        let own: usize = tokens[unit..next].iter().sum();
        if size > 0 && size + own > room {
            ends.push(unit);
            size = 0;
        }
        size += own;
        unit = next;
    }
    if !tokens.is_empty() {
        ends.push(tokens.len());
    }
    ends
}

/// Tokens of runs of units, by differences.
struct Sizes(Vec<usize>);

impl Sizes {
    fn new(tokens: &[usize]) -> Self {
        let sums = tokens.iter().scan(0, |sum, own| {
            *sum += own;
            Some(*sum)
        });
        Self(std::iter::once(0).chain(sums).collect())
    }

    fn of(&self, units: &Range<usize>) -> usize {
        self.0[units.end] - self.0[units.start]
    }
}

/// Cuts segments of more than `limit` tokens in two, again and again. `scores` has one value a gap.
#[must_use]
pub(super) fn split_long(
    ends: &[usize],
    tokens: &[usize],
    scores: &[f32],
    limit: usize,
) -> Vec<usize> {
    let sizes = Sizes::new(tokens);
    let mut fitting = Vec::new();
    let mut start = 0;
    for &end in ends {
        let mut pending: Vec<Range<usize>> = std::iter::once(start..end).collect();
        while let Some(segment) = pending.pop() {
            if sizes.of(&segment) <= limit || segment.len() == 1 {
                fitting.push(segment.end);
            } else {
                let cut = best_cut(&segment, &sizes, scores);
                pending.extend([cut..segment.end, segment.start..cut]);
            }
        }
        start = end;
    }
    fitting
}

/// The unit of `segment` that is best cut before: of those that leave a quarter of the tokens or
/// more on either side the one after the highest gap, and where a long unit leaves none the one
/// nearest to the middle. A gap of minus infinity is the last choice; of equal gaps the one nearest
/// to the middle is the first. Sides as even as this keep the work at `n log n`.
fn best_cut(segment: &Range<usize>, sizes: &Sizes, scores: &[f32]) -> usize {
    let size = sizes.of(segment);
    let key = |cut: usize| {
        let left = sizes.of(&(segment.start..cut));
        let (is_even, score) = (4 * left.min(size - left) >= size, scores[cut - 1]);
        let rank = if is_even { score } else { f32::NEG_INFINITY };
        (score > f32::NEG_INFINITY, is_even, rank, left.abs_diff(size - left))
    };
    let better = |best: usize, cut: usize| {
        let (of_best, of_cut) = (key(best), key(cut));
        let order = of_cut.0.cmp(&of_best.0).then(of_cut.1.cmp(&of_best.1));
        let order = order.then(of_cut.2.total_cmp(&of_best.2)).then(of_best.3.cmp(&of_cut.3));
        if order.is_gt() { cut } else { best }
    };
    (segment.start + 1..segment.end).reduce(better).unwrap_or(segment.end)
}

/// Joins each segment of fewer than `least` tokens to the neighbour across the lower gap, where
/// both together are within `limit`.
#[must_use]
pub(super) fn merge_short(
    ends: &[usize],
    tokens: &[usize],
    scores: &[f32],
    least: usize,
    limit: usize,
) -> Vec<usize> {
    let sizes = Sizes::new(tokens);
    let mut merged: Vec<usize> = Vec::new();
    let mut rest = ends.iter().copied().peekable();
    while let Some(mut end) = rest.next() {
        loop {
            let before = |back: usize| merged.iter().rev().nth(back).copied().unwrap_or(0);
            let start = before(0);
            if sizes.of(&(start..end)) >= least {
                break;
            }
            let fits = |units: Range<usize>| sizes.of(&units) <= limit;
            let left = (start > 0 && fits(before(1)..end)).then(|| scores[start - 1]);
            let right = rest.peek().filter(|&&next| fits(start..next)).map(|_| scores[end - 1]);
            match (left, right) {
                (None, None) => break,
                (Some(left), right) if right.is_none_or(|right| left <= right) => {
                    merged.pop();
                }
                _ => end = rest.next().unwrap_or(end),
            }
        }
        merged.push(end);
    }
    merged
}
