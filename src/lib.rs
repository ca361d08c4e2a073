//! wip
#[cfg(feature = "server")]
pub mod api;
pub mod chunking;
pub mod cli;
pub mod compute;
pub mod config;
pub mod embeddings;
pub mod error;
pub mod pipeline;
pub mod results;
pub mod similarity;
pub mod telemetry;
pub use error::{Error, ErrorKind};
