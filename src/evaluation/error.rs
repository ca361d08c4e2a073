//! What is wrong with a data set.

use std::io;
use std::path::PathBuf;

/// Errors of this module. A `place` is a file, with a line where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading failed half way.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
}
