//! The proof that chunks are good: metrics, data sets, baselines and what a difference is worth.
//!
//! Reads the public interface of the modules below alone. Invariant: one data set, one
//! specification and one seed give the same numbers, in whatever batches and on however many
//! threads.

pub mod baselines;
mod bootstrap;
mod comparison;
pub mod datasets;
mod error;
mod intrinsic;
pub mod metrics;
mod report;
mod retrieval;
mod segmentation;
mod sweep;

pub use crate::chunking::statistics::{Summary, percentile};
pub use bootstrap::{Difference, paired_bootstrap};
pub use comparison::{CHUNK_TOKENS, Comparison, compare, format_value, is_error};
pub use error::Error;
pub use intrinsic::evaluate_intrinsic;
pub use report::html_report;
pub use retrieval::{
    RetrievalOptions, Splitter, evaluate_retrieval, judged_scores, rank_documents,
    retrieval_metrics,
};
pub use segmentation::{
    Baseline, SEGMENTATION_METRICS, Segmenter, TOLERANCE, evaluate_segmentation,
};
pub use sweep::{name_of, read_specs};
