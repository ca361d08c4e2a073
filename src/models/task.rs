//! What a model gives.

use serde::{Deserialize, Serialize};

/// What a model gives for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A vector, or one of every token.
    #[default]
    Embedding,
    /// Scores of a pair of texts (cross-encoder).
    Reranker,
    /// A weight for every vocabulary entry (SPLADE, arXiv 2109.10086).
    Sparse,
}
