//! Rows of vectors in NumPy's `.npy` files, mapped into memory: a corpus may be larger than that.
//!
//! Invariant: a file that was opened has the rows that its header says.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use bytemuck::Pod;
use half::f16;
use memmap2::Mmap;

use super::super::error::Error;
use super::header::{Element, Header};
use crate::compute::{RowFormat, Rows, UnitRows};

/// A `.npy` file of `[len, dim]` values, read as it is needed.
///
/// | dtype | rows |
/// |---|---|
/// | `<f8`, `>f8`, `>f4`, `>f2` | f32, to which they are brought a block at a time |
/// | `<f4` | f32 |
/// | `<f2` | f16 |
/// | `\|i1` | int8, where 127 stands for 1: what `round(127 x)` makes of vectors of length one |
/// | `\|u1` | binary, eight columns a byte, as `numpy.packbits` packs them |
///
/// In Fortran's order, values of floating point are brought to rows of f32 a block at a time as
/// well, and those of a byte at once.
pub struct MappedRows {
    map: Mmap,
    /// The file, as it is called in errors.
    place: String,
    /// Of the values in the file.
    data: Range<usize>,
    header: Header,
    /// Rows of values of a byte that are in Fortran's order in the file.
    transposed: Option<Vec<u8>>,
}

impl MappedRows {
    /// Maps a file. It must not be written to or cut short while it is open: a row that is gone
    /// ends the process.
    ///
    /// # Errors
    /// When the file cannot be read, is no such array, or is not as long as its header says.
    #[expect(unsafe_code, reason = "memory-mapping a corpus")]
    pub fn open(path: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let read_error = |source| Error::Read { place: place.clone(), source };
        let file = File::open(path).map_err(read_error)?;
        // SAFETY: the map is private and only read, and callers are told not to change the file.
        let map = unsafe { Mmap::map(&file) }.map_err(read_error)?;
        let malformed = |problem| Error::Malformed { place: place.clone(), problem };
        let (header, start) = Header::parse(&map).map_err(malformed)?;
        let end = header.bytes().and_then(|bytes| start.checked_add(bytes));
        if end != Some(map.len()) {
            let [len, dim] = header.shape;
            let (held, descr) = (map.len() - start, header.descr());
            return Err(malformed(format!(
                "has {held} bytes of values, which are not [{len}, {dim}] of {descr}"
            )));
        }
        let data = start..map.len();
        let bytes = matches!(header.element, Element::I8 | Element::U8);
        let transposed = (bytes && header.by_column)
            .then(|| transposed(&map[data.clone()], header.shape, 0..header.shape[0]));
        let rows = Self { map, place: place.clone(), data, header, transposed };
        let problem = match rows.unit_rows(0..0) {
            Ok(_) => return Ok(rows),
            Err(Error::Compute(_)) if header.shape[1] == 0 => {
                format!("has {} rows of 0 columns, at least 1 is needed", header.shape[0])
            }
            Err(Error::Compute(error)) => error.to_string(),
            Err(error) => return Err(error),
        };
        Err(malformed(problem))
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.shape[0]
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns.
    #[must_use]
    pub fn dim(&self) -> usize {
        let columns = self.header.shape[1];
        if self.header.element == Element::U8 { 8 * columns } else { columns }
    }

    /// What its values are read as.
    #[must_use]
    pub fn format(&self) -> RowFormat {
        match self.header.element {
            Element::I8 => RowFormat::Int8,
            Element::U8 => RowFormat::Binary,
            Element::F16 if self.is_stored() => RowFormat::F16,
            Element::F64 | Element::F32 | Element::F16 => RowFormat::F32,
        }
    }

    /// Some of the rows, of length one.
    ///
    /// # Errors
    /// None that [`open`](Self::open) has not found.
    ///
    /// # Panics
    /// When `rows` are not there.
    pub fn unit_rows(&self, rows: Range<usize>) -> Result<UnitRows<'_>, Error> {
        if self.is_stored() {
            return Ok(UnitRows::new(self.rows()?.slice(rows)));
        }
        let values = match self.header.element {
            Element::F64 => self.floats(rows, |bytes| f64::from_le_bytes(bytes) as f32),
            Element::F32 => self.floats(rows, f32::from_le_bytes),
            _ => self.floats(rows, |bytes| f16::from_le_bytes(bytes).to_f32()),
        };
        Ok(UnitRows::from_f32(values, self.header.shape[1])?)
    }

    /// The rows as they are stored, all columns of them.
    ///
    /// # Errors
    /// When values of floating point are of f64, big-endian or in Fortran's order.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        let malformed = |problem| Error::Malformed { place: self.place.clone(), problem };
        if !self.is_stored() {
            let descr = self.header.descr();
            return Err(malformed(format!("has values of {descr} that are not stored as rows")));
        }
        let [_, columns] = self.header.shape;
        let bytes = self.transposed.as_deref().unwrap_or(&self.map[self.data.clone()]);
        Ok(match self.header.element {
            Element::F64 | Element::F32 => Rows::f32(self.values()?, columns)?,
            Element::F16 => Rows::f16(self.values()?, columns)?,
            Element::I8 => Rows::int8(bytemuck::cast_slice(bytes), &[1.0 / 127.0], columns)?,
            Element::U8 => {
                let bits = columns.checked_mul(8).ok_or_else(|| {
                    malformed(format!("has rows of {columns} bytes, their bits are too many"))
                })?;
                Rows::binary(bytes, bits)?
            }
        })
    }

    /// Whether the rows stand in memory as they are compared.
    fn is_stored(&self) -> bool {
        match self.header.element {
            Element::F64 => false,
            Element::F32 | Element::F16 => !self.header.big_endian && !self.header.by_column,
            Element::I8 | Element::U8 => true,
        }
    }

    fn values<T: Pod>(&self) -> Result<&[T], Error> {
        bytemuck::try_cast_slice(&self.map[self.data.clone()]).map_err(|_| Error::Malformed {
            place: self.place.clone(),
            problem: format!(
                "has values from byte {} on, which is not aligned for them",
                self.data.start
            ),
        })
    }

    /// `rows` of values of `N` bytes, which `read` makes of them in little-endian order.
    fn floats<const N: usize>(&self, rows: Range<usize>, read: fn([u8; N]) -> f32) -> Vec<f32> {
        let (values, _) = self.map[self.data.clone()].as_chunks::<N>();
        let columns = self.header.shape[1];
        let rows = if self.header.by_column {
            transposed(values, self.header.shape, rows)
        } else {
            values[rows.start * columns..rows.end * columns].to_vec()
        };
        let ordered = rows.into_iter().map(|mut value| {
            if self.header.big_endian {
                value.reverse();
            }
            read(value)
        });
        ordered.collect()
    }
}

/// `rows` of `[len, columns]` values that stand column after column.
fn transposed<T: Copy>(values: &[T], [len, columns]: [usize; 2], rows: Range<usize>) -> Vec<T> {
    let row = |row: usize| (0..columns).map(move |column| values[column * len + row]);
    rows.flat_map(row).collect()
}
