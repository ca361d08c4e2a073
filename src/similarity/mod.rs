//! Gram matrices of unit vectors and what is read from them.

mod band;
mod block_sums;

pub use band::Band;
pub use block_sums::BlockSums;
