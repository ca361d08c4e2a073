//! Similarities of rows of vectors and what is selected from them: the band of a document's
//! neighbours, matrices, the best of each row, pairs above a threshold, duplicates.
//!
//! A score is an inner product, and so the cosine of rows of length one; rows that are not are the
//! caller's to normalise. Invariant: results are the same on any number of threads, and equal
//! scores are in the order of their rows.

mod band;
mod block_sums;
mod device;
mod duplicates;
mod error;
mod products;
pub(crate) mod quantize;

pub use band::Band;
pub use block_sums::BlockSums;
pub use device::Device;
pub use duplicates::duplicates;
pub use error::Error;
pub use products::{Neighbour, Pair, band, min_cosine, pairwise, scan, threshold, top_k};
pub use quantize::{Int8Rows, bits, int8};

pub use crate::compute::{Pairs, RowFormat, Rows, UnitRows};
