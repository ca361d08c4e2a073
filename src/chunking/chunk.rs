//! What a text is cut into.

use std::ops::Range;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Bytes of the document.
    pub bytes: Range<usize>,
    /// Unicode code points of the document.
    pub chars: Range<usize>,
    /// Tokens when it is tokenised alone, special tokens included.
    pub tokens: usize,
    /// How far the topic moves at the cut before what the chunk does not repeat, from 0 (same
    /// direction) to 2 (opposite): one minus the cosine of up to `window` units before and after.
    /// `None` for the first chunk, and where no unit has a vector.
    pub strength: Option<f32>,
    /// Its vector, cut and normalised like any other: the mean over its tokens' states in the
    /// document (late chunking, arXiv 2409.04701), or that of its text alone.
    pub vector: Vec<f32>,
}
