//! NumPy's `.npy` files: one array of rows.

mod header;
mod mapped;
mod writer;

pub use mapped::MappedRows;
pub use writer::MatrixWriter;
pub(super) use writer::open;
