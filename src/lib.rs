//! wip
pub mod chunking;
pub mod compute;
pub mod config;
pub mod embeddings;
pub mod error;
pub mod pipeline;
pub mod results;
pub mod similarity;
pub use error::{Error, ErrorKind};
