//! Activations on the device, in the working dtype or in f32.

use cudarc::driver::sys::CUdeviceptr;

use super::super::buffer::Buffers;
use super::super::dtype::Dtype;
use super::super::error::{Error, whole_rows};
use super::dtype::{bytes_of, suffix};
use super::exec::CudaExec;
use super::grid::{THREADS, by_items};
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;

/// Activations `[rows, cols]`.
pub struct Buffer {
    pub(super) memory: Memory,
    /// The same rows in f32, where `memory` is narrower and they go on as the residual stream.
    pub(super) wide: Option<Memory>,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) dtype: Dtype,
}

impl Buffer {
    pub(super) fn new(memory: Memory, rows: usize, cols: usize, dtype: Dtype) -> Self {
        Self { memory, wide: None, rows, cols, dtype }
    }

    pub(super) fn pointer(&self) -> CUdeviceptr {
        self.memory.pointer()
    }
}

impl Buffers for CudaExec {
    type Buffer = Buffer;

    fn upload(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = whole_rows("rows from the host", data.len(), cols)?;
        let memory = self.lane.upload(data)?;
        Ok(Buffer::new(memory, rows, cols, Dtype::F32))
    }
}

impl CudaExec {
    /// Brings rows from the host in the working dtype, as the encoder's activations are.
    ///
    /// # Errors
    /// When `data` is no multiple of `cols`.
    pub fn upload_working(&self, data: &[f32], cols: usize) -> Result<Buffer, Error> {
        let rows = self.upload(data, cols)?;
        if self.dtype == Dtype::F32 { Ok(rows) } else { convert(&self.lane, &rows, self.dtype) }
    }
}

/// A new buffer whose contents are anything.
pub(super) fn take(lane: &Lane, rows: usize, cols: usize, dtype: Dtype) -> Result<Buffer, Error> {
    let memory = lane.pool.take(rows * cols * bytes_of(dtype))?;
    Ok(Buffer::new(memory, rows, cols, dtype))
}

/// `x` in another dtype.
pub(super) fn convert(lane: &Lane, x: &Buffer, dtype: Dtype) -> Result<Buffer, Error> {
    let output = take(lane, x.rows, x.cols, dtype)?;
    let values = x.rows * x.cols;
    if values > 0 {
        let name = format!("convert_{}_{}", suffix(x.dtype), suffix(dtype));
        // SAFETY: both buffers have `values` values, each in the dtype that the kernel's name says.
        unsafe {
            launch!(lane, &name, by_items(values.div_ceil(8)), THREADS, 0;
                &x.pointer(), &output.pointer(), &values)
        }?;
    }
    Ok(output)
}

/// Gives a narrow buffer a copy in f32, to be written; its address, or null.
pub(super) fn add_wide(lane: &Lane, buffer: &mut Buffer) -> Result<CUdeviceptr, Error> {
    if buffer.dtype == Dtype::F32 {
        return Ok(0);
    }
    let wide = lane.take::<f32>(buffer.rows * buffer.cols)?;
    let pointer = wide.pointer();
    buffer.wide = Some(wide);
    Ok(pointer)
}

/// Makes `buffer` its own f32 copy, as a residual stream that is to be added to.
pub(super) fn widen(lane: &Lane, buffer: &mut Buffer) -> Result<(), Error> {
    if buffer.dtype == Dtype::F32 {
        return Ok(());
    }
    let memory = match buffer.wide.take() {
        Some(wide) => wide,
        None => convert(lane, buffer, Dtype::F32)?.memory,
    };
    *buffer = Buffer::new(memory, buffer.rows, buffer.cols, Dtype::F32);
    Ok(())
}
