//! Cuts between units on the device: block sums and curves of a band, and exact segmentations of
//! several documents at once.

use std::ops::Range;

use cudarc::driver::DeviceRepr;
use cudarc::driver::sys::CUdeviceptr;

use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::super::segmentation::{Objective, SHORT_COST, SegmentRule, SegmentUnits, Segmentation};
use super::buffer::{Buffer, take};
use super::exec::CudaExec;
use super::lane::Lane;
use super::launch::launch;
use super::memory::Memory;

/// Threads of a block.
const THREADS: u32 = 256;
/// Rows of a band that a block of the sums holds.
const TILE: usize = 32;
/// Shared memory of that block.
const TILE_BYTES: u32 = 4 * 32 * 33;
/// Blocks that share the gaps of a document.
const MAX_GAP_BLOCKS: usize = 64;

/// `SegmentRule` of `kernels/boundary.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct RuleArgument {
    penalty: f64,
    mean: f64,
    size_weight: f64,
    target_tokens: f64,
    short_cost: f64,
    objective: u32,
    special_tokens: u32,
    min_tokens: u32,
    max_tokens: u32,
    width: u32,
    unused: u32,
}

// SAFETY: laid out as the kernel's struct.
unsafe impl DeviceRepr for RuleArgument {}

impl RuleArgument {
    fn new(rule: &SegmentRule, width: usize) -> Self {
        let (objective, mean) = match rule.objective {
            Objective::Kcpd => (0, 0.0),
            Objective::Cvs => (1, 0.0),
            Objective::Cluster { mean } => (2, mean),
        };
        Self {
            penalty: rule.penalty,
            mean,
            size_weight: rule.size_weight,
            target_tokens: rule.target_tokens.max(1) as f64,
            short_cost: SHORT_COST,
            objective,
            special_tokens: rule.special_tokens as u32,
            min_tokens: rule.min_tokens.min(u32::MAX as usize) as u32,
            max_tokens: rule.max_tokens.min(u32::MAX as usize) as u32,
            width: width as u32,
            unused: 0,
        }
    }
}

/// Bands and their sums are f32.
fn check_f32(buffer: &Buffer) -> Result<(), Error> {
    if buffer.dtype == Dtype::F32 { Ok(()) } else { Err(Error::Narrow) }
}

impl CudaExec {
    /// Sums of similarities over blocks of units, from a band `[n, width]` f32 as
    /// [`band`](Self::band) gives it: element `(a, l - 1)` of `[n, width]` f32 is the sum over all
    /// ordered pairs of units `a..a + l`, 0 where `a + l` is past the last. By additions alone, in
    /// the order of `chunking::segment`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn block_sums(&self, band: &Buffer) -> Result<Buffer, Error> {
        check_f32(band)?;
        sum_blocks(&self.lane, band, true)
    }

    /// For each gap between two units of a document the cosine of the sums of up to `window` units
    /// on either side, each as many as it has: with `window` 1 of its two neighbours. A document of `l`
    /// units has `l - 1` gaps. `band` and `sums` are of [`band`](Self::band) and
    /// [`block_sums`](Self::block_sums); the cosine is 0 where a side is zero.
    ///
    /// # Errors
    /// [`Error::Length`] where the band and its sums differ in shape or `window` is 0,
    /// [`Error::Index`] for a window above half the band's width and a document beyond the band.
    pub fn boundary_curve(
        &self,
        band: &Buffer,
        sums: &Buffer,
        documents: &[Range<usize>],
        window: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        check_f32(band)?;
        check_f32(sums)?;
        check_len("rows of block sums", sums.rows, band.rows)?;
        check_len("columns of block sums", sums.cols, band.cols)?;
        if window == 0 {
            return Err(Error::Length { what: "window", actual: 0, expected: 1 });
        }
        if window > band.cols / 2 {
            return Err(Error::Index { what: "window", index: window, limit: band.cols / 2 + 1 });
        }
        let (sent, _) = send_documents(&self.lane, documents, band.rows)?;
        let curve = self.lane.take::<f32>(band.rows)?;
        let longest = documents.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        if longest > 1 {
            let blocks = longest.div_ceil(THREADS as usize).min(MAX_GAP_BLOCKS);
            let grid = (documents.len() as u32, blocks as u32, 1);
            // SAFETY: sums are as large as the band, documents within it, the curve has a value a
            // row, and twice the window is at most its width, as checked above.
            unsafe {
                launch!(&self.lane, "boundary_curve", grid, THREADS, 0;
                    &band.pointer(), &sums.pointer(), &sent.pointer(), &curve.pointer(),
                    &(band.cols as u32), &(window as u32))
            }?;
        }
        let curve: Vec<f32> = self.lane.download(&curve, band.rows)?;
        let gaps = |units: &Range<usize>| curve[units.end.min(units.start + 1)..units.end].to_vec();
        Ok(documents.iter().map(gaps).collect())
    }

    /// The exact segmentation of least cost for each document, from a band `[n, width]` f32 of all
    /// their units. With `F[first] = 0`,
    /// `F[b] = min over a of F[a] + penalty - bonus[a] + cost(a..b) + size prior(a..b)`, penalty
    /// and bonus of cuts alone, that is for `a` after the first unit. A segment of two or more
    /// units has at most `max_tokens` tokens and `width` units. Of equal costs the smallest `a`
    /// wins. Sums are added in the order of `chunking::segment`, so that cuts
    /// are the same.
    ///
    /// # Errors
    /// [`Error::Length`] where tokens or bonuses are not one a row or the band has no width,
    /// [`Error::Index`] for a document beyond the band and for tokens beyond 2^32.
    pub fn segment(
        &self,
        band: &Buffer,
        units: SegmentUnits<'_>,
        rule: &SegmentRule,
    ) -> Result<Vec<Segmentation>, Error> {
        let lane: &Lane = &self.lane;
        check_f32(band)?;
        if band.cols == 0 {
            return Err(Error::Length { what: "a row of the band", actual: 0, expected: 1 });
        }
        check_len("tokens of units", units.tokens.len(), band.rows)?;
        if let Some(bonuses) = units.bonuses {
            check_len("bonuses of units", bonuses.len(), band.rows)?;
        }
        let (documents, places) = send_documents(lane, units.documents, band.rows)?;
        let tokens = lane.upload(&running_tokens(units.tokens, rule.special_tokens)?)?;
        let bonuses = units.bonuses.map(|bonuses| lane.upload(bonuses)).transpose()?;
        let pairs_alone = matches!(rule.objective, Objective::Cluster { .. });
        let sums = sum_blocks(lane, band, !pairs_alone)?;
        let (costs, starts) = (lane.take::<f64>(places)?, lane.take::<u32>(places)?);
        if places > 0 {
            let shared = 12 * (band.cols as u32 + 1);
            let argument = RuleArgument::new(rule, band.cols);
            let bonuses: CUdeviceptr = bonuses.as_ref().map_or(0, Memory::pointer);
            // SAFETY: tokens, bonuses and sums are those of every row, documents are within them,
            // and each has its places among costs and starts, as checked above.
            unsafe {
                launch!(lane, "segment_dp", (units.documents.len() as u32, 1, 1), THREADS, shared;
                    &sums.pointer(), &tokens.pointer(), &bonuses, &documents.pointer(), &argument,
                    &costs.pointer(), &starts.pointer())
            }?;
        }
        let costs: Vec<f64> = lane.download(&costs, places)?;
        let starts: Vec<u32> = lane.download(&starts, places)?;
        let mut place = 0;
        let walked = units.documents.iter().map(|document| {
            let own = place..place + document.len() + 1;
            place = own.end;
            let ends = walk(&starts[own.clone()], document.start);
            Segmentation { ends, costs: costs[own].to_vec() }
        });
        Ok(walked.collect())
    }
}

