//! The proof that chunks are good: metrics, data sets, baselines and what a difference is worth.
//!
//! Reads the public interface of the modules below alone. Invariant: one data set, one
//! specification and one seed give the same numbers, in whatever batches and on however many
//! threads.

pub mod baselines;
mod bootstrap;
pub mod datasets;
mod error;
pub mod metrics;
mod statistics;

pub use bootstrap::{Difference, paired_bootstrap};
pub use error::Error;
pub use statistics::{Summary, percentile};
