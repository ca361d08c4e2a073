//! A piece of accepted work, shared by the queue and the lanes that run parts of it.
//!
//! Invariant: its sink is told the end exactly once, and no row after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::Error;
use super::super::engine::{RowSink, RowWork, Submission, Work};
use super::super::job::IndexedJob;
use super::super::loaded::LoadedModel;

/// What is done.
pub(super) enum Task {
    /// In parts: the sequences of a job, or all of a document.
    Encode(IndexedJob),
    /// In one part.
    Rows(RowWork),
}

/// A piece of accepted work.
pub(super) struct Ticket {
    pub(super) loaded: Arc<LoadedModel>,
    pub(super) task: Task,
    pub(super) submission: Submission,
    answer: Mutex<Answer>,
    /// Whether the end was told; read without waiting for a sink.
    ended: AtomicBool,
}

struct Answer {
    /// Parts that have not been done.
    left: usize,
    /// None once the end was told.
    sink: Option<Box<dyn RowSink>>,
}

impl Ticket {
    /// # Errors
    /// When the model does not give what the work wants, or the work is inconsistent.
    pub(super) fn new(
        loaded: Arc<LoadedModel>,
        work: Work,
        submission: Submission,
        sink: Box<dyn RowSink>,
    ) -> Result<Self, Error> {
        let (task, left) = match work {
            Work::Encode(job) => {
                loaded.model().check_output(job.output)?;
                let job = IndexedJob::new(job)?;
                let left = job.parts();
                (Task::Encode(job), left)
            }
            Work::Document { job, document } => {
                (Task::Encode(IndexedJob::of_document(job, document)?), 1)
            }
            Work::Rows(work) => (Task::Rows(work), 1),
        };
        let answer = Mutex::new(Answer { left, sink: Some(sink) });
        Ok(Self { loaded, task, submission, answer, ended: AtomicBool::new(false) })
    }

    /// Whether it is rows of work that has run.
    pub(super) fn is_rows(&self) -> bool {
        matches!(self.task, Task::Rows(_))
    }

    /// Its parts, the longest last.
    pub(super) fn parts(&self) -> Vec<usize> {
        match &self.task {
            Task::Encode(job) => {
                let mut parts: Vec<usize> = (0..job.parts()).collect();
                parts.sort_by_key(|&part| job.tokens(part));
                parts
            }
            Task::Rows(_) => vec![0],
        }
    }

    /// How much of a device's time a part takes, in tokens.
    pub(super) fn tokens(&self, part: usize) -> usize {
        match &self.task {
            Task::Encode(job) => job.tokens(part),
            Task::Rows(work) => work.rows(),
        }
    }

    /// Tells rows to the sink, unless the work has ended. A sink that panics is its caller's loss
    /// alone, and so is a row that it refuses.
    pub(super) fn tell(&self, rows: impl FnOnce(&mut dyn RowSink) -> Result<(), Error>) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sink) = &mut answer.sink else { return };
        let told = catch_unwind(AssertUnwindSafe(|| rows(&mut **sink)));
        drop(answer);
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.end(Err(error)),
            Err(_) => {
                tracing::error!("a sink panicked at a row");
                self.end(Err(Error::Panicked("a sink".to_owned())));
            }
        }
    }

    /// Counts parts as done; the last is the end.
    pub(super) fn done(&self, parts: usize) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.left -= parts;
        let is_last = answer.left == 0;
        drop(answer);
        if is_last {
            self.end(Ok(()));
        }
    }

    /// Ends the work, unless it has ended.
    pub(super) fn end(&self, result: Result<(), Error>) {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sink) = answer.sink.take() else { return };
        self.ended.store(true, Ordering::Relaxed);
        drop(answer);
        // Not under the lock: who is told may submit again.
        if catch_unwind(AssertUnwindSafe(|| sink.done(result))).is_err() {
            tracing::error!("a sink panicked at the end");
        }
    }

    /// Whether it reads what one device alone has, which another cannot do in its place.
    pub(super) fn is_bound(&self) -> bool {
        matches!(&self.task, Task::Rows(RowWork::Means { .. }))
    }

    /// Whether the end was told.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
