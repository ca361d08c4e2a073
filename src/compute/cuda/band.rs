//! The banded Gram matrix, of rows on the device.

use super::super::band::Band;
use super::super::dtype::Dtype;
use super::super::error::Error;
use super::buffer::{Buffer, take};
use super::exec::CudaExec;
use super::lane::Lane;
use super::launch::launch;
use super::operand::DeviceRows;

/// Columns of a band, which kernels count in u32.
const MAX_WIDTH: usize = 1 << 31;

impl Band for CudaExec {
    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let band = band(&self.lane, rows.into(), width)?;
        self.lane.download(&band.memory, rows.rows * width)
    }
}

impl CudaExec {
    /// The banded Gram matrix of `rows` as [`Band::gram`] gives it, `[n, width]`
    /// f32, left on the device. A value's bits depend on its two rows alone.
    ///
    /// # Errors
    /// [`Error::Index`] for more than 2^31 rows.
    pub fn band(&self, rows: &Buffer, width: usize) -> Result<Buffer, Error> {
        band(&self.lane, rows.into(), width)
    }
}

/// The scores of each row with itself and the `width - 1` rows after it: `[n, width]` f32, zero past
/// the last row.
pub(super) fn band(lane: &Lane, x: DeviceRows<'_>, width: usize) -> Result<Buffer, Error> {
    /// Rows and neighbours of a block, its threads and shared memory.
    const TILE: usize = 32;
    const TILE_THREADS: u32 = 64;
    const SHARED: u32 = 8_704;
    x.check_size()?;
    if width >= MAX_WIDTH {
        return Err(Error::Index { what: "width of a band", index: width, limit: MAX_WIDTH });
    }
    let output = take(lane, x.count, width, Dtype::F32)?;
    if x.count * width > 0 {
        // The last row of a block has the last neighbours.
        let neighbours = (TILE - 1 + width).div_ceil(TILE);
        let grid = (x.count.div_ceil(TILE) as u32, neighbours as u32, 1);
        // SAFETY: `x` describes its rows, and the output has `width` values for each.
        unsafe {
            launch!(lane, &format!("gram_{}", x.suffix()), grid, TILE_THREADS, SHARED;
                &x.argument(), &output.pointer(), &(width as u32))
        }?;
    }
    Ok(output)
}
