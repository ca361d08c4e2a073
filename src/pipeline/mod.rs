//! The story: text, units, one forward pass, the band of similarities, cuts, chunks with vectors.

mod document;
mod fit;
mod isolated;
mod states;
mod windows;

pub use document::Document;

use crate::chunking::{Chunk, ChunkSpec, Cuts};
use crate::embeddings::{EmbedOptions, Engine, Error};

/// A document in chunks, and what they were made from.
pub struct Chunked<'a> {
    /// In order; without overlap their ranges partition the text.
    pub chunks: Vec<Chunk>,
    /// Where units were cut, with curve and band.
    pub cuts: Cuts,
    /// The units and their vectors.
    pub document: Document<'a>,
}

/// Cuts `text` into chunks. An empty text has none. With [`Encoding::Late`] it passes through the
/// encoder once.
///
/// [`Encoding::Late`]: crate::chunking::Encoding::Late
///
/// # Errors
/// When the dimensions are out of range, or the device or queue fails.
pub fn chunk<'a>(
    engine: &dyn Engine,
    text: &'a str,
    spec: &ChunkSpec,
    options: &EmbedOptions,
) -> Result<Chunked<'a>, Error> {
    engine.model().check_dimensions(options.dimensions)?;
    let document = Document::read(engine, text, spec, options)?;
    let cuts = document.cut(engine, spec)?;
    let chunks = document.chunks(engine, &cuts, spec, options)?;
    Ok(Chunked { chunks, cuts, document })
}
