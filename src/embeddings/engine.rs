//! The one way to a device: work handed to an engine, whose rows come back as they are made.
//!
//! Invariant: accepted work is answered exactly once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::Error;
use super::job::Job;
use super::model::Model;
use crate::compute::Projection;

/// Something that a device does.
#[derive(Debug)]
pub enum Work {
    /// Sequences are encoded and read: a row a span.
    Encode(Job),
    /// Rows from the host become others.
    Rows(RowWork),
}

/// What rows from the host become.
#[derive(Debug)]
pub enum RowWork {
    /// Mean hidden states through the model's projection: a row each.
    Project {
        /// `[n, H]` f32 row-major.
        states: Vec<f32>,
        /// How they become vectors.
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
    /// Rows that it gives, where hidden states have `hidden` columns.
    pub(super) fn rows(&self, hidden: usize) -> usize {
        match self {
            Self::Project { states, .. } => states.len() / hidden,
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

    /// Mean hidden states `[n, H]` as finished vectors `[n, dimensions]`.
    ///
    /// # Errors
    /// Those of the device and the queue.
    fn project(&self, states: Vec<f32>, dimensions: usize) -> Result<Vec<f32>, Error> {
        let finish = Projection { dims: dimensions, normalize: self.model().normalizes() };
        rows_of(self, Work::Rows(RowWork::Project { states, finish }), dimensions)
    }

    /// Mean hidden states `[n, H]` as vectors `[n, dimensions]` of length one, whether or not the
    /// model normalises.
    ///
    /// # Errors
    /// Those of the device and the queue.
    fn unit_vectors(&self, states: Vec<f32>) -> Result<Vec<f32>, Error> {
        let dimensions = self.model().dimensions();
        let finish = Projection { dims: dimensions, normalize: true };
        rows_of(self, Work::Rows(RowWork::Project { states, finish }), dimensions)
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

/// The rows of `work`, waited for.
fn rows_of<E: Engine + ?Sized>(engine: &E, work: Work, columns: usize) -> Result<Vec<f32>, Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let count = match &work {
        Work::Encode(job) => job.spans.len(),
        Work::Rows(work) => work.rows(engine.model().spec().hidden),
    };
    if count == 0 {
        // No device has anything to do for it.
        return Ok(Vec::new());
    }
    let rows = Rows { columns, data: vec![0.0; count * columns], sender };
    engine.submit(work, Box::new(rows))?;
    // A sink that is dropped without an answer belongs to an engine that has ended.
    receiver.recv().unwrap_or(Err(Error::Stopped))
}

/// Rows side by side, for a caller that waits.
struct Rows {
    columns: usize,
    /// `[rows, columns]`.
    data: Vec<f32>,
    sender: mpsc::SyncSender<Result<Vec<f32>, Error>>,
}

impl RowSink for Rows {
    fn row(&mut self, index: usize, values: &[f32]) {
        self.data[index * self.columns..][..self.columns].copy_from_slice(values);
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
