//! Jobs with the way their rows become an answer. Nothing has run.

use std::sync::mpsc;

use super::Error;
use super::engine::{Engine, RowSink, Work};
use super::job::Job;

/// Makes an answer of a job's rows.
pub trait ReadRows: Send + 'static {
    /// What the rows become.
    type Answer: Send + 'static;

    /// Reads row `index`. Rows come in any order, each once.
    fn row(&mut self, index: usize, values: &[f32]);

    /// The answer, after the last row.
    fn answer(self) -> Self::Answer;
}

/// A job and the way its rows become an answer.
#[must_use = "nothing has run yet"]
#[derive(Debug)]
pub struct Planned<R> {
    job: Job,
    reader: R,
}

impl<R: ReadRows> Planned<R> {
    pub(super) fn new(job: Job, reader: R) -> Self {
        Self { job, reader }
    }

    /// What will be run.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What the answer is made with: lengths in tokens are known before anything runs.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Runs the job and waits.
    ///
    /// # Errors
    /// Those of the device and the queue.
    pub fn run(self, engine: &dyn Engine) -> Result<R::Answer, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(engine, move |answer| {
            // The receiver waits below until this is called.
            let _ = sender.send(answer);
        })?;
        receiver.recv().unwrap_or(Err(Error::Stopped))
    }

    /// Hands the job over; `done` is called with the answer, perhaps on a thread of the engine's,
    /// unless `Err` is returned.
    ///
    /// # Errors
    /// When the job is refused.
    pub fn submit(
        self,
        engine: &dyn Engine,
        done: impl FnOnce(Result<R::Answer, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let Self { job, reader } = self;
        engine.submit(Work::Encode(job), Box::new(Reading { reader, done }))
    }
}

/// A reader, and who is told its answer.
struct Reading<R, D> {
    reader: R,
    done: D,
}

impl<R, D> RowSink for Reading<R, D>
where
    R: ReadRows,
    D: FnOnce(Result<R::Answer, Error>) + Send,
{
    fn row(&mut self, index: usize, values: &[f32]) {
        self.reader.row(index, values);
    }

    fn done(self: Box<Self>, result: Result<(), Error>) {
        let Self { reader, done } = *self;
        done(result.map(|()| reader.answer()));
    }
}
