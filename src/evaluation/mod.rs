//! The proof that chunks are good: metrics, data sets, baselines and what a difference is worth.
//!
//! Reads the public interface of the modules below alone. Invariant: one data set, one
//! specification and one seed give the same numbers, in whatever batches and on however many
//! threads.

pub mod baselines;
mod bootstrap;
pub mod datasets;
mod error;
mod intrinsic;
pub mod metrics;
mod report;
mod retrieval;
mod run;
mod segmentation;
mod sweep;
mod table;

pub use crate::chunking::statistics::{Summary, percentile};
pub use bootstrap::{Difference, paired_bootstrap};
pub use error::Error;
pub use intrinsic::evaluate_intrinsic;
pub use report::html_report;
pub use retrieval::{RetrievalOptions, Splitter, evaluate_retrieval, retrieval_metrics};
pub use run::{CHUNK_TOKENS, Comparison, Measurement, Run, compare, format_value, is_error};
pub use segmentation::{
    Baseline, SEGMENTATION_METRICS, Segmenter, TOLERANCE, evaluate_segmentation,
};
pub use sweep::{name_of, read_specs};
pub use table::{read_runs, write_runs};
