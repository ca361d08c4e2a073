//! Parquet, by Arrow.
//!
//! Invariant: at most about a row group is held in memory, whatever is read or written.

mod documents;
mod kind;
mod reader;
mod strings;
mod table;
mod vectors;
mod writer;

pub(super) use self::documents::documents;
pub use self::table::read_table;
pub(super) use self::vectors::{VectorTable, has_column};
pub(super) use self::writer::open;
