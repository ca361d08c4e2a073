//! Operands of similarities: rows on the device, as the kernels take them.

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::CUdeviceptr;

use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::super::row_format::RowFormat;
use super::super::rows::{RowValues, Rows};
use super::buffer::{Buffer, convert};
use super::dtype::NO_INT8;
use super::lane::Lane;
use super::memory::Memory;

/// Rows of an operand; indices of tiles stay below 2^32.
const MAX_ROWS: usize = 1 << 31;
/// Columns of an operand.
const MAX_COLS: usize = 1 << 31;

/// `Rows` of `kernels/tiles.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RowsArgument {
    data: CUdeviceptr,
    count: u32,
    cols: u32,
    scales: CUdeviceptr,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for RowsArgument {}

/// Rows `[count, cols]` on the device.
#[derive(Clone, Copy)]
pub(super) struct DeviceRows<'a> {
    values: &'a Memory,
    /// `[count]`, of int8 alone.
    scales: Option<&'a Memory>,
    pub(super) count: usize,
    pub(super) cols: usize,
    pub(super) format: RowFormat,
}

impl<'a> From<&'a Buffer> for DeviceRows<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        let format = match buffer.dtype {
            Dtype::F16 => RowFormat::F16,
            Dtype::Bf16 => RowFormat::Bf16,
            Dtype::F32 => RowFormat::F32,
            Dtype::Int8 => unreachable!("{NO_INT8}"),
        };
        let (count, cols) = (buffer.rows, buffer.cols);
        Self { values: &buffer.memory, scales: None, count, cols, format }
    }
}

impl DeviceRows<'_> {
    pub(super) fn argument(&self) -> RowsArgument {
        RowsArgument {
            data: self.values.pointer(),
            count: self.count as u32,
            cols: self.cols as u32,
            scales: self.scales.map_or(0, Memory::pointer),
        }
    }

    /// Refuses more rows or columns than kernels count.
    pub(super) fn check_size(&self) -> Result<(), Error> {
        for (what, index, limit) in [("row", self.count, MAX_ROWS), ("column", self.cols, MAX_COLS)]
        {
            if index >= limit {
                return Err(Error::Index { what, index, limit });
            }
        }
        Ok(())
    }

    /// Refuses rows that no kernel compares with these.
    ///
    /// # Panics
    /// Where formats differ, as callers choose one for both.
    pub(super) fn check_comparable(&self, other: &Self) -> Result<(), Error> {
        assert_eq!(self.format, other.format, "rows on the device are compared in one format");
        self.check_size()?;
        other.check_size()?;
        check_len("a row to compare with", other.cols, self.cols)
    }

    /// How the names of kernels for such rows end.
    pub(super) fn suffix(&self) -> &'static str {
        match self.format {
            RowFormat::F32 => "f32",
            RowFormat::F16 => "f16",
            RowFormat::Bf16 => "bf16",
            RowFormat::Int8 => "int8",
            RowFormat::Binary => "bits",
        }
    }
}

/// Rows that were brought from the host.
pub(super) struct Operand {
    values: Memory,
    scales: Option<Memory>,
    count: usize,
    cols: usize,
    format: RowFormat,
}

impl Operand {
    /// Brings rows as they are stored; `format` is theirs, or f32 for rows of floating point, which
    /// are then widened on the device.
    pub(super) fn upload(lane: &Lane, rows: Rows<'_>, format: RowFormat) -> Result<Self, Error> {
        let (count, cols) = (rows.len(), rows.dim());
        let mut scales = None;
        let stored = match rows.values() {
            RowValues::F32(values) => lane.upload_in_pieces(values)?,
            RowValues::F16(values) => lane.upload_in_pieces(values)?,
            RowValues::Bf16(values) => lane.upload_in_pieces(values)?,
            RowValues::Binary(bits) => lane.upload_in_pieces(bits)?,
            RowValues::Int8(values, &[scale]) => {
                scales = Some(lane.upload_in_pieces(&vec![scale; count])?);
                lane.upload_in_pieces(values)?
            }
            RowValues::Int8(values, own) => {
                scales = Some(lane.upload_in_pieces(own)?);
                lane.upload_in_pieces(values)?
            }
        };
        let narrow = match rows.format() {
            RowFormat::F16 => Some(Dtype::F16),
            RowFormat::Bf16 => Some(Dtype::Bf16),
            _ => None,
        };
        let values = match narrow {
            Some(dtype) if format == RowFormat::F32 => {
                convert(lane, &Buffer::new(stored, count, cols, dtype), Dtype::F32)?.memory
            }
            _ => stored,
        };
        Ok(Self { values, scales, count, cols, format })
    }

    pub(super) fn rows(&self) -> DeviceRows<'_> {
        let Self { values, scales, count, cols, format } = self;
        let (count, cols, format) = (*count, *cols, *format);
        DeviceRows { values, scales: scales.as_ref(), count, cols, format }
    }
}

/// Bytes of device memory that a row takes which is brought in `format`.
pub(super) fn row_bytes(rows: Rows<'_>, format: RowFormat) -> usize {
    let scale = if rows.format() == RowFormat::Int8 { 4 } else { 0 };
    let widened = if format == rows.format() { 0 } else { 4 * rows.dim() };
    rows.row_bytes() + scale + widened
}
