//! A document read once: its units and their vectors, from which it can be cut in many ways.

use std::ops::Range;

use super::fit::{bytes_of, fitting_segments, fitting_units};
use super::isolated::encode_isolated;
use super::states::read_units;
use crate::chunking::{Chunk, ChunkSpec, Cuts, Encoding, Gap, Unit, cut};
use crate::embeddings::{EmbedOptions, Encoded, Engine, Error, Held};
use crate::similarity::Band;

/// A document's units with their vectors.
pub struct Document<'a> {
    text: &'a str,
    units: Vec<Unit>,
    /// Where chunks' vectors are pooled from; none where each is encoded by itself.
    held: Option<Held>,
    /// `[units, dimensions]` of length one; empty where no method asked for them.
    vectors: Vec<f32>,
    /// Of the vectors, as wide as the specification that it was read with asks; of no rows where
    /// none was computed.
    band: Band,
    tokens: usize,
    encoder_tokens: usize,
}

impl<'a> Document<'a> {
    /// Tokenises and encodes `text`, with units as `spec` says. The prompt of `options` stands
    /// before all that is encoded.
    ///
    /// # Errors
    /// When the text cannot be tokenised, or the device or queue fails.
    pub fn read(
        engine: &dyn Engine,
        text: &'a str,
        spec: &ChunkSpec,
        options: &EmbedOptions,
    ) -> Result<Self, Error> {
        let tokenizer = engine.model().tokenizer();
        let encoded = tokenizer.encode(text)?;
        let units = match text {
            "" => Vec::new(),
            _ => fitting_units(tokenizer, text, &encoded, spec)?,
        };
        let (semantic, width) = (spec.method.is_semantic(), band_width(spec, units.len()));
        let document = Self::new(engine, text, &encoded, units);
        document.encode(engine, &encoded, spec.encoding, semantic, width, options)
    }

    /// As [`read`](Self::read), with units that are given as byte ranges that partition the text.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// When a range is not within the text or between characters.
    pub fn with_units(
        engine: &dyn Engine,
        text: &'a str,
        units: &[Range<usize>],
        encoding: Encoding,
        options: &EmbedOptions,
    ) -> Result<Self, Error> {
        let encoded = engine.model().tokenizer().encode(text)?;
        let mut token = 0;
        let units = units.iter().map(|bytes| {
            let first = token;
            let inside = |offset: &Range<usize>| first_visible(text, offset) < bytes.end;
            token += encoded.offsets[first..].partition_point(inside);
            Unit { bytes: bytes.clone(), tokens: first..token, gap: Gap::Sentence }
        });
        let mut units: Vec<Unit> = units.collect();
        if let Some(last) = units.last_mut() {
            // A token of the space at the end may have no byte at all.
            last.tokens.end = encoded.ids.len();
        }
        let document = Self::new(engine, text, &encoded, units);
        document.encode(engine, &encoded, encoding, true, 0, options)
    }

    /// The document before anything of it is encoded.
    fn new(engine: &dyn Engine, text: &'a str, encoded: &Encoded, units: Vec<Unit>) -> Self {
        let tokens = encoded.ids.len() + engine.model().tokenizer().special_tokens();
        let (vectors, band) = (Vec::new(), Band::new(Vec::new(), 0));
        Self { text, units, held: None, vectors, band, tokens, encoder_tokens: 0 }
    }

