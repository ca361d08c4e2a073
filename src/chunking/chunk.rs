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
    /// How far the topic moves at the chunk's start, from 0 (same direction) to 2 (opposite): one
    /// minus the cosine of up to three sentences before and after. `None` for the first chunk.
    pub strength: Option<f32>,
    /// Its vector, pooled from the document's own token states (late chunking, arXiv 2409.04701):
    /// the mean over its tokens, through the model's heads, cut and normalised like any other.
    pub vector: Vec<f32>,
}
