//! The one way to a device: work handed to an engine, whose rows come back as they are made.
//!
//! Invariant: accepted work is answered exactly once.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::Error;
use super::document::{DocumentPlan, EncodedUnits, Held, UnitPlan};
use super::job::Job;
use super::model::Model;
use crate::compute::{self, Projection};

/// Something that a device does.
#[derive(Debug)]
pub enum Work {
    /// Sequences are encoded and read: a row a span.
    Encode(Job),
    /// A document is encoded in one batch and read in units: see [`Engine::document`].
    Document {
        /// What is encoded, for mean states.
        job: Job,
        /// What becomes of its spans, which are the parts.
        document: DocumentPlan,
    },
    /// Rows from the host become others.
    Rows(RowWork),
}

/// What rows from the host become.
#[derive(Debug)]
pub enum RowWork {
    /// Mean states of a document's parts become what [`Work::Document`] gives.
    Units {
        /// `[parts, H]` f32 row-major.
        parts: Vec<f32>,
        /// What they are parts of.
        document: DocumentPlan,
    },
    /// Mean states of runs of units, through the model's heads: a row each.
    Means {
        /// The document.
        held: Held,
        /// Of its units.
        runs: Vec<Range<usize>>,
        /// How the means become vectors.
        finish: Projection,
    },
    /// Inner products of rows with those that follow: `width` a row, see
    /// [`gram`](crate::compute::Band::gram).
    Band {
        /// `[n, columns]` f32 row-major.
        rows: Vec<f32>,
        /// Columns of `rows`, at least 1.
        columns: usize,
        /// Neighbours of a row, itself included; at least 1.
        width: usize,
    },
}

impl RowWork {
    /// Rows that a device computes for it.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Units { document, .. } => document.units.units.len(),
            Self::Means { runs, .. } => runs.len(),
            Self::Band { rows, columns, .. } => rows.len() / columns,
        }
    }
}

/// Takes the rows of a piece of work.
pub trait RowSink: Send {
    /// Takes row `index`. Rows come in any order, each once; every value is finite.
    fn row(&mut self, index: usize, values: &[f32]);

    /// Is called last and once; after an error some rows may not have come. Where the engine runs
    /// work on its caller's thread, a panic there unwinds instead.
    fn done(self: Box<Self>, result: Result<(), Error>);
}

/// What work runs on: at once ([`LoadedModel`](super::LoadedModel)) or through the queue of a
/// [`Scheduler`](super::Scheduler).
pub trait Engine: Send + Sync {
    /// The model that work runs on.
    fn model(&self) -> &Model;

    /// Takes `work`, whose rows go to `sink`. After an error the sink is told nothing.
    ///
    /// # Errors
    /// When the work is refused.
    fn submit(&self, work: Work, sink: Box<dyn RowSink>) -> Result<(), Error>;

    /// Whether one batch has room for all sequences of `job`.
    fn is_one_batch(&self, job: &Job) -> bool;

    /// The vectors of a document's units and their band. `job` gives the mean states of its parts.
    ///
    /// A document that is one batch is read in one visit of a device. The states of a longer one,
    /// whose batches may run on several lanes, come to the host between.
    ///
    /// # Errors
    /// When parts are not one a span; those of the device and the queue.
    fn document(&self, job: Job, units: UnitPlan) -> Result<EncodedUnits, Error> {
        let (dimensions, held) = (self.model().dimensions(), Held::default());
        let document = DocumentPlan { units, dimensions, held };
        if self.is_one_batch(&job) {
            let (job, document) = (job.clone(), document.clone());
            match units_of(self, document.clone(), Work::Document { job, document }) {
                // In several batches there may be room.
                Err(Error::Compute(compute::Error::DeviceMemory { .. })) => {}
                done => return done,
            }
        }
        let parts = self.encode(job)?;
        let work = RowWork::Units { parts, document: document.clone() };
        units_of(self, document, Work::Rows(work))
    }

