//! Sequences of several jobs encoded together: packed, run on a lane, and read row by row.

use super::Error;
use super::batch::Packed;
use super::document::DocumentPlan;
use super::engine::{RowSink, RowWork};
use super::job::IndexedJob;
use super::network::{Network, Reads, Units};
use crate::compute::{self, Span};

/// A part of one of several jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    /// Which job.
    pub(super) job: usize,
    /// Which of its parts: a sequence, or all of a document.
    pub(super) part: usize,
}

/// Rows of one kind of output: row `row` of job `job` each.
pub(super) struct Rows {
    pub(super) columns: usize,
    pub(super) places: Vec<(usize, usize)>,
    /// `[places, columns]`.
    pub(super) data: Vec<f32>,
}

impl Rows {
    fn new(places: Vec<(usize, usize)>, data: Vec<f32>) -> Self {
        let columns = data.len().checked_div(places.len()).unwrap_or(0);
        Self { columns, places, data }
    }

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
    let mut reads = Reads::default();
    // Job and row of each span that is read.
    let mut places: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut documents: Vec<usize> = Vec::new();
    for pick in picks {
        let (job, seq) = (jobs[pick.job], packed.sequences() as u32);
        if let Some(document) = &job.document {
            let all = &job.job.packed;
            (0..all.sequences()).for_each(|sequence| packed.push_from(all, sequence));
            let spans = job.job.spans.iter().map(|span| Span { seq: seq + span.seq, ..*span });
            reads.documents.push((document, spans.collect()));
            documents.push(pick.job);
            continue;
        }
        packed.push_from(&job.job.packed, pick.part);
        let output = job.job.output;
        let same = reads.rows.iter().position(|(other, _)| *other == output);
        let group = same.unwrap_or_else(|| {
            reads.rows.push((output, Vec::new()));
            places.push(Vec::new());
            places.len() - 1
        });
        for &row in job.rows(pick.part) {
            reads.rows[group].1.push(Span { seq, ..job.job.spans[row] });
            places[group].push((pick.job, row));
        }
    }
    let encoded = network.encode(lane, &packed, &reads)?;
    let rows = places.into_iter().zip(encoded.rows).map(|(places, data)| Rows::new(places, data));
    let mut rows: Vec<Rows> = rows.collect();
    for ((document, _), (job, units)) in
        reads.documents.iter().zip(documents.into_iter().zip(encoded.documents))
    {
        rows.extend(keep_units(job, document, units));
    }
    Ok(rows)
}

/// Leaves with a document what stays on the device: its rows are vectors, then the band's.
fn keep_units(job: usize, document: &DocumentPlan, units: Units) -> [Rows; 2] {
    document.held.keep(units.kept);
    let count = document.units.units.len();
    let places = |first: usize| (first..first + count).map(|row| (job, row)).collect();
    [Rows::new(places(0), units.vectors), Rows::new(places(count), units.band)]
}

/// Rows from the host become others on a lane: those of job 0.
pub(super) fn compute_rows(
    network: &dyn Network,
    lane: usize,
    work: &RowWork,
) -> Result<Vec<Rows>, Error> {
    let data = match work {
        RowWork::Units { parts, document } => {
            return Ok(keep_units(0, document, network.units(lane, parts, document)?).into());
        }
        RowWork::Means { held, runs, finish } => network.means(held.kept(), runs, *finish)?,
        RowWork::Band { rows, columns, width } => network.band(lane, rows, *columns, *width)?,
    };
    Ok(vec![Rows::new((0..work.rows()).map(|row| (0, row)).collect(), data)])
}

/// Hands a row to its sink, unless it holds NaN or an infinity.
pub(super) fn take_row(sink: &mut dyn RowSink, row: usize, values: &[f32]) -> Result<(), Error> {
    if !values.iter().all(|x| x.is_finite()) {
        return Err(Error::OutputNotFinite);
    }
    sink.row(row, values);
    Ok(())
}
