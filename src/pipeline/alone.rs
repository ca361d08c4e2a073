//! Texts encoded each by itself, those beyond the model's length in windows.

use super::states::States;
use crate::Error;
use crate::chunking::{Gap, Unit};
use crate::embeddings::{EmbedOptions, Forward};

/// Bytes of the texts that are encoded at a time: about as many tokens as a document's windows.
const BYTES_A_JOB: usize = 65_536;

/// The finished vectors of texts, and the tokens that went through the encoder.
pub(super) struct Vectors {
    /// `[texts, dimensions]` f32 row-major.
    pub(super) data: Vec<f32>,
    pub(super) encoder_tokens: usize,
}

/// Encodes each of `texts` as `options` say. A text beyond the model's length is not cut: its
/// vector is the mean over the token states of its windows.
pub(super) fn encode_alone(
    forward: &dyn Forward,
    texts: &[&str],
    options: &EmbedOptions,
) -> Result<Vectors, Error> {
    let model = forward.model();
    let dimensions = model.check_dimensions(options.dimensions)?;
    let mut vectors = Vectors { data: Vec::new(), encoder_tokens: 0 };
    let mut rest = texts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let in_job = |text: &&&str| {
            bytes += text.len();
            bytes <= BYTES_A_JOB
        };
        let count = rest.iter().take_while(in_job).count().max(1);
        let (texts, after) = rest.split_at(count);
        rest = after;
        let (mut job, planned) = model.plan(texts, options)?;
        let fits: Vec<bool> = planned.truncated.iter().map(Option::is_none).collect();
        if fits.contains(&false) {
            // Tokenising the others again costs less than encoding a part of the long ones too.
            let fitting = texts.iter().zip(&fits).filter_map(|(text, &fits)| fits.then_some(*text));
            job = model.plan(&fitting.collect::<Vec<&str>>(), options)?.0;
        }
        vectors.encoder_tokens += job.packed.tokens();
        let rows = if job.spans.is_empty() { Vec::new() } else { forward.forward(job)? };
        let mut rows = rows.chunks_exact(dimensions);
        for (text, fits) in texts.iter().zip(fits) {
            if fits {
                vectors.data.extend(rows.next().into_iter().flatten());
            } else {
                let (vector, tokens) = encode_windows(forward, text, options, dimensions)?;
                vectors.data.extend(vector);
                vectors.encoder_tokens += tokens;
            }
        }
    }
    Ok(vectors)
}

/// The vector of one text that is longer than the model's length, and its tokens.
fn encode_windows(
    forward: &dyn Forward,
    text: &str,
    options: &EmbedOptions,
    dimensions: usize,
) -> Result<(Vec<f32>, usize), Error> {
    let model = forward.model();
    let encoded = model.tokenizer().encode(text)?;
    let tokens = 0..encoded.ids.len();
    let whole = [Unit { bytes: 0..text.len(), tokens, gap: Gap::Paragraph }];
    let states = States::read(forward, &encoded, &whole, &options.prompt)?;
    let vector = model.project(&states.means(std::iter::once(0..1)), dimensions)?;
    Ok((vector, states.encoder_tokens))
}
