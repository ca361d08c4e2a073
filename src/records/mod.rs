//! What leaves the program, whatever the format: vectors, chunks, matches, clusters, runs, and the
//! drawing of how a document was cut.
//!
//! Each kind of record says its fields and values once; [`files`](crate::files) knows the formats.

mod chunk_text;
mod chunks;
mod clusters;
mod explain;
mod head;
mod matches;
mod ranked;
mod runs;
mod sparse;
mod tokens;
mod vectors;

pub use chunks::Chunks;
pub use clusters::{Cluster, Clusters, Member};
pub use explain::{Explained, explain};
pub use matches::{Match, Matches};
pub use ranked::{Ranked, RankedDocuments};
pub use runs::{Measurement, Run, read_runs, write_runs};
pub use sparse::SparseVectors;
pub use tokens::TokenVectors;
pub use vectors::Vectors;
