//! Sequences of several jobs encoded together: packed, run on a lane, and read row by row.

use super::Error;
use super::batch::Packed;
use super::engine::{RowSink, RowWork};
use super::job::{IndexedJob, Output};
use super::network::Network;
use crate::compute::{self, Span};

/// A sequence of one of several jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    /// Which job.
    pub(super) job: usize,
    /// Which of its sequences.
    pub(super) sequence: usize,
}

/// Rows of one kind of output: row `row` of job `job` each.
pub(super) struct Rows {
    pub(super) columns: usize,
    pub(super) places: Vec<(usize, usize)>,
    /// `[places, columns]`.
    pub(super) data: Vec<f32>,
}

impl Rows {
    /// The rows with their jobs and places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let rows = self.data.chunks_exact(self.columns.max(1));
        self.places.iter().zip(rows).map(|(&(job, row), values)| (job, row, values))
    }
}

/// Encodes sequences of `jobs` together, or in halves where the device has no memory for all.
pub(super) fn encode_together(
    network: &dyn Network,
    lane: usize,
    jobs: &[&IndexedJob],
    picks: &[Pick],
) -> Result<Vec<Rows>, Error> {
    match encode_whole(network, lane, jobs, picks) {
        Err(Error::Compute(error @ compute::Error::DeviceMemory { .. })) if picks.len() > 1 => {
            tracing::warn!(%error, sequences = picks.len(), "running in halves");
            let (first, second) = picks.split_at(picks.len() / 2);
            let mut rows = encode_together(network, lane, jobs, first)?;
            rows.extend(encode_together(network, lane, jobs, second)?);
            Ok(rows)
        }
        done => done,
    }
}

fn encode_whole(
    network: &dyn Network,
    lane: usize,
    jobs: &[&IndexedJob],
    picks: &[Pick],
) -> Result<Vec<Rows>, Error> {
    let mut packed = Packed::default();
    let mut places: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut reads: Vec<(Output, Vec<Span>)> = Vec::new();
    for (seq, pick) in (0_u32..).zip(picks) {
        let job = jobs[pick.job];
        packed.push_from(&job.job.packed, pick.sequence);
        let output = job.job.output;
        let group = reads.iter().position(|(other, _)| *other == output).unwrap_or_else(|| {
            reads.push((output, Vec::new()));
            places.push(Vec::new());
            reads.len() - 1
        });
        for &row in job.rows(pick.sequence) {
            reads[group].1.push(Span { seq, ..job.job.spans[row] });
            places[group].push((pick.job, row));
        }
    }
    let results = network.encode(lane, &packed, &reads)?;
    let rows = places.into_iter().zip(results).map(|(places, data)| {
        let columns = data.len().checked_div(places.len()).unwrap_or(0);
        Rows { columns, places, data }
    });
    Ok(rows.collect())
}

/// Rows from the host become others on a lane: those of job 0.
pub(super) fn compute_rows(
    network: &dyn Network,
    lane: usize,
    work: &RowWork,
) -> Result<Rows, Error> {
    let (data, columns) = match work {
        RowWork::Project { states, finish } => {
            (network.project(lane, states, *finish)?, finish.dims)
        }
        RowWork::Band { rows, columns, width } => {
            (network.band(lane, rows, *columns, *width)?, *width)
        }
    };
    let places = (0..data.len() / columns).map(|row| (0, row)).collect();
    Ok(Rows { columns, places, data })
}

/// Hands rows of one job to its sink.
pub(super) fn take_rows(rows: &Rows, sink: &mut dyn RowSink) -> Result<(), Error> {
    rows.iter().try_for_each(|(_, row, values)| take_row(sink, row, values))
}

/// Hands a row to its sink, unless it holds NaN or an infinity.
pub(super) fn take_row(sink: &mut dyn RowSink, row: usize, values: &[f32]) -> Result<(), Error> {
    if !values.iter().all(|x| x.is_finite()) {
        return Err(Error::OutputNotFinite);
    }
    sink.row(row, values);
    Ok(())
}
