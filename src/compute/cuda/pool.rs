//! What leaves the encoder: pooled spans and finished rows, in f32 or a compact format.

use cudarc::driver::DeviceRepr;

use super::super::buffer::Buffers;
use super::super::dtype::Dtype;
use super::super::error::Error;
use super::super::pool::{Pool, Pooling, Projection, Span};
use super::buffer::Buffer;
use super::dtype::{bytes_of, suffix};
use super::exec::CudaExec;
use super::grid::{THREADS, WARP};
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;

/// How pooled rows leave the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// f32.
    F32,
    /// `round(127 x)` as i8, for vectors of length one.
    Int8,
    /// A bit for every `x > 0`, eight a byte, the first column in the highest.
    Binary,
}

impl Format {
    /// Bytes of a row of `dims`.
    fn row_bytes(self, dims: usize) -> usize {
        match self {
            Self::F32 => 4 * dims,
            Self::Int8 => dims,
            Self::Binary => dims.div_ceil(8),
        }
    }
}

/// `Pool` of `kernels/pool.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PoolArgument {
    cols: u32,
    dims: u32,
    normalize: u32,
    format: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for PoolArgument {}

impl Pool for CudaExec {
    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        if !is_mean_of_rows(pooling) {
            return self.pool_on_host(hidden, cu_seqlens, spans, pooling);
        }
        let rows = span_rows(cu_seqlens, spans, pooling, hidden.rows)?;
        let finish = Projection { dims: hidden.cols, normalize: false };
        let memory = launch_pool(&self.lane, hidden, &rows, finish, Format::F32)?;
        Ok(Buffer::new(memory, spans.len(), hidden.cols, Dtype::F32))
    }

    fn pool_finish(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Projection,
    ) -> Result<Vec<f32>, Error> {
        if !is_mean_of_rows(pooling) {
            return self.finish(self.pool_on_host(hidden, cu_seqlens, spans, pooling)?, finish);
        }
        let rows = span_rows(cu_seqlens, spans, pooling, hidden.rows)?;
        let output = launch_pool(&self.lane, hidden, &rows, finish, Format::F32)?;
        self.lane.download(&output, spans.len() * finish.dims)
    }

    fn finish(&self, rows: Buffer, finish: Projection) -> Result<Vec<f32>, Error> {
        let is_finished = !finish.normalize && finish.dims == rows.cols;
        if is_finished && rows.dtype == Dtype::F32 && finish.dims > 0 {
            // A row may be a vocabulary's logits, which no block has memory for.
            return self.lane.download(&rows.memory, rows.rows * rows.cols);
        }
        // Each row is its own mean.
        let own: Vec<u32> = (0..rows.rows as u32).flat_map(|row| [row, row + 1]).collect();
        let output = launch_pool(&self.lane, &rows, &own, finish, Format::F32)?;
        self.lane.download(&output, rows.rows * finish.dims)
    }
}

/// Whether the kernel, which takes means of rows, can pool so.
fn is_mean_of_rows(pooling: Pooling) -> bool {
    matches!(pooling, Pooling::Mean | Pooling::Cls | Pooling::LastToken)
}

impl CudaExec {
    /// Pools on the processor, for what few models ask for: all rows come as f32, the pooled ones
    /// go back.
    fn pool_on_host(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        let cols = hidden.cols;
        let every: Vec<u32> = (0..hidden.rows as u32).flat_map(|row| [row, row + 1]).collect();
        let whole = Projection { dims: cols, normalize: false };
        let sent = launch_pool(&self.lane, hidden, &every, whole, Format::F32)?;
        let states: Vec<f32> = self.lane.download(&sent, hidden.rows * cols)?;
        let mut pooled = vec![0.0; spans.len() * cols];
        for (span, row) in spans.iter().zip(pooled.chunks_exact_mut(cols)) {
            let rows = span.rows(cu_seqlens, hidden.rows)?;
            let states = &states[rows.start * cols..rows.end * cols];
            pooling.reduce(states, span.start as usize, row);
        }
        self.upload(&pooled, cols)
    }

    /// Spans pooled and finished as [`Pool::pool_finish`] does, in a compact format: rows of
    /// `[dims]` f32 or i8, or of `[dims / 8]` bytes rounded up.
    ///
    /// # Errors
    /// Those of [`Pool::pool`] and [`Pool::finish`].
    pub fn pool_quantized(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Projection,
        format: Format,
    ) -> Result<Vec<u8>, Error> {
        let rows = span_rows(cu_seqlens, spans, pooling, hidden.rows)?;
        let output = launch_pool(&self.lane, hidden, &rows, finish, format)?;
        self.lane.download(&output, spans.len() * format.row_bytes(finish.dims))
    }
}

/// The rows of each span, `[spans, 2]` of `tokens`, of which the kernel takes the mean.
pub(super) fn span_rows(
    cu_seqlens: &[u32],
    spans: &[Span],
    pooling: Pooling,
    tokens: usize,
) -> Result<Vec<u32>, Error> {
    let mut rows = Vec::with_capacity(2 * spans.len());
    for span in spans {
        let own = span.rows(cu_seqlens, tokens)?;
        let (first, end) = match pooling {
            Pooling::Mean | Pooling::Max | Pooling::MeanSqrtLength | Pooling::WeightedMean => {
                (own.start, own.end)
            }
            Pooling::Cls => (own.start, own.start + 1),
            Pooling::LastToken => (own.end - 1, own.end),
        };
        rows.extend([first as u32, end as u32]);
    }
    Ok(rows)
}

/// Means of rows, finished, in one launch: a block of `format.row_bytes(dims)` a span.
fn launch_pool(
    lane: &Lane,
    hidden: &Buffer,
    rows: &[u32],
    finish: Projection,
    format: Format,
) -> Result<Memory, Error> {
    finish.check(hidden.cols)?;
    let (pointer, dtype) = match &hidden.wide {
        Some(wide) => (wide.pointer(), Dtype::F32),
        None => (hidden.pointer(), hidden.dtype),
    };
    let spans = rows.len() / 2;
    let output = lane.take::<u8>(spans * format.row_bytes(finish.dims))?;
    if spans == 0 {
        return Ok(output);
    }
    let sent = lane.upload_once("span rows", rows)?;
    let argument = PoolArgument {
        cols: hidden.cols as u32,
        dims: finish.dims as u32,
        normalize: u32::from(finish.normalize),
        format: format as u32,
    };
    let partial = THREADS as usize * 16 / bytes_of(dtype);
    let shared = 4 * (hidden.cols + partial + (THREADS / WARP) as usize);
    let name = format!("pool_{}", suffix(dtype));
    // SAFETY: spans are not empty and end within the rows of `hidden`, whose values are of the
    // kernel's dtype; the output has a row in the format for each, of at most `cols` dimensions.
    unsafe {
        launch!(lane, &name, (spans as u32, 1, 1), THREADS, shared as u32;
            &pointer, &sent.pointer(), &output.pointer(), &argument)
    }?;
    Ok(output)
}
