//! The story: text, units, one forward pass, the band of similarities, cuts, chunks with vectors.

use std::ops::Range;

use rayon::prelude::*;

use crate::Error;
use crate::chunking::{Chunk, ChunkSpec, Unit, UnitKind, bisect, segment, units};
use crate::compute::Span;
use crate::embeddings::{Encoded, Forward, Job, Output, Packed, Tokenizer};
use crate::similarity::Band;

/// Sentences on either side of a boundary that its strength compares.
const STRENGTH_WINDOW: usize = 3;
/// The most units of one chunk. A chunk reaches it only with units of a token or two.
const MAX_UNITS: usize = 256;
/// Tokens encoded at a time: the states of a long document are pooled as they come.
const TOKENS_A_JOB: usize = 16_384;

/// Cuts `text` into chunks with one pass through the encoder. The chunks' ranges partition the
/// text; an empty text has none. `dimensions` are kept of each vector, all where `None`.
///
/// # Errors
/// When the specification or the dimensions are out of range, or the device or queue fails.
pub fn chunk(
    forward: &dyn Forward,
    text: &str,
    spec: &ChunkSpec,
    dimensions: Option<usize>,
) -> Result<Vec<Chunk>, Error> {
    spec.validate()?;
    let model = forward.model();
    let dimensions = model.check_dimensions(dimensions)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let tokenizer = model.tokenizer();
    let encoded = tokenizer.encode(text)?;
    let units = fitting_units(tokenizer, text, &encoded, spec.max_tokens)?;
    let states = unit_states(forward, &encoded, &units)?;
    let hidden = model.spec().hidden;

    let width = units.len().clamp(2 * STRENGTH_WINDOW, MAX_UNITS);
    let means: Vec<f32> =
        (0..units.len()).flat_map(|unit| states.mean(unit..unit + 1, hidden)).collect();
    let vectors = model.unit_vectors(&means)?;
    let band = Band::new(model.gram(&vectors, model.dimensions(), width)?, width);
    let sizes: Vec<usize> = units.iter().map(|unit| unit.tokens.len()).collect();
    let ends = segment(&band, &sizes, tokenizer.special_tokens(), spec);

    let segments = fitting_segments(tokenizer, text, &units, &ends, spec.max_tokens)?;
    let means: Vec<f32> =
        segments.iter().flat_map(|segment| states.mean(segment.units.clone(), hidden)).collect();
    let vectors = model.project(&means, dimensions)?;
    let mut chars = 0;
    let chunks = segments.iter().zip(vectors.chunks_exact(dimensions)).map(|(segment, vector)| {
        let first = segment.units.start;
        let bytes = units[first].bytes.start..units[segment.units.end - 1].bytes.end;
        let start = chars;
        chars += text[bytes.clone()].chars().count();
        Chunk {
            bytes,
            chars: start..chars,
            tokens: segment.tokens,
            strength: (first > 0).then(|| 1.0 - band.gap_cosine(first, STRENGTH_WINDOW)),
            vector: vector.to_vec(),
        }
    });
    Ok(chunks.collect())
}

/// Units that are each within `max_tokens` when tokenised alone. A cut inside a word can change
/// how both halves tokenise, so every unit is counted; one that is over is bisected.
fn fitting_units(
    tokenizer: &Tokenizer,
    text: &str,
    encoded: &Encoded,
    max_tokens: usize,
) -> Result<Vec<Unit>, Error> {
    let room = max_tokens.saturating_sub(tokenizer.special_tokens());
    let fit = |unit: Unit| {
        let mut fitting = Vec::new();
        let mut pending = vec![unit];
        while let Some(unit) = pending.pop() {
            let over = tokenizer.count(&text[unit.bytes.clone()])? > max_tokens;
            match over.then(|| bisect(text, &encoded.offsets, &unit)).flatten() {
                Some((left, right)) => pending.extend([right, left]),
                None => fitting.push(unit),
            }
        }
        Ok(fitting)
    };
    let units: Result<Vec<Vec<Unit>>, Error> =
        units(text, &encoded.offsets, UnitKind::Sentence, room).into_par_iter().map(fit).collect();
    Ok(units?.concat())
}

/// A run of units that becomes a chunk, and its tokens when tokenised alone.
struct Segment {
    units: Range<usize>,
    tokens: usize,
}

/// Segments that are each within `max_tokens` when tokenised alone; one that is over, which takes
/// units that tokenise differently side by side, is halved.
fn fitting_segments(
    tokenizer: &Tokenizer,
    text: &str,
    units: &[Unit],
    ends: &[usize],
    max_tokens: usize,
) -> Result<Vec<Segment>, Error> {
    let fit = |units_of: Range<usize>| {
        let mut fitting = Vec::new();
        let mut pending = vec![units_of];
        while let Some(run) = pending.pop() {
            let bytes = units[run.start].bytes.start..units[run.end - 1].bytes.end;
            let tokens = tokenizer.count(&text[bytes])?;
            if tokens > max_tokens && run.len() > 1 {
                let middle = run.start.midpoint(run.end);
                pending.extend([middle..run.end, run.start..middle]);
            } else {
                fitting.push(Segment { units: run, tokens });
            }
        }
        Ok(fitting)
    };
    let starts = std::iter::once(&0).chain(ends);
    let runs: Vec<Range<usize>> = starts.zip(ends).map(|(&start, &end)| start..end).collect();
    let segments: Result<Vec<Vec<Segment>>, Error> = runs.into_par_iter().map(fit).collect();
    Ok(segments?.into_iter().flatten().collect())
}

