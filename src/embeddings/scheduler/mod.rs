//! Threads for the lanes of devices, fed by one bounded queue of sequences: work of many callers
//! runs in common batches, short work before long.
//!
//! Invariant: every accepted piece of work is answered exactly once, also when its forward pass
//! panics, its device is lost or the scheduler stops, and one that fails alone does not fail its
//! neighbours.

mod lane;
mod queue;
mod shared;
mod ticket;

use std::sync::{Arc, Condvar};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::queue::Queue;
use self::shared::{Shared, State, answer};
use self::ticket::Ticket;
use super::Error;
use super::devices::Devices;
use super::engine::{Engine, RowSink, Submission, Work};
use super::job::Job;
use super::loaded::LoadedModel;
use super::model::Model;

/// What a scheduler takes at a time.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerOptions {
    /// Tokens that may wait; work that alone is more is refused.
    pub max_queued_tokens: usize,
    /// How long a batch may take, unless one that keeps the kernels at speed takes longer.
    pub max_batch: Duration,
}

/// Threads that run what is queued. Dropping it finishes what is queued and joins them.
pub struct Scheduler {
    handle: SchedulerHandle,
    threads: Vec<JoinHandle<()>>,
}

/// Submits work to a [`Scheduler`]; cheap to clone.
#[derive(Clone)]
pub struct SchedulerHandle {
    shared: Arc<Shared>,
}

impl Scheduler {
    /// Starts a thread for each lane of `devices`, for any number of models on them.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(devices: &Devices, options: SchedulerOptions) -> std::io::Result<Self> {
        Self::with_lanes(devices.lanes(), options)
    }

    /// The same for so many of the lanes.
    ///
    /// # Errors
    /// As there.
    pub fn with_lanes(lanes: usize, options: SchedulerOptions) -> std::io::Result<Self> {
        let queue = Queue::new(options.max_batch);
        let (running, rates) = (lanes, vec![0.0; lanes]);
        let state = State { queue, stopping: false, running, busy: 0, device_lost: false, rates };
        let max_queued_tokens = options.max_queued_tokens;
        let shared = Shared { state: state.into(), filled: Condvar::new(), max_queued_tokens };
        let handle = SchedulerHandle { shared: Arc::new(shared) };
        let mut scheduler = Self { handle, threads: Vec::with_capacity(lanes) };
        for lane in 0..lanes {
            let shared = Arc::clone(&scheduler.handle.shared);
            let thread = std::thread::Builder::new().name(format!("chunkflow-lane-{lane}"));
            scheduler.threads.push(thread.spawn(move || lane::work(&shared, lane))?);
        }
        Ok(scheduler)
    }

    /// A handle to submit work with.
    #[must_use]
    pub fn handle(&self) -> SchedulerHandle {
        self.handle.clone()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.handle.shared.lock().stopping = true;
        self.handle.shared.filled.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a lane's thread panicked");
            }
        }
    }
}

impl SchedulerHandle {
    /// This queue as an [`Engine`] of `loaded`, whose work is wanted as `submission` says.
    #[must_use]
    pub fn engine(&self, loaded: Arc<LoadedModel>, submission: Submission) -> Queued {
        Queued { shared: Arc::clone(&self.shared), loaded, submission }
    }

    /// Whether every device still runs what is queued.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.shared.lock();
        !state.stopping && !state.device_lost
    }

    /// Whether anything still runs what is queued.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.lock().running > 0
    }
}

/// A model behind a queue.
#[derive(Clone)]
pub struct Queued {
    shared: Arc<Shared>,
    loaded: Arc<LoadedModel>,
    submission: Submission,
}

impl Engine for Queued {
    fn model(&self) -> &Model {
        self.loaded.model()
    }

    fn is_one_batch(&self, job: &Job) -> bool {
        job.packed.tokens() <= self.shared.lock().queue.budget(&self.loaded)
    }

    /// Sinks are told on the threads of lanes.
    ///
    /// # Errors
    /// [`Error::TooMuch`] for work above the limit, [`Error::Overloaded`] when too much waits
    /// already, [`Error::Stopped`] after the scheduler's end.
    fn submit(&self, work: Work, sink: Box<dyn RowSink>) -> Result<(), Error> {
        let loaded = Arc::clone(&self.loaded);
        let ticket = Arc::new(Ticket::new(loaded, work, self.submission.clone(), sink)?);
        let parts = ticket.parts();
        if parts.is_empty() {
            ticket.end(Ok(()));
            return Ok(());
        }
        let tokens: usize = parts.iter().map(|&part| ticket.tokens(part)).sum();
        // Rows are what is left of work that was let in: to refuse them would throw it away.
        let limit = if ticket.is_rows() { usize::MAX } else { self.shared.max_queued_tokens };
        if tokens > limit {
            return Err(Error::TooMuch { tokens, limit });
        }
        let mut state = self.shared.lock();
        let mut ended = Vec::new();
        if state.queue.tokens().saturating_add(tokens) > limit {
            ended = state.queue.remove_ended(Instant::now());
        }
        let (queued, retry_after_s) = (state.queue.tokens(), state.retry_after_s());
        let accepted = if state.stopping {
            Err(Error::Stopped)
        } else if queued.saturating_add(tokens) > limit {
            Err(Error::Overloaded { queued, limit, retry_after_s })
        } else {
            state.queue.push(ticket, parts, 0);
            Ok(())
        };
        drop(state);
        answer(ended);
        if accepted.is_ok() {
            self.shared.filled.notify_one();
        }
        accepted
    }
}
