//! Files, in and out: each format once, whatever is read from it or written to it.
//!
//! [`Writer`] is what a format does with [`Records`] of any kind. Inputs are read as they are needed
//! and every problem names its file, with a line or row. Invariant: an output bears its final name
//! only once it is complete.

mod csv;
mod destination;
mod document;
mod error;
mod facts;
mod format;
mod input;
mod jsonl;
mod lines;
mod npy;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "parquet_disabled.rs"]
mod parquet;
mod record;
mod source;
mod text;
mod vectors;

pub use csv::read_csv;
pub use destination::Destination;
pub use document::{Document, Documents};
pub use error::Error;
pub use facts::{Columns, Facts, FactsByRow};
pub use format::{Format, RecordFormat};
pub use input::{Plain, TextNames, is_json_lines, read_documents};
pub use npy::{MappedRows, MatrixWriter};
pub use output::open_writer;
pub use parquet::read_table;
pub use record::{Field, Kind, Presence, Records, Value, Writer, serialize_records};
pub use text::{read_marked_text, read_text};
pub use vectors::VectorFile;
