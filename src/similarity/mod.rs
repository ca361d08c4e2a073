//! Gram matrices of unit vectors and what is read from them.

mod band;

pub use band::Band;
