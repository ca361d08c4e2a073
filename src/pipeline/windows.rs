//! Windows of the model's length over a document that is longer.
//!
//! Invariant: every token is owned by one window.

use std::ops::Range;

use crate::chunking::Unit;

/// Neighbours share this part of a window. With 256 tokens at a time a tenth more tokens are
/// encoded than the document has, special tokens included.
const OVERLAP: usize = 12;

/// A stretch of a document that is encoded as one sequence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Tokens of the document.
    pub(super) tokens: Range<usize>,
    /// Those of them whose state is taken from this window.
    owned: Range<usize>,
}

/// Covers `tokens` with as few windows of at most `capacity` as neighbours that share a twelfth of
/// it allow. They are about equally long, so that a document a little above the length is not
/// encoded twice. A token's state is taken from the window where it is farthest from an edge.
pub(super) fn plan_windows(tokens: usize, capacity: usize) -> Vec<Window> {
    let overlap = capacity / OVERLAP;
    let seams = tokens.saturating_sub(capacity).div_ceil(capacity - overlap);
    let length = (tokens + seams * overlap).div_ceil(seams + 1);
    let start = |index: usize| index * (tokens - length) / seams.max(1);
    let seam = |index: usize| (start(index) + start(index - 1) + length) / 2;
    let windows = (0..=seams).map(|index| Window {
        tokens: start(index)..start(index) + length,
        owned: if index == 0 { 0 } else { seam(index) }..if index == seams {
            tokens
        } else {
            seam(index + 1)
        },
    });
    windows.collect()
}

/// The units that have tokens owned by `window`, with those tokens. A unit without a token of its
/// own, which only a cut inside a token makes, takes the token that it is a part of.
pub(super) fn parts<'a>(
    units: &'a [Unit],
    window: &'a Window,
) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
    let first = units.partition_point(|unit| unit.tokens.end < window.owned.start);
    let units = units.iter().enumerate().skip(first);
    let units = units.take_while(|(_, unit)| unit.tokens.start <= window.owned.end);
    units.filter_map(|(index, unit)| {
        let Range { start, end } = unit.tokens;
        let start = if start == end { start.saturating_sub(1) } else { start };
        let tokens = start.max(window.owned.start)..end.max(start + 1).min(window.owned.end);
        (!tokens.is_empty()).then_some((index, tokens))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{OVERLAP, plan_windows};

    proptest! {
        #[test]
        fn windows_are_few_and_own_each_token_once_far_from_edges(
            tokens in 0_usize..3_000,
            capacity in 1_usize..300,
        ) {
            let windows = plan_windows(tokens, capacity);
            let (seams, overlap) = (windows.len() - 1, capacity / OVERLAP);
            let fewer = seams * capacity - seams.saturating_sub(1) * overlap;
            prop_assert!(seams == 0 || fewer < tokens);
            let encoded: usize = windows.iter().map(|window| window.tokens.len()).sum();
            prop_assert!(encoded <= tokens + seams * overlap + seams);
            let mut next = 0;
            for (index, window) in windows.iter().enumerate() {
                prop_assert!(window.tokens.len() <= capacity);
                prop_assert_eq!(window.owned.start, next);
                prop_assert!(window.owned.start >= window.tokens.start);
                prop_assert!(window.owned.end <= window.tokens.end);
                if index > 0 {
                    let before = window.owned.start - window.tokens.start;
                    let after = windows[index - 1].tokens.end - window.owned.start;
                    prop_assert!(before.abs_diff(after) <= 1);
                }
                next = window.owned.end;
            }
            prop_assert_eq!(next, tokens);
        }
    }
}
