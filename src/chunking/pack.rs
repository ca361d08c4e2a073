//! Limits of size without an objective: packing, splitting and merging.

use std::ops::Range;

/// Fills segments one after the other with as many units as `room` tokens hold; the end of each. A
/// unit that is `joined` to the one before goes into the same segment where a segment of those
/// joined units fits.
#[must_use]
pub(super) fn pack(tokens: &[usize], joined: Option<&[bool]>, room: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    let mut size = 0;
    for (unit, &own) in tokens.iter().enumerate() {
        if unit > start && size + own > room {
            let cut = joined.map_or(unit, |joined| last_free(joined, start, unit));
            ends.push(cut);
            (start, size) = (cut, tokens[cut..unit].iter().sum());
            // What was taken along may be too much together with this unit.
            if size + own > room && unit > start {
                ends.push(unit);
                (start, size) = (unit, 0);
            }
        }
        size += own;
    }
    if !tokens.is_empty() {
        ends.push(tokens.len());
    }
    ends
}

/// The last unit of `start + 1..=unit` that is not joined to the one before, or `unit`.
fn last_free(joined: &[bool], start: usize, unit: usize) -> usize {
    (start + 1..=unit).rev().find(|&unit| !joined[unit]).unwrap_or(unit)
}

/// Cuts segments of more than `limit` tokens at their highest gap, again and again; of equal gaps
/// at the first. `scores` has one value a gap.
#[must_use]
pub(super) fn split_long(
    ends: &[usize],
    tokens: &[usize],
    scores: &[f32],
    limit: usize,
) -> Vec<usize> {
    let mut fitting = Vec::new();
    let mut start = 0;
    for &end in ends {
        let mut pending: Vec<Range<usize>> = std::iter::once(start..end).collect();
        while let Some(segment) = pending.pop() {
            let size: usize = tokens[segment.clone()].iter().sum();
            let gaps = segment.start..segment.end - 1;
            let highest = gaps.reduce(|a, b| if scores[b] > scores[a] { b } else { a });
            match highest.filter(|_| size > limit) {
                Some(gap) => pending.extend([gap + 1..segment.end, segment.start..gap + 1]),
                None => fitting.push(segment.end),
            }
        }
        start = end;
    }
    fitting
}

/// Joins each segment of fewer than `least` tokens to the neighbour across the lower gap, where
/// both together are within `limit`.
#[must_use]
pub(super) fn merge_short(
    mut ends: Vec<usize>,
    tokens: &[usize],
    scores: &[f32],
    least: usize,
    limit: usize,
) -> Vec<usize> {
    let size = |ends: &[usize], at: usize| -> usize {
        let start = if at == 0 { 0 } else { ends[at - 1] };
        tokens[start..ends[at]].iter().sum()
    };
    let mut at = 0;
    while at < ends.len() {
        let own = size(&ends, at);
        let fits = |other: usize| own + size(&ends, other) <= limit;
        let before = (at > 0 && fits(at - 1)).then(|| scores[ends[at - 1] - 1]);
        let after = (at + 1 < ends.len() && fits(at + 1)).then(|| scores[ends[at] - 1]);
        match (before, after) {
            _ if own >= least => at += 1,
            (Some(before), Some(after)) if before <= after => at = remove(&mut ends, at - 1),
            (_, Some(_)) => at = remove(&mut ends, at),
            (Some(_), None) => at = remove(&mut ends, at - 1),
            (None, None) => at += 1,
        }
    }
    ends
}

/// Joins segment `at` with the next; the place of both.
fn remove(ends: &mut Vec<usize>, at: usize) -> usize {
    ends.remove(at);
    at
}
