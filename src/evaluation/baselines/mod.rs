//! What a segmentation has to beat: rules of thumb, two classics on words, and LangChain's rules.
//!
//! Each gives the lengths of segments in units; they add up to the number of units.

mod c99;
mod langchain;
mod lengths;
mod texttiling;
mod words;

pub use c99::{c99, c99_words};
pub use langchain::{LangchainRule, langchain};
pub use lengths::{every, no_cut};
pub use texttiling::texttiling;
