//! How good the chunks of a text look without a reference.

use super::metrics::intrinsic::{VectorScores, size_compliance, stability};
use super::run::{CHUNK_TOKENS, Run};
use crate::Error;
use crate::chunking::{ChunkSpec, Encoding};
use crate::embeddings::{EmbedOptions, Forward};
use crate::pipeline::{Document, chunk};

/// What is put in front of a text to see whether its chunks stay where they are.
const PARAGRAPH: &str = "This paragraph stands in front of the text. It is about nothing that \
    follows, and it changes no word of it. Where the chunks of the text are cut should not depend \
    on it.\n\n";

/// Adds to `run` what can be said of the chunks of `text`: cohesion, separation and silhouette where
/// they are defined, size compliance (half the target to the limit), stability, the number of
/// segments, and the tokens of each chunk. Returns the tokens that went through the encoder.
///
/// The vectors are those that the specification cuts by, or units encoded each by itself where it
/// needs none.
///
/// # Errors
/// When the device or queue fails.
pub fn evaluate_intrinsic(
    forward: &dyn Forward,
    item: &str,
    text: &str,
    spec: &ChunkSpec,
    options: &EmbedOptions,
    run: &mut Run,
) -> Result<usize, Error> {
    let chunked = chunk(forward, text, spec, options)?;
    let ends: Vec<usize> = chunked.chunks.iter().map(|chunk| chunk.bytes.end).collect();
    let Some(last) = ends.last() else { return Ok(0) };
    let mut encoder_tokens = chunked.document.encoder_tokens();
    let mut start = 0;
    let lengths: Vec<usize> =
        chunked.cuts.ends.iter().map(|&end| end - std::mem::replace(&mut start, end)).collect();
    let dim = forward.model().dimensions();
    let scores = if chunked.document.vectors().is_empty() {
        let units: Vec<_> =
            chunked.document.units().iter().map(|unit| unit.bytes.clone()).collect();
        let read = Document::with_units(forward, text, &units, Encoding::Isolated, options)?;
        encoder_tokens += read.encoder_tokens();
        VectorScores::of(read.vectors(), dim, &lengths)
    } else {
        VectorScores::of(chunked.document.vectors(), dim, &lengths)
    };

    let moved = format!("{PARAGRAPH}{text}");
    let moved = chunk(forward, &moved, spec, options)?;
    encoder_tokens += moved.document.encoder_tokens();
    let moved: Vec<usize> = moved.chunks.iter().map(|chunk| chunk.bytes.end).collect();
    debug_assert_eq!(moved.last(), Some(&(last + PARAGRAPH.len())));

    let tokens: Vec<usize> = chunked.chunks.iter().map(|chunk| chunk.tokens).collect();
    let allowed = spec.target_tokens / 2..=spec.max_tokens;
    let optional = [
        ("cohesion", scores.cohesion),
        ("separation", scores.separation),
        ("silhouette", scores.silhouette),
    ];
    run.add(item, optional.into_iter().filter_map(|(metric, value)| Some((metric, value?))));
    run.add(
        item,
        [
            ("size_compliance", size_compliance(&tokens, allowed)),
            ("stability", stability(&ends, &moved, PARAGRAPH.len())),
            ("segments", lengths.len() as f64),
        ],
    );
    for (chunk, tokens) in chunked.chunks.iter().zip(tokens) {
        run.add(&format!("{item}:{}", chunk.chars.start), [(CHUNK_TOKENS, tokens as f64)]);
    }
    Ok(encoder_tokens)
}
