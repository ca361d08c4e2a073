//! NumPy's `.npy`, format version 1.0: a header of fixed size, then `[rows, dim]` f32.

use std::io::Write;

use super::rows::{Rows, Sink};
use super::{Destination, Error};

/// Bytes of the header. Its row count is written last, so the space is held from the start.
const HEADER_BYTES: usize = 128;

/// Writes one array. Standard output cannot be rewound, so rows for it are held in memory.
pub(super) struct NpySink {
    destination: Destination,
    dimensions: usize,
    rows: usize,
    held: Vec<u8>,
}

impl NpySink {
    pub(super) fn new(destination: Destination, dimensions: usize) -> Result<Self, Error> {
        let mut sink = Self { destination, dimensions, rows: 0, held: Vec::new() };
        if sink.destination.is_seekable() {
            sink.write_header()?;
        }
        Ok(sink)
    }

    fn write_header(&mut self) -> Result<(), Error> {
        let shape = format!("({}, {})", self.rows, self.dimensions);
        let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let length = HEADER_BYTES - 10;
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((length as u16).to_le_bytes());
        header.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
        self.put(&header)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.destination.write_all(bytes);
        written.map_err(|source| self.destination.write_error(source))
    }
}

impl Sink for NpySink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        self.rows += rows.embeddings.rows().len();
        let bytes: Vec<u8> = rows.embeddings.data.iter().flat_map(|x| x.to_le_bytes()).collect();
        if self.destination.is_seekable() {
            return self.put(&bytes);
        }
        self.held.extend(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        if self.destination.is_seekable() {
            self.destination.seek_to_start()?;
        }
        self.write_header()?;
        let held = std::mem::take(&mut self.held);
        self.put(&held)?;
        self.destination.commit()
    }
}
