//! NumPy's `.npy`, format version 1.0: a header of fixed size, then `[rows, columns]` f32.

use std::borrow::Cow;
use std::io::Write;

use super::rows::{Rows, Sink};
use super::{Destination, Error};

/// Bytes of the header. A row count that is written last needs its space from the start.
const HEADER_BYTES: usize = 128;

fn header([rows, columns]: [usize; 2]) -> Vec<u8> {
    let dict =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = HEADER_BYTES - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
    header
}

/// As little-endian bytes, which they are already where the machine is.
fn bytes(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(values));
    }
    Cow::Owned(values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn put(destination: &mut Destination, bytes: &[u8]) -> Result<(), Error> {
    let written = destination.write_all(bytes);
    written.map_err(|source| destination.write_error(source))
}

/// Writes a matrix of f32 whose shape is known, some of its rows at a time.
pub struct MatrixWriter {
    destination: Destination,
    values: usize,
    written: usize,
}

impl MatrixWriter {
    /// Begins a matrix of `[rows, columns]`.
    ///
    /// # Errors
    /// When its header cannot be written.
    pub fn new(mut destination: Destination, shape: [usize; 2]) -> Result<Self, Error> {
        put(&mut destination, &header(shape))?;
        Ok(Self { destination, values: shape[0] * shape[1], written: 0 })
    }

    /// Appends values, row after row.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, values: &[f32]) -> Result<(), Error> {
        self.written += values.len();
        put(&mut self.destination, &bytes(values))
    }

    /// Completes the output.
    ///
    /// # Errors
    /// When values are missing or too many, the end cannot be written or the output's name is taken.
    pub fn finish(self) -> Result<(), Error> {
        let (actual, expected) = (self.written, self.values);
        if actual != expected {
            return Err(Error::Shape { what: "the matrix", actual, expected });
        }
        self.destination.commit()
    }
}

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
        put(&mut self.destination, &header([self.rows, self.dimensions]))
    }
}

impl Sink for NpySink {
    fn write(&mut self, rows: Rows<'_>) -> Result<(), Error> {
        self.rows += rows.embeddings.rows().len();
        let bytes = bytes(&rows.embeddings.data);
        if self.destination.is_seekable() {
            return put(&mut self.destination, &bytes);
        }
        self.held.extend_from_slice(&bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        if self.destination.is_seekable() {
            self.destination.seek_to_start()?;
        }
        self.write_header()?;
        let held = std::mem::take(&mut self.held);
        put(&mut self.destination, &held)?;
        self.destination.commit()
    }
}