/// Token states of a document, summed by unit.
struct States {
    /// `[units, H]` f32 row-major.
    sums: Vec<f32>,
    /// `[units]` tokens summed.
    counts: Vec<usize>,
}

impl States {
    /// The mean state of the tokens of `units`, `[H]`.
    fn mean(&self, units: Range<usize>, hidden: usize) -> Vec<f32> {
        let mut mean = vec![0.0; hidden];
        for unit in units.clone() {
            add(&mut mean, &self.sums[unit * hidden..(unit + 1) * hidden], 1.0);
        }
        let count = self.counts[units].iter().sum::<usize>() as f32;
        for sum in &mut mean {
            *sum /= count;
        }
        mean
    }
}

/// Encodes the document in windows of the model's length and sums the token states of each unit.
///
/// Sums are kept rather than states, so memory follows the units, not the tokens, and a unit
/// across the seam of two windows is the same sum in whatever batches the windows ran.
fn unit_states(forward: &dyn Forward, encoded: &Encoded, units: &[Unit]) -> Result<States, Error> {
    let tokenizer = forward.model().tokenizer();
    let hidden = forward.model().spec().hidden;
    let lead = tokenizer.leading_tokens();
    let capacity = tokenizer.max_tokens() - tokenizer.special_tokens();
    let mut states = States { sums: vec![0.0; units.len() * hidden], counts: vec![0; units.len()] };
    let windows = plan_windows(encoded.ids.len(), capacity);
    for windows in windows.chunks((TOKENS_A_JOB / tokenizer.max_tokens()).max(1)) {
        let mut job = Job { packed: Packed::default(), spans: Vec::new(), output: Output::States };
        let mut rows = Vec::new();
        for (seq, window) in windows.iter().enumerate() {
            tokenizer.push(&mut job.packed, &encoded.ids[window.tokens.clone()]);
            for (unit, tokens) in parts(units, window) {
                let first = lead + tokens.start - window.tokens.start;
                let (start, end) = (first as u32, (first + tokens.len()) as u32);
                job.spans.push(Span { seq: seq as u32, start, end });
                rows.push((unit, tokens.len()));
            }
        }
        if rows.is_empty() {
            // A text without tokens has the states of its special tokens alone.
            let end = tokenizer.special_tokens() as u32;
            job.spans.push(Span { seq: 0, start: 0, end });
            rows.push((0, tokenizer.special_tokens()));
        }
        let means = forward.forward(job)?;
        for (&(unit, count), mean) in rows.iter().zip(means.chunks_exact(hidden)) {
            add(&mut states.sums[unit * hidden..(unit + 1) * hidden], mean, count as f32);
            states.counts[unit] += count;
        }
    }
    Ok(states)
}

fn add(sum: &mut [f32], row: &[f32], weight: f32) {
    for (sum, x) in sum.iter_mut().zip(row) {
        *sum += x * weight;
    }
}

/// A stretch of a document that is encoded as one sequence.
#[derive(Debug, Clone, PartialEq)]
struct Window {
    /// Tokens of the document.
    tokens: Range<usize>,
    /// Those of them whose state is taken from this window.
    owned: Range<usize>,
}

/// Covers `tokens` with windows of at most `capacity`, neighbours overlapping by an eighth. A
/// token's state is taken from the window where it is farthest from an edge.
fn plan_windows(tokens: usize, capacity: usize) -> Vec<Window> {
    let stride = (capacity - capacity / 8).max(1);
    let mut starts = vec![0];
    while let Some(&start) = starts.last()
        && start + capacity < tokens
    {
        // The last one is moved back to its full length: more context at no extra window.
        starts.push((start + stride).min(tokens - capacity));
    }
    let middle = |index: usize| (starts[index] + starts[index - 1] + capacity) / 2;
    let windows = starts.iter().enumerate().map(|(index, &start)| Window {
        tokens: start..tokens.min(start + capacity),
        owned: if index == 0 { 0 } else { middle(index) }..if index + 1 == starts.len() {
            tokens
        } else {
            middle(index + 1)
        },
    });
    windows.collect()
}

/// The units that have tokens owned by `window`, with those tokens. A unit without a token of its
/// own, which only a cut inside a token makes, takes the token that it is a part of.
fn parts<'a>(
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

    use super::plan_windows;

    proptest! {
        #[test]
        fn windows_own_each_token_once_and_far_from_edges(
            tokens in 0_usize..3_000,
            capacity in 1_usize..300,
        ) {
            let windows = plan_windows(tokens, capacity);
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
