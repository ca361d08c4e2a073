//! Units and chunks that are within the limit when tokenised alone.

use std::ops::Range;

use rayon::prelude::*;

use crate::chunking::{ChunkSpec, Unit, bisect, units};
use crate::embeddings::{Encoded, Error, Tokenizer};

/// Units of `text` that are each within the limits when tokenised alone. A cut inside a word can
/// change how both halves tokenise, so every unit that might be over is counted, and bisected.
pub(super) fn fitting_units(
    tokenizer: &Tokenizer,
    text: &str,
    encoded: &Encoded,
    spec: &ChunkSpec,
) -> Result<Vec<Unit>, Error> {
    let most = spec.unit_tokens(tokenizer.special_tokens());
    let fit = |unit: Unit| {
        let mut fitting = Vec::new();
        let mut pending = vec![unit];
        while let Some(unit) = pending.pop() {
            let over = may_exceed(tokenizer, unit.bytes.len(), spec.max_tokens)
                && tokenizer.count(&text[unit.bytes.clone()])? > spec.max_tokens;
            match over.then(|| bisect(text, &encoded.offsets, &unit)).flatten() {
                Some((left, right)) => pending.extend([right, left]),
                None => fitting.push(unit),
            }
        }
        Ok(fitting)
    };
    let units: Result<Vec<Vec<Unit>>, Error> =
        units(text, &encoded.offsets, spec.units, most).into_par_iter().map(fit).collect();
    Ok(units?.concat())
}

/// Whether a text of so many bytes can have more than `max_tokens` tokens: each has a byte at
/// least, but for one that some tokenizers put in front.
fn may_exceed(tokenizer: &Tokenizer, bytes: usize, max_tokens: usize) -> bool {
    bytes + 1 + tokenizer.special_tokens() > max_tokens
}

/// A run of units that becomes a chunk, and its tokens when tokenised alone.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) units: Range<usize>,
    /// The first unit that the segment before has not.
    pub(super) cut: usize,
    pub(super) tokens: usize,
}

impl Segment {
    /// Counts the tokens of a run of units.
    fn count(
        tokenizer: &Tokenizer,
        text: &str,
        units: &[Unit],
        run: Range<usize>,
    ) -> Result<Self, Error> {
        let tokens = tokenizer.count(&text[bytes_of(units, &run)])?;
        Ok(Self { cut: run.start, units: run, tokens })
    }
}

/// The bytes of a run of units.
pub(super) fn bytes_of(units: &[Unit], run: &Range<usize>) -> Range<usize> {
    units[run.start].bytes.start..units[run.end - 1].bytes.end
}

/// Segments that are each within `max_tokens` when tokenised alone; one that is over, which takes
/// units that tokenise differently side by side, is halved. Then each repeats of the one before as
/// many whole units as `overlap_tokens` and `max_tokens` allow; one that is repeated whole is none.
pub(super) fn fitting_segments(
    tokenizer: &Tokenizer,
    text: &str,
    units: &[Unit],
    ends: &[usize],
    spec: &ChunkSpec,
) -> Result<Vec<Segment>, Error> {
    let count = |run| Segment::count(tokenizer, text, units, run);
    let fit = |run: Range<usize>| {
        let mut fitting = Vec::new();
        let mut pending = vec![run];
        while let Some(run) = pending.pop() {
            let segment = count(run)?;
            if segment.tokens > spec.max_tokens && segment.units.len() > 1 {
                let Range { start, end } = segment.units;
                let middle = start.midpoint(end);
                pending.extend([middle..end, start..middle]);
            } else {
                fitting.push(segment);
            }
        }
        Ok(fitting)
    };
    let starts = std::iter::once(&0).chain(ends);
    let runs: Vec<Range<usize>> = starts.zip(ends).map(|(&start, &end)| start..end).collect();
    let segments: Result<Vec<Vec<Segment>>, Error> = runs.into_par_iter().map(fit).collect();
    let segments: Vec<Segment> = segments?.into_iter().flatten().collect();
    if spec.overlap_tokens == 0 {
        return Ok(segments);
    }
    let extend = |segment: &Segment, min_end: usize| {
        let Range { start, end } = segment.units;
        let mut first = start;
        let mut repeated = 0;
        while first > min_end && repeated + units[first - 1].tokens.len() <= spec.overlap_tokens {
            first -= 1;
            repeated += units[first].tokens.len();
        }
        // Tokenised together they may be more than their sum.
        for first in first..start {
            let longer = count(first..end)?;
            if longer.tokens <= spec.max_tokens {
                return Ok(Segment { cut: start, ..longer });
            }
        }
        Ok(segment.clone())
    };
    let longer: Result<Vec<Segment>, Error> =
        segments.par_iter().map(|segment| extend(segment, 0)).collect();
    let mut longer = longer?;
    for at in 1..longer.len() {
        // What the one before had no room for cannot be repeated of it.
        let min_end = longer[at - 1].units.start;
        if longer[at].units.start < min_end {
            longer[at] = extend(&segments[at], min_end)?;
        }
    }
    Ok(without_nested(longer))
}

/// Without the segments that the next one holds whole: nothing would be found by them alone.
fn without_nested(segments: Vec<Segment>) -> Vec<Segment> {
    let mut kept: Vec<Segment> = Vec::with_capacity(segments.len());
    for mut segment in segments {
        while let Some(nested) = kept.pop_if(|before| before.units.start >= segment.units.start) {
            segment.cut = nested.cut;
        }
        kept.push(segment);
    }
    kept
}
