//! The banded Gram matrix, of rows on the device.

use cudarc::driver::sys::CUdeviceptr;

use super::super::band::Band;
use super::super::dtype::Dtype;
use super::super::error::Error;
use super::super::pool::Projection;
use super::buffer::{Buffer, take};
use super::exec::CudaExec;
use super::lane::Lane;
use super::launch::launch;
use super::operand::DeviceRows;
use super::pool::launch_pool_into;

/// Columns of a band, which kernels count in u32.
const MAX_WIDTH: usize = 1 << 31;

impl Band for CudaExec {
    fn gram(&self, rows: &Buffer, width: usize) -> Result<Vec<f32>, Error> {
        let band = band(&self.lane, rows.into(), width)?;
        self.lane.download(&band.memory, rows.rows * width)
    }

    fn finish_gram(
        &self,
        rows: Buffer,
        finish: Projection,
        width: usize,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        finish.check(rows.cols)?;
        let (count, dims) = (rows.rows, finish.dims);
        // Side by side, so that one copy brings both.
        let both = self.lane.take::<f32>(count * (dims + width))?;
        launch_pool_into(&self.lane, &rows, None, finish, &both)?;
        let finished = Buffer::new(both, count, dims, Dtype::F32);
        let band = finished.pointer() + (size_of::<f32>() * count * dims) as u64;
        launch_band(&self.lane, (&finished).into(), width, band)?;
        let mut values = self.lane.download(&finished.memory, count * (dims + width))?;
        let band = values.split_off(count * dims);
        Ok((values, band))
    }
}

/// The scores of each row with itself and the `width - 1` rows after it: `[n, width]` f32, zero past
/// the last row.
pub(super) fn band(lane: &Lane, x: DeviceRows<'_>, width: usize) -> Result<Buffer, Error> {
    let output = take(lane, x.count, width, Dtype::F32)?;
    launch_band(lane, x, width, output.pointer())?;
    Ok(output)
}

/// The same to `output`, where there is room for them.
fn launch_band(
    lane: &Lane,
    x: DeviceRows<'_>,
    width: usize,
    output: CUdeviceptr,
) -> Result<(), Error> {
    /// Rows and neighbours of a block, its threads and shared memory.
    const TILE: usize = 32;
    const TILE_THREADS: u32 = 64;
    const SHARED: u32 = 8_704;
    x.check_size()?;
    if width >= MAX_WIDTH {
        return Err(Error::Index { what: "width of a band", index: width, limit: MAX_WIDTH });
    }
    if x.count * width == 0 {
        return Ok(());
    }
    // The last row of a block has the last neighbours.
    let neighbours = (TILE - 1 + width).div_ceil(TILE);
    let grid = (x.count.div_ceil(TILE) as u32, neighbours as u32, 1);
    // SAFETY: `x` describes its rows, and callers leave room for `width` values for each.
    unsafe {
        launch!(lane, &format!("gram_{}", x.suffix()), grid, TILE_THREADS, SHARED;
            &x.argument(), &output, &(width as u32))
    }
}
