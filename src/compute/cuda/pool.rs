//! What leaves the encoder: pooled spans and finished rows, in f32.

use std::ops::Range;

use cudarc::driver::DeviceRepr;

use super::super::buffer::Buffers;
use super::super::dtype::Dtype;
use super::super::error::Error;
use super::super::pool::{Pool, Pooling, Projection, Span, WeightedRuns};
use super::buffer::{Buffer, take};
use super::dtype::{bytes_of, suffix};
use super::exec::CudaExec;
use super::grid::{THREADS, WARP};
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;

/// `Pool` of `kernels/pool.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PoolArgument {
    cols: u32,
    dims: u32,
    normalize: u32,
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
        let memory = launch_pool(&self.lane, hidden, &rows, finish)?;
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
        let output = launch_pool(&self.lane, hidden, &rows, finish)?;
        self.lane.download(&output, spans.len() * finish.dims)
    }

    fn sum_runs(&self, rows: &Buffer, runs: &WeightedRuns) -> Result<Buffer, Error> {
        runs.check(rows.rows)?;
        if rows.dtype != Dtype::F32 {
            return Err(Error::Narrow);
        }
        let output = take(&self.lane, runs.runs.len(), rows.cols, Dtype::F32)?;
        if runs.runs.is_empty() || rows.cols == 0 {
            return Ok(output);
        }
        // In one copy: runs, then weights.
        let run = |(run, divisor): (&Range<usize>, &f32)| {
            [run.start as u32, run.end as u32, divisor.to_bits()]
        };
        let mut sent: Vec<u32> = runs.runs.iter().zip(&runs.divisors).flat_map(run).collect();
        let weights = 4 * sent.len() as u64;
        sent.extend(runs.weights.iter().map(|weight| weight.to_bits()));
        let sent = self.lane.upload(&sent)?;
        let blocks = rows.cols.div_ceil(THREADS as usize);
        let grid = (runs.runs.len() as u32, blocks as u32, 1);
        // SAFETY: runs are within the f32 rows, of which each has a weight, as checked above; the
        // output has a row of as many columns for each run.
        unsafe {
            launch!(&self.lane, "sum_runs", grid, THREADS, 0;
                &rows.pointer(), &sent.pointer(), &(sent.pointer() + weights), &output.pointer(),
                &(rows.cols as u32))
        }?;
        Ok(output)
    }

    fn finish(&self, rows: Buffer, finish: Projection) -> Result<Vec<f32>, Error> {
        let is_finished = !finish.normalize && finish.dims == rows.cols;
        if is_finished && rows.dtype == Dtype::F32 && finish.dims > 0 {
            // A row may be a vocabulary's logits, which no block has memory for.
            return self.lane.download(&rows.memory, rows.rows * rows.cols);
        }
        finish.check(rows.cols)?;
        let output = self.lane.take::<f32>(rows.rows * finish.dims)?;
        launch_pool_into(&self.lane, &rows, None, finish, &output)?;
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
        let whole = Projection { dims: cols, normalize: false };
        let widened = self.lane.take::<f32>(hidden.rows * cols)?;
        launch_pool_into(&self.lane, hidden, None, whole, &widened)?;
        let states: Vec<f32> = self.lane.download(&widened, hidden.rows * cols)?;
        let mut pooled = vec![0.0; spans.len() * cols];
        for (span, row) in spans.iter().zip(pooled.chunks_exact_mut(cols)) {
            let rows = span.rows(cu_seqlens, hidden.rows)?;
            let states = &states[rows.start * cols..rows.end * cols];
            pooling.reduce(states, span.start as usize, row);
        }
        self.upload(&pooled, cols)
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

/// Means of rows, finished, in one launch: `[spans, dims]` f32.
fn launch_pool(
    lane: &Lane,
    hidden: &Buffer,
    rows: &[u32],
    finish: Projection,
) -> Result<Memory, Error> {
    finish.check(hidden.cols)?;
    let output = lane.take::<f32>(rows.len() / 2 * finish.dims)?;
    launch_pool_into(lane, hidden, Some(rows), finish, &output)?;
    Ok(output)
}

/// The same into the first values of a block that has room for them; each row is its own mean where
/// there are no `rows`.
pub(super) fn launch_pool_into(
    lane: &Lane,
    hidden: &Buffer,
    rows: Option<&[u32]>,
    finish: Projection,
    output: &Memory,
) -> Result<(), Error> {
    assert!(finish.dims <= hidden.cols, "checked by callers, whose the error is");
    let (pointer, dtype) = match &hidden.wide {
        Some(wide) => (wide.pointer(), Dtype::F32),
        None => (hidden.pointer(), hidden.dtype),
    };
    let spans = rows.map_or(hidden.rows, |rows| rows.len() / 2);
    assert!(spans * finish.dims * size_of::<f32>() <= output.bytes(), "room for every span");
    if spans == 0 {
        return Ok(());
    }
    let sent = rows.map(|rows| lane.upload_once("span rows", rows)).transpose()?;
    let rows = sent.as_ref().map_or(0, |sent| sent.pointer());
    let argument = PoolArgument {
        cols: hidden.cols as u32,
        dims: finish.dims as u32,
        normalize: u32::from(finish.normalize),
    };
    let partial = THREADS as usize * 16 / bytes_of(dtype);
    let shared = 4 * (hidden.cols + partial + (THREADS / WARP) as usize);
    let name = format!("pool_{}", suffix(dtype));
    // SAFETY: spans are not empty and end within the rows of `hidden`, whose values are of the
    // kernel's dtype; the output has a row of f32 for each, of at most `cols` dimensions.
    unsafe {
        launch!(lane, &name, (spans as u32, 1, 1), THREADS, shared as u32;
            &pointer, &rows, &output.pointer(), &argument)
    }
}