/// Sums over all ordered pairs of each block, or over those of two units.
fn sum_blocks(lane: &Lane, band: &Buffer, diagonal: bool) -> Result<Buffer, Error> {
    let sums = take(lane, band.rows, band.cols, Dtype::F32)?;
    if band.rows * band.cols > 0 {
        let grid = (band.rows.div_ceil(TILE) as u32, 1, 1);
        let (rows, width) = (band.rows as u32, band.cols as u32);
        // SAFETY: band and sums are f32 of `rows` by `width`.
        unsafe {
            launch!(lane, "block_steps", grid, THREADS, TILE_BYTES;
                &band.pointer(), &sums.pointer(), &rows, &width, &u32::from(diagonal))
        }?;
        // SAFETY: as above.
        unsafe {
            launch!(lane, "block_sums", grid, THREADS, TILE_BYTES; &sums.pointer(), &rows, &width)
        }?;
    }
    Ok(sums)
}

/// First unit, end and place of costs of each document, and the number of places.
fn send_documents(
    lane: &Lane,
    documents: &[Range<usize>],
    units: usize,
) -> Result<(Memory, usize), Error> {
    let mut places = 0;
    let mut sent = Vec::with_capacity(documents.len());
    for document in documents {
        if document.end > units {
            let (index, limit) = (document.end, units + 1);
            return Err(Error::Index { what: "end of a document", index, limit });
        }
        if document.start > document.end {
            let (index, limit) = (document.start, document.end + 1);
            return Err(Error::Index { what: "start of a document", index, limit });
        }
        sent.push([document.start as u32, document.end as u32, places as u32, 0]);
        places += document.len() + 1;
    }
    if places > u32::MAX as usize {
        let limit = u32::MAX as usize + 1;
        return Err(Error::Index { what: "units of all documents", index: places, limit });
    }
    Ok((lane.upload(&sent)?, places))
}

/// Tokens before each unit and after the last.
fn running_tokens(tokens: &[usize], special_tokens: usize) -> Result<Vec<u32>, Error> {
    let mut sum = 0_usize;
    let mut running = vec![0];
    for &count in tokens {
        sum = sum.saturating_add(count);
        running.push(sum as u32);
    }
    let index = sum.saturating_add(special_tokens);
    if index > u32::MAX as usize {
        let limit = u32::MAX as usize + 1;
        return Err(Error::Index { what: "tokens of all units", index, limit });
    }
    Ok(running)
}

/// The ends of the segments that a document's starts lead back through.
fn walk(starts: &[u32], first: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = starts.len() - 1;
    while end > 0 {
        ends.push(end);
        end = starts[end] as usize - first;
    }
    ends.reverse();
    ends
}