    /// The vectors `[runs, dimensions]` of runs of a document's units, normalised as the model does.
    ///
    /// # Errors
    /// When a run is beyond the units; those of the device and the queue. A lost device has lost
    /// what it kept.
    fn means(
        &self,
        held: &Held,
        runs: Vec<Range<usize>>,
        dimensions: usize,
    ) -> Result<Vec<f32>, Error> {
        let normalize = self.model().normalizes(dimensions);
        let finish = Projection { dims: dimensions, normalize };
        let work = RowWork::Means { held: held.clone(), runs, finish };
        rows_of(self, Work::Rows(work), dimensions)
    }

    /// The banded Gram matrix of rows `[n, columns]`: `[n, width]`, see
    /// [`gram`](crate::compute::Band::gram).
    ///
    /// # Errors
    /// Those of the device and the queue.
    fn band(&self, rows: Vec<f32>, columns: usize, width: usize) -> Result<Vec<f32>, Error> {
        rows_of(self, Work::Rows(RowWork::Band { rows, columns, width }), width)
    }

    /// The rows of `job`, one a span.
    ///
    /// # Errors
    /// Those of the device and the queue.
    fn encode(&self, job: Job) -> Result<Vec<f32>, Error> {
        let columns = self.model().columns(job.output);
        rows_of(self, Work::Encode(job), columns)
    }
}

/// The rows of `work`, a row a span or what [`RowWork::rows`] says, waited for.
fn rows_of<E: Engine + ?Sized>(engine: &E, work: Work, columns: usize) -> Result<Vec<f32>, Error> {
    let count = match &work {
        Work::Encode(job) | Work::Document { job, .. } => job.spans.len(),
        Work::Rows(work) => work.rows(),
    };
    wait_for(engine, work, count, columns, 0)
}

/// What becomes of a document, waited for.
fn units_of<E: Engine + ?Sized>(
    engine: &E,
    document: DocumentPlan,
    work: Work,
) -> Result<EncodedUnits, Error> {
    let DocumentPlan { units, dimensions, held } = document;
    let count = units.units.len();
    let mut vectors = wait_for(engine, work, count, dimensions, units.width)?;
    let band = vectors.split_off(count * dimensions);
    Ok(EncodedUnits { vectors, band, held })
}

/// `count` rows of `columns`, then as many of `more` columns, waited for.
fn wait_for<E: Engine + ?Sized>(
    engine: &E,
    work: Work,
    count: usize,
    columns: usize,
    more: usize,
) -> Result<Vec<f32>, Error> {
    if count == 0 {
        // No device has anything to do for it.
        return Ok(Vec::new());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let rows = Rows { count, columns, more, data: vec![0.0; count * (columns + more)], sender };
    engine.submit(work, Box::new(rows))?;
    // A sink that is dropped without an answer belongs to an engine that has ended.
    receiver.recv().unwrap_or(Err(Error::Stopped))
}

/// Rows side by side, for a caller that waits.
struct Rows {
    count: usize,
    columns: usize,
    /// Columns of the rows behind the first `count`.
    more: usize,
    /// `[count, columns]`, `[count, more]`.
    data: Vec<f32>,
    sender: mpsc::SyncSender<Result<Vec<f32>, Error>>,
}

impl RowSink for Rows {
    fn row(&mut self, index: usize, values: &[f32]) {
        let (start, columns) = match index.checked_sub(self.count) {
            None => (index * self.columns, self.columns),
            Some(behind) => (self.count * self.columns + behind * self.more, self.more),
        };
        self.data[start..][..columns].copy_from_slice(values);
    }

    fn done(self: Box<Self>, result: Result<(), Error>) {
        let Self { data, sender, .. } = *self;
        // The receiver waits until this is called.
        let _ = sender.send(result.map(|()| data));
    }
}

/// Says to all who hold it that nobody waits any longer.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Work with this signal that has not started will not start.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Until when work is wanted.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Work that has not ended by then is given up.
    pub deadline: Option<Instant>,
    /// Work is given up when this says so.
    pub cancel: Cancel,
}

impl Submission {
    /// Why the work is not wanted any longer, if it is not.
    pub(super) fn ended(&self, now: Instant) -> Option<Error> {
        if self.cancel.is_cancelled() {
            Some(Error::Cancelled)
        } else if self.deadline.is_some_and(|deadline| deadline <= now) {
            Some(Error::Expired)
        } else {
            None
        }
    }
}
