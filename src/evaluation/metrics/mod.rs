//! Measures of a chunking. Pure: numbers and ranges in, numbers out.

pub mod intrinsic;
pub mod retrieval;
pub mod segmentation;
