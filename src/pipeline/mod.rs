//! The story: text, units, one forward pass, the band of similarities, cuts, chunks with vectors.

mod alone;
mod document;
mod fit;
mod states;
mod windows;

pub use document::Document;

use crate::Error;
use crate::chunking::{Chunk, ChunkSpec, Cuts};
use crate::embeddings::{EmbedOptions, Forward};

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
    forward: &dyn Forward,
    text: &'a str,
    spec: &ChunkSpec,
    options: &EmbedOptions,
) -> Result<Chunked<'a>, Error> {
    let model = forward.model();
    model.check_dimensions(options.dimensions)?;
    let document = Document::read(forward, text, spec, options)?;
    let cuts = document.cut(model, spec)?;
    let chunks = document.chunks(forward, &cuts, spec, options)?;
    Ok(Chunked { chunks, cuts, document })
}
