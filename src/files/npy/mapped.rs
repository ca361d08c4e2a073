//! Rows of vectors in NumPy's `.npy` files, mapped into memory: a corpus may be larger than that.
//!
//! Invariant: a file that was opened has the rows that its header says.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use bytemuck::Pod;
use memmap2::Mmap;

use super::super::error::Error;
use super::header::{Element, Header};
use crate::compute::Rows;

/// A `.npy` file of `[len, dim]` values in C order, read as it is needed.
///
/// | dtype | rows |
/// |---|---|
/// | `<f4` | f32 |
/// | `<f2` | f16 |
/// | `\|i1` | int8, where 127 stands for 1: what `round(127 x)` makes of vectors of length one |
/// | `\|u1` | binary, eight columns a byte, as `numpy.packbits` packs them |
pub struct MappedRows {
    map: Mmap,
    /// The file, as it is called in errors.
    place: String,
    /// Of the values in the file.
    data: Range<usize>,
    header: Header,
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
            let (held, element) = (map.len() - start, header.element.descr());
            return Err(malformed(format!(
                "has {held} bytes of values, which are not [{len}, {dim}] of {element}"
            )));
        }
        let rows = Self { data: start..map.len(), map, place: place.clone(), header };
        let problem = match rows.rows() {
            Ok(_) => return Ok(rows),
            Err(Error::Compute(_)) if header.shape[1] == 0 => {
                format!("has {} rows of 0 columns, at least 1 is needed", header.shape[0])
            }
            Err(Error::Compute(error)) => error.to_string(),
            Err(error) => return Err(error),
        };
        Err(malformed(problem))
    }

    /// The rows, all columns of them.
    ///
    /// # Errors
    /// None that [`open`](Self::open) has not found.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        let [_, columns] = self.header.shape;
        Ok(match self.header.element {
            Element::F32 => Rows::f32(self.values()?, columns)?,
            Element::F16 => Rows::f16(self.values()?, columns)?,
            Element::I8 => Rows::int8(self.values()?, &[1.0 / 127.0], columns)?,
            Element::U8 => {
                let bits = columns.checked_mul(8).ok_or_else(|| {
                    let problem = format!("has rows of {columns} bytes, their bits are too many");
                    Error::Malformed { place: self.place.clone(), problem }
                })?;
                Rows::binary(&self.map[self.data.clone()], bits)?
            }
        })
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
}
