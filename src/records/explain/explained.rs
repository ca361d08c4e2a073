//! What is drawn: a document's units and chunks.

use std::ops::Range;

use crate::similarity::Band;

/// Units apart that are shown at least, where the band is as wide.
const MIN_DISTANCE: usize = 8;

/// A document's segmentation and what it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Explained<'a> {
    /// What the document is called.
    pub title: &'a str,
    /// Similarities of its units; of no rows where the method needs none.
    pub band: &'a Band,
    /// The strength of the boundary in each gap between units, from 0 to 2; may be empty too.
    pub curve: &'a [f32],
    /// The end of each chunk, in units.
    pub ends: &'a [usize],
    /// Tokens of each chunk, special tokens included.
    pub chunk_tokens: &'a [usize],
    /// The limit of a chunk's tokens.
    pub max_tokens: usize,
    /// The size that chunks tend to.
    pub target_tokens: usize,
}

impl Explained<'_> {
    pub(super) fn units(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Chunks as they are drawn, so many together.
    pub(super) fn bars(&self, together: usize) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for (chunk, (&end, &tokens)) in self.ends.iter().zip(self.chunk_tokens).enumerate() {
            let start = bars.last().map_or(0, |bar| bar.units.end);
            match bars.last_mut() {
                Some(bar) if chunk % together != 0 => {
                    bar.units.end = end;
                    bar.tokens = bar.tokens.max(tokens);
                }
                _ => bars.push(Bar { chunk, units: start..end, tokens }),
            }
        }
        bars
    }

    /// The most units apart that are shown: as far as the longest chunk reaches and half as far
    /// again, so that its surroundings are seen.
    pub(super) fn distances(&self) -> usize {
        let longest = self.bars(1).iter().map(|bar| bar.units.len()).max().unwrap_or(0);
        let held = self.band.width().min(self.band.len()).saturating_sub(1);
        held.min(MIN_DISTANCE.max(longest + longest / 2))
    }
}

/// A chunk, or several where there are too many.
pub(super) struct Bar {
    /// The number of the first.
    pub(super) chunk: usize,
    pub(super) units: Range<usize>,
    /// Of the largest.
    pub(super) tokens: usize,
}
