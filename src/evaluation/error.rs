//! What can go wrong with a data set, and while it is measured.

use crate::{compute, embeddings, files, similarity};

/// Errors of this module. A `place` is a file, with a line where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of a data set.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Data that are not what they should be.
    #[error("{place}: {problem}")]
    Data {
        /// Where.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Runs whose items have nothing to do with each other, whatever they are called.
    #[error("a run on `{before}` and one on `{after}` have no item in common")]
    Datasets {
        /// The data set of the first.
        before: String,
        /// That of the second.
        after: String,
    },
    /// Something that reads vectors was to run without a model.
    #[error("vectors are needed, and there is no model")]
    NoModel,
    /// A plot cannot be drawn.
    #[error("cannot draw a plot: {0}")]
    Plot(String),
    /// The vectors of texts, and documents on their way to chunks.
    #[error(transparent)]
    Embeddings(#[from] embeddings::Error),
    /// Similarities of vectors.
    #[error(transparent)]
    Similarity(#[from] similarity::Error),
    /// Rows of vectors.
    #[error(transparent)]
    Compute(#[from] compute::Error),
}
