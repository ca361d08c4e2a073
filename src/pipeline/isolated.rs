//! Texts encoded each by itself, those beyond the model's length in windows.

use super::states::read_units;
use crate::chunking::{Gap, Unit};
use crate::embeddings::{EmbedOptions, Engine, Error};

/// The finished vectors of texts, and the tokens that went through the encoder.
pub(super) struct Vectors {
    /// `[texts, dimensions]` f32 row-major.
    pub(super) data: Vec<f32>,
    pub(super) encoder_tokens: usize,
}

/// Encodes each of `texts` as `options` say. A text beyond the model's length is not cut: its
/// vector is the mean over the token states of its windows.
pub(super) fn encode_isolated(
    engine: &dyn Engine,
    texts: &[&str],
    options: &EmbedOptions,
) -> Result<Vectors, Error> {
    let model = engine.model();
    let dimensions = model.check_dimensions(options.dimensions)?;
    let mut planned = model.embed(texts, options)?;
    let fits: Vec<bool> = planned.reader().truncated.iter().map(Option::is_none).collect();
    if fits.contains(&false) {
        // Tokenising the others again costs less than encoding a part of the long ones too.
        let fitting = texts.iter().zip(&fits).filter_map(|(text, &fits)| fits.then_some(*text));
        planned = model.embed(&fitting.collect::<Vec<&str>>(), options)?;
    }
    let embedded = planned.run(engine)?;
    let encoder_tokens = embedded.tokens.iter().sum();
    let mut vectors = Vectors { data: Vec::new(), encoder_tokens };
    let mut rows = embedded.rows();
    for (text, fits) in texts.iter().zip(fits) {
        if fits {
            vectors.data.extend(rows.next().expect("a row for each text that fits"));
        } else {
            let (vector, tokens) = encode_windows(engine, text, options, dimensions)?;
            vectors.data.extend(vector);
            vectors.encoder_tokens += tokens;
        }
    }
    Ok(vectors)
}

/// The vector of one text that is longer than the model's length, and its tokens.
fn encode_windows(
    engine: &dyn Engine,
    text: &str,
    options: &EmbedOptions,
    dimensions: usize,
) -> Result<(Vec<f32>, usize), Error> {
    let encoded = engine.model().tokenizer().encode(text)?;
    let tokens = 0..encoded.ids.len();
    let whole = [Unit { bytes: 0..text.len(), tokens, gap: Gap::Paragraph }];
    let read = read_units(engine, &encoded, &whole, &options.prompt, 0)?;
    let all = std::iter::once(0..1).collect();
    Ok((engine.means(&read.units.held, all, dimensions)?, read.encoder_tokens))
}
