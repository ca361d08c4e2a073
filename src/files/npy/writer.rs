//! Matrices of f32 on their way out.

use std::borrow::Cow;
use std::io::Write;
use std::mem;

use super::super::destination::Destination;
use super::super::error::Error;
use super::super::record::{Field, Kind, Records, Value, Writer};
use super::header::{Element, Header};

fn header(shape: [usize; 2]) -> Vec<u8> {
    Header::of_rows(Element::F32, shape).to_bytes()
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

/// A writer of the vectors of records, which are all that it keeps of them.
///
/// # Errors
/// When they have none, or the first bytes cannot be written.
pub(crate) fn open(destination: Destination, fields: &[Field]) -> Result<Box<dyn Writer>, Error> {
    let vector = fields.iter().enumerate().find_map(|(place, field)| match field.kind {
        Kind::Vector(dim) => Some((place, dim)),
        _ => None,
    });
    let Some((field, dim)) = vector else {
        return Err(Error::NoPlace { format: "npy", field: "records without vectors" });
    };
    let mut writer = VectorWriter { destination, field, dim, rows: 0, held: Vec::new() };
    if writer.destination.is_seekable() {
        writer.write_header()?;
    }
    Ok(Box::new(writer))
}

/// Writes one array. Standard output cannot be rewound, so rows for it are held in memory.
struct VectorWriter {
    destination: Destination,
    /// Which of the records' fields the vectors are.
    field: usize,
    dim: usize,
    rows: usize,
    held: Vec<u8>,
}

impl VectorWriter {
    fn write_header(&mut self) -> Result<(), Error> {
        put(&mut self.destination, &header([self.rows, self.dim]))
    }

    fn write_row(&mut self, row: &[f32]) -> Result<(), Error> {
        self.rows += 1;
        if self.destination.is_seekable() {
            return put(&mut self.destination, &bytes(row));
        }
        self.held.extend_from_slice(&bytes(row));
        Ok(())
    }
}

impl Writer for VectorWriter {
    fn write(&mut self, records: &dyn Records) -> Result<(), Error> {
        let mut values = Vec::new();
        for index in 0..records.len() {
            values.clear();
            records.values(index, &mut values);
            let Some(Value::Vector(vector)) = values.get(self.field) else {
                return Err(Error::Shape { what: "a record", actual: 0, expected: self.dim });
            };
            self.write_row(vector)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        if self.destination.is_seekable() {
            self.destination.seek_to_start()?;
        }
        self.write_header()?;
        let held = mem::take(&mut self.held);
        put(&mut self.destination, &held)?;
        self.destination.commit()
    }
}
