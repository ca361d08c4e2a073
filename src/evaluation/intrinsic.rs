//! How good the chunks of a text look without a reference.

use super::comparison::CHUNK_TOKENS;
use super::error::Error;
use super::metrics::intrinsic::{VectorScores, size_compliance, stability};
use crate::chunking::{ChunkSpec, Preset, Unit};
use crate::embeddings::{EmbedOptions, Engine};
use crate::pipeline::{Document, chunk};
use crate::records::Run;

/// Reads sentences, each encoded by itself.
const SENTENCES: Preset = Preset::Topics;
/// What is put in front of a text to see whether its chunks stay where they are.
const PARAGRAPH: &str = "This paragraph stands in front of the text. It is about nothing that \
    follows, and it changes no word of it. Where the chunks of the text are cut should not depend \
    on it.\n\n";

/// Adds to `run` what can be said of the chunks of `text`: cohesion, separation and silhouette where
/// they are defined, size compliance (half the target to the limit), stability, the number of
/// segments, and the tokens of each chunk. Returns the tokens that went through the encoder.
///
/// Whatever cut the text, the vectors are those of its sentences, each encoded by itself, so that
/// specifications can be compared. A sentence belongs to the chunk that its middle is in.
///
/// # Errors
/// When the device or queue fails.
pub fn evaluate_intrinsic(
    engine: &dyn Engine,
    item: &str,
    text: &str,
    spec: &ChunkSpec,
    options: &EmbedOptions,
    run: &mut Run,
) -> Result<usize, Error> {
    let chunked = chunk(engine, text, spec, options)?;
    let ends: Vec<usize> = chunked.chunks.iter().map(|chunk| chunk.bytes.end).collect();
    if ends.is_empty() {
        return Ok(0);
    }
    let sentences = Document::read(engine, text, &SENTENCES.spec(), options)?;
    let lengths = lengths_within(&ends, sentences.units());
    let scores = VectorScores::of(sentences.vectors(), engine.model().dimensions(), &lengths);
    let optional = [
        ("cohesion", scores.cohesion),
        ("separation", scores.separation),
        ("silhouette", scores.silhouette),
    ];
    run.add(item, optional.into_iter().filter_map(|(metric, value)| Some((metric, value?))));

    let moved = format!("{PARAGRAPH}{text}");
    let moved = chunk(engine, &moved, spec, options)?;
    let moved_ends: Vec<usize> = moved.chunks.iter().map(|chunk| chunk.bytes.end).collect();
    let tokens: Vec<usize> = chunked.chunks.iter().map(|chunk| chunk.tokens).collect();
    let allowed = spec.target_tokens / 2..=spec.max_tokens;
    let values = [
        ("size_compliance", size_compliance(&tokens, allowed)),
        ("stability", stability(&ends, &moved_ends, PARAGRAPH.len())),
        ("segments", ends.len() as f64),
    ];
    run.add(item, values);
    for (chunk, tokens) in chunked.chunks.iter().zip(tokens) {
        run.add(&format!("{item}:{}", chunk.chars.start), [(CHUNK_TOKENS, tokens as f64)]);
    }
    let read = [&chunked.document, &sentences, &moved.document];
    Ok(read.into_iter().map(Document::encoder_tokens).sum())
}

/// Lengths in units of the chunks that end at bytes `ends`, without those that have none.
fn lengths_within(ends: &[usize], units: &[Unit]) -> Vec<usize> {
    let mut lengths = vec![0; ends.len()];
    for unit in units {
        let middle = unit.bytes.start.midpoint(unit.bytes.end);
        lengths[ends.partition_point(|&end| end <= middle)] += 1;
    }
    lengths.retain(|&length| length > 0);
    lengths
}

#[cfg(test)]
mod tests {
    use super::lengths_within;
    use crate::chunking::{Gap, Unit};

    #[test]
    fn a_sentence_is_where_its_middle_is() {
        let unit = |bytes| Unit { bytes, tokens: 0..1, gap: Gap::Sentence };
        let units = [0..10, 10..20, 20..30, 30..40].map(unit);
        assert_eq!(lengths_within(&[20, 40], &units), [2, 2]);
        assert_eq!(lengths_within(&[14, 26, 40], &units), [1, 2, 1]);
        assert_eq!(lengths_within(&[12, 15, 40], &units), [1, 3]);
    }
}
