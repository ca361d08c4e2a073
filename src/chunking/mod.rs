//! Where a text is cut: units with byte ranges, curves between them, and the best segmentation.
//!
//! Pure: no model, no I/O. Invariant: units, and therefore chunks without overlap, partition the
//! text.

mod chunk;
mod count;
mod curve;
mod cut;
mod error;
mod pack;
pub(crate) mod random;
mod resolve;
mod segment;
mod segments;
mod spec;
pub(crate) mod statistics;
mod threshold;
mod units;
mod validate;

pub use chunk::Chunk;
pub use count::{at_elbow, calibrated_penalty, scaled_penalty, with_count, with_mean_size};
pub(crate) use curve::depths;
pub use curve::{cosines, peaks, savitzky_golay, scores, smooth};
pub use cut::{Cuts, cut};
pub use error::Error;
pub use segment::{Objective, Problem, SHORT_COST, SegmentRule, Segmentation};
pub use segments::Segments;
pub use spec::{ChunkOptions, ChunkSpec, Encoding, Method, Preset, Score, Smoothing, Threshold};
pub use threshold::above;
pub use units::{Gap, Unit, UnitKind, bisect, units};
