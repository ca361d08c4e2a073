//! Where a text is cut: units with byte ranges, and the best segmentation of them.
//!
//! Pure: no model, no I/O. Invariant: units, and therefore chunks, partition the text.

mod chunk;
mod error;
mod segment;
mod units;

pub use chunk::Chunk;
pub use error::Error;
pub use segment::{ChunkSpec, segment};
pub use units::{Gap, Unit, UnitKind, bisect, units};
