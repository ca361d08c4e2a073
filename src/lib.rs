//! wip
pub mod compute;
pub mod embeddings;