    fn encode(
        mut self,
        engine: &dyn Engine,
        encoded: &Encoded,
        encoding: Encoding,
        semantic: bool,
        width: usize,
        options: &EmbedOptions,
    ) -> Result<Self, Error> {
        if self.units.is_empty() {
            return Ok(self);
        }
        match encoding {
            Encoding::Late => {
                let read = read_units(engine, encoded, &self.units, &options.prompt, width)?;
                self.encoder_tokens = read.encoder_tokens;
                self.vectors = read.units.vectors;
                self.band = Band::new(read.units.band, width);
                self.held = Some(read.units.held);
            }
            Encoding::Isolated if semantic => {
                let texts = self.units.iter().map(|unit| &self.text[unit.bytes.clone()]);
                let options = EmbedOptions { dimensions: None, ..options.clone() };
                let vectors = encode_isolated(engine, &texts.collect::<Vec<&str>>(), &options)?;
                self.vectors = vectors.data;
                normalize(&mut self.vectors, engine.model().dimensions());
                self.encoder_tokens = vectors.encoder_tokens;
            }
            Encoding::Isolated => {}
        }
        Ok(self)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// What it is made of, in order.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// `[units, dimensions]` f32 row-major, of length one; empty where each is encoded by itself and
    /// no method asks for vectors.
    #[must_use]
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Its tokens, special tokens included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens that went through the encoder for units.
    #[must_use]
    pub fn encoder_tokens(&self) -> usize {
        self.encoder_tokens
    }

    /// Cuts it as `spec` says, whose encoding, units and limits are those it was read with.
    ///
    /// # Errors
    /// Those of the device.
    pub fn cut(&self, engine: &dyn Engine, spec: &ChunkSpec) -> Result<Cuts, Error> {
        let model = engine.model();
        let dim = model.dimensions();
        let width = band_width(spec, self.units.len());
        let band = |rows: Vec<f32>| Ok(Band::new(engine.band(rows, dim, width)?, width));
        let own = match self.band.width() {
            read if read == width => self.band.clone(),
            _ => band(self.vectors.clone())?,
        };
        let shuffled = |order: &[usize]| {
            let rows = order.iter().flat_map(|&unit| &self.vectors[unit * dim..(unit + 1) * dim]);
            band(rows.copied().collect())
        };
        let special = model.tokenizer().special_tokens();
        cut(spec, &self.units, special, own, shuffled)
    }

    /// The chunks between cuts, with their vectors, of which `options.dimensions` are kept.
    ///
    /// # Errors
    /// When the model does not have as many dimensions, or the device or queue fails.
    pub fn chunks(
        &self,
        engine: &dyn Engine,
        cuts: &Cuts,
        spec: &ChunkSpec,
        options: &EmbedOptions,
    ) -> Result<Vec<Chunk>, Error> {
        let model = engine.model();
        let dimensions = model.check_dimensions(options.dimensions)?;
        let tokenizer = model.tokenizer();
        let segments = fitting_segments(tokenizer, self.text, &self.units, &cuts.ends, spec)?;
        let vectors = if let Some(held) = &self.held {
            let runs = segments.iter().map(|segment| segment.units.clone()).collect();
            engine.means(held, runs, dimensions)?
        } else {
            let texts = segments.iter().map(|s| &self.text[bytes_of(&self.units, &s.units)]);
            encode_isolated(engine, &texts.collect::<Vec<&str>>(), options)?.data
        };
        let mut place = Place::default();
        let chunks = segments.iter().zip(vectors.chunks_exact(dimensions)).map(|(segment, row)| {
            let bytes = bytes_of(&self.units, &segment.units);
            let chars = place.chars(self.text, bytes.start)..place.chars(self.text, bytes.end);
            let gap = segment.cut.checked_sub(1);
            let strength = gap.and_then(|gap| cuts.curve.get(gap)).copied();
            Chunk { bytes, chars, tokens: segment.tokens, strength, vector: row.to_vec() }
        });
        Ok(chunks.collect())
    }
}

/// Columns of the band that `spec` is decided by, of `units`.
fn band_width(spec: &ChunkSpec, units: usize) -> usize {
    spec.max_units.max(2 * spec.window).min(units.max(1))
}

/// A place in a text, in bytes and in code points.
#[derive(Default)]
struct Place {
    bytes: usize,
    chars: usize,
}

impl Place {
    /// Code points before byte `at`, which is near the last one asked for.
    fn chars(&mut self, text: &str, at: usize) -> usize {
        if at >= self.bytes {
            self.chars += text[self.bytes..at].chars().count();
        } else {
            self.chars -= text[at..self.bytes].chars().count();
        }
        self.bytes = at;
        self.chars
    }
}

/// The first byte of a token that shows: some tokenizers count the space before a word in.
fn first_visible(text: &str, offset: &Range<usize>) -> usize {
    let visible = text.get(offset.clone()).unwrap_or_default().trim_start();
    if visible.is_empty() { offset.start } else { offset.end - visible.len() }
}

fn normalize(rows: &mut [f32], dim: usize) {
    for row in rows.chunks_exact_mut(dim) {
        let norm = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        // As `torch.nn.functional.normalize`.
        let scale = 1.0 / norm.max(1e-12);
        for x in row {
            *x = (f64::from(*x) * scale) as f32;
        }
    }
}
