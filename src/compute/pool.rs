//! What leaves the encoder: pooled spans and finished rows.

use std::ops::Range;

use super::buffer::Buffers;
use super::error::{Error, check_len};

/// The least L2 norm divided by, as in `torch.nn.functional.normalize`.
pub(super) const MIN_NORM: f32 = 1e-12;

/// How the rows of a span become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Arithmetic mean over the span.
    Mean,
    /// The span's first token.
    Cls,
    /// The span's last token.
    LastToken,
    /// The largest value of every column.
    Max,
    /// The sum over the square root of the number of tokens.
    MeanSqrtLength,
    /// The mean weighted by each token's place in its sequence, counted from 1.
    WeightedMean,
}

impl Pooling {
    /// Pools `states` `[n, cols]`, the first of which has place `first` in its sequence, into
    /// `row` `[cols]`: token after token in f32, on a processor.
    pub(super) fn reduce(self, states: &[f32], first: usize, row: &mut [f32]) {
        let cols = row.len();
        let tokens = states.len() / cols;
        match self {
            Self::Cls => return row.copy_from_slice(&states[..cols]),
            Self::LastToken => return row.copy_from_slice(&states[states.len() - cols..]),
            Self::Max => row.fill(f32::NEG_INFINITY),
            Self::Mean | Self::MeanSqrtLength | Self::WeightedMean => row.fill(0.0),
        }
        let mut weights = 0.0;
        for (place, state) in (first + 1..).zip(states.chunks_exact(cols)) {
            let weight = if self == Self::WeightedMean { place as f32 } else { 1.0 };
            weights += weight;
            for (to, x) in row.iter_mut().zip(state) {
                *to = match self {
                    // What is not a number is kept, to be reported.
                    Self::Max if *x > *to || x.is_nan() => *x,
                    Self::Max => *to,
                    _ => *to + weight * x,
                };
            }
        }
        let divisor = match self {
            Self::Mean | Self::WeightedMean => weights,
            Self::MeanSqrtLength => (tokens as f32).sqrt(),
            Self::Max | Self::Cls | Self::LastToken => return,
        };
        for x in row {
            *x /= divisor;
        }
    }
}

/// A run of tokens `start..end` within sequence `seq` of a batch; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the sequence.
    pub seq: u32,
    /// First token, counted in the sequence, special tokens included.
    pub start: u32,
    /// One past the last token.
    pub end: u32,
}

impl Span {
    /// The packed rows of this span, of `rows` in all.
    ///
    /// # Errors
    /// When the sequence is not in the batch, the span is empty or reaches past its sequence, or
    /// that past the rows.
    pub(super) fn rows(&self, cu_seqlens: &[u32], rows: usize) -> Result<Range<usize>, Error> {
        let seq = self.seq as usize;
        let sequences = cu_seqlens.len().saturating_sub(1);
        if seq >= sequences {
            return Err(Error::Index { what: "sequence", index: seq, limit: sequences });
        }
        let (first, last) = (cu_seqlens[seq], cu_seqlens[seq + 1]);
        if self.start >= self.end || self.end > last - first {
            return Err(Error::Index {
                what: "span end",
                index: self.end as usize,
                limit: (last - first) as usize + 1,
            });
        }
        let end = (first + self.end) as usize;
        if end > rows {
            return Err(Error::Index { what: "span end", index: end, limit: rows + 1 });
        }
        Ok((first + self.start) as usize..end)
    }
}

/// How pooled rows become vectors: sliced to `dims`, then normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// Leading columns to keep (Matryoshka representation learning, arXiv 2205.13147).
    pub dims: usize,
    /// Divide by the L2 norm, as `torch.nn.functional.normalize` does.
    pub normalize: bool,
}

impl Projection {
    /// Refuses dimensions that rows of `cols` do not have.
    pub(super) fn check(&self, cols: usize) -> Result<(), Error> {
        if self.dims == 0 || self.dims > cols {
            return Err(Error::Index { what: "dimensions", index: self.dims, limit: cols + 1 });
        }
        Ok(())
    }
}

/// Runs of rows that become one row each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedRuns {
    /// `[rows]`.
    pub weights: Vec<f32>,
    /// `[runs]` of rows.
    pub runs: Vec<Range<usize>>,
    /// `[runs]`.
    pub divisors: Vec<f32>,
}

impl WeightedRuns {
    /// Refuses runs that are not within `rows`, and numbers that are not one a row or a run.
    pub(super) fn check(&self, rows: usize) -> Result<(), Error> {
        check_len("weights of rows", self.weights.len(), rows)?;
        check_len("divisors of runs", self.divisors.len(), self.runs.len())?;
        let beyond = |run: &&Range<usize>| run.start > run.end || run.end > rows;
        match self.runs.iter().find(beyond) {
            Some(run) => {
                Err(Error::Index { what: "end of a run", index: run.end, limit: rows + 1 })
            }
            None => Ok(()),
        }
    }
}

/// What leaves the encoder.
pub trait Pool: Buffers {
    /// One row a span, accumulated in f32: `[spans, H]`.
    ///
    /// # Errors
    /// When a span is empty or outside its sequence.
    fn pool(
        &self,
        hidden: &Self::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Self::Buffer, Error>;

    /// [`finish`](Self::finish) of [`pool`](Self::pool): `[spans, finish.dims]`.
    ///
    /// # Errors
    /// As theirs.
    fn pool_finish(
        &self,
        hidden: &Self::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
        finish: Projection,
    ) -> Result<Vec<f32>, Error> {
        self.finish(self.pool(hidden, cu_seqlens, spans, pooling)?, finish)
    }

    /// Row `r` is the sum over `i` of `runs[r]` of `weights[i] * rows[i]`, one after the other in
    /// f32, divided by `divisors[r]`: `[runs, H]`.
    ///
    /// # Errors
    /// When a run is not within the rows, or weights and divisors are not one each.
    fn sum_runs(&self, rows: &Self::Buffer, runs: &WeightedRuns) -> Result<Self::Buffer, Error>;

    /// Slices, normalises and brings rows to the host: `[rows, finish.dims]` row-major.
    ///
    /// # Errors
    /// When `finish.dims` is above the rows' columns.
    fn finish(&self, rows: Self::Buffer, finish: Projection) -> Result<Vec<f32>, Error>;
}
