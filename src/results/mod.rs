//! What leaves the program: rows of vectors and chunks, written to files or standard output.
//!
//! Invariant: a file bears its final name only once it is complete.

mod chunk_text;
mod chunks;
mod destination;
mod error;
mod explain;
mod format;
mod jsonl;
mod matches;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "parquet_disabled.rs"]
mod parquet;
mod records;
mod rows;
mod text;

#[cfg(feature = "parquet")]
pub(crate) use self::parquet::io_error;
pub use chunks::{ChunkRecord, ChunkSink, chunk_records, open_chunk_sink};
pub use destination::Destination;
pub use error::Error;
pub use explain::{Explained, explain};
pub use format::{Format, RecordFormat};
pub use matches::{Cluster, Match, MatchSink, Member, open_match_sink, write_clusters};
pub use npy::MatrixWriter;
pub use records::{Ranked, RecordWriter};
pub use rows::{Rows, Sink, open_sink};
