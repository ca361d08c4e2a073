//! One thread per device, fed by a bounded queue; concurrent jobs run in common batches.
//!
//! Invariant: every accepted job is answered exactly once, also when its forward pass panics or
//! the worker stops, and a job that fails alone does not fail its neighbours.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use super::Error;
use super::job::{Forward, Job};
use super::model::Model;

/// The longest wait that a refused caller is told.
const MAX_RETRY_AFTER_S: f64 = 60.0;
/// Weight of the newest batch in the smoothed rate.
const RATE_SMOOTHING: f64 = 0.2;

type Reply = Box<dyn FnOnce(Result<Vec<f32>, Error>) + Send>;

/// A job in the queue, with the model that it runs on.
struct Ticket {
    model: Arc<Model>,
    job: Job,
    cancelled: Arc<AtomicBool>,
    reply: Reply,
}

impl Ticket {
    /// A reply that panics is its caller's loss alone.
    fn answer(self, result: Result<Vec<f32>, Error>) {
        if catch_unwind(AssertUnwindSafe(|| (self.reply)(result))).is_err() {
            tracing::error!("a reply panicked");
        }
    }
}

#[derive(Default)]
struct Queue {
    tickets: VecDeque<Ticket>,
    tokens: usize,
    /// Of the batches so far, smoothed; 0 before the first.
    tokens_per_second: f64,
    stopping: bool,
}

impl Queue {
    /// Whole seconds until what waits now is done, within sensible bounds.
    fn retry_after_s(&self) -> u64 {
        let seconds = self.tokens as f64 / self.tokens_per_second.max(1.0);
        seconds.ceil().clamp(1.0, MAX_RETRY_AFTER_S) as u64
    }
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    max_queued_tokens: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device's thread. Dropping it finishes what is queued and joins the thread.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Submits jobs to a [`Worker`]; cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

impl Worker {
    /// Starts the thread. A job that would make more than `max_queued_tokens` wait is refused,
    /// unless nothing waits.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(max_queued_tokens: usize) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), max_queued_tokens });
        let thread = std::thread::Builder::new().name("chunkflow-worker".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || work(&shared)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A handle to submit jobs with.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.filled.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the worker thread panicked");
        }
    }
}

impl WorkerHandle {
    /// Queues `job`; `reply` is called on the worker's thread, unless `Err` is returned. A job
    /// whose `cancelled` turns true before it starts is dropped from the queue.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the queue is full, [`Error::Stopped`] after the worker's end.
    pub fn submit(
        &self,
        model: Arc<Model>,
        job: Job,
        cancelled: Arc<AtomicBool>,
        reply: impl FnOnce(Result<Vec<f32>, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let mut queue = self.shared.lock();
        if queue.stopping {
            return Err(Error::Stopped);
        }
        let (queued, limit) = (queue.tokens, self.shared.max_queued_tokens);
        if queued > 0 && queued + job.packed.tokens() > limit {
            let retry_after_s = queue.retry_after_s();
            return Err(Error::Overloaded { queued, limit, retry_after_s });
        }
        queue.tokens += job.packed.tokens();
        queue.tickets.push_back(Ticket { model, job, cancelled, reply: Box::new(reply) });
        drop(queue);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// This queue as a [`Forward`] of `model`, whose jobs end when `cancelled` turns true.
    #[must_use]
    pub fn with_model(&self, model: Arc<Model>, cancelled: Arc<AtomicBool>) -> Queued {
        Queued { handle: self.clone(), model, cancelled }
    }
}

/// A model behind a queue.
pub struct Queued {
    handle: WorkerHandle,
    model: Arc<Model>,
    cancelled: Arc<AtomicBool>,
}

impl Forward for Queued {
    fn model(&self) -> &Model {
        &self.model
    }

    fn forward(&self, job: Job) -> Result<Vec<f32>, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (model, cancelled) = (Arc::clone(&self.model), Arc::clone(&self.cancelled));
        self.handle.submit(model, job, cancelled, move |result| {
            // The receiver waits below until this is called.
            let _ = sender.send(result);
        })?;
        receiver.recv().unwrap_or(Err(Error::Stopped))
    }
}

fn work(shared: &Shared) {
    while let Some(tickets) = next_batch(shared) {
        let tokens: usize = tickets.iter().map(|ticket| ticket.job.packed.tokens()).sum();
        let start = Instant::now();
        run(tickets);
        let rate = tokens as f64 / start.elapsed().as_secs_f64().max(1e-6);
        let mut queue = shared.lock();
        let before = if queue.tokens_per_second > 0.0 { queue.tokens_per_second } else { rate };
        queue.tokens_per_second = before + RATE_SMOOTHING * (rate - before);
    }
}

/// Waits for tickets and takes those of one model, up to its token budget. `None` when the queue
/// is empty and the worker is to stop.
fn next_batch(shared: &Shared) -> Option<Vec<Ticket>> {
    let mut queue = shared.lock();
    loop {
        let mut batch: Vec<Ticket> = Vec::new();
        let mut tokens = 0;
        while let Some(ticket) = queue.tickets.front() {
            let size = ticket.job.packed.tokens();
            if let Some(first) = batch.first()
                && (!Arc::ptr_eq(&first.model, &ticket.model)
                    || tokens + size > first.model.max_batch_tokens())
            {
                break;
            }
            let Some(ticket) = queue.tickets.pop_front() else { break };
            queue.tokens -= size;
            if ticket.cancelled.load(Ordering::Relaxed) {
                // Not under the lock: a reply may submit again.
                drop(queue);
                ticket.answer(Err(Error::Cancelled));
                queue = shared.lock();
                continue;
            }
            tokens += size;
            batch.push(ticket);
        }
        if !batch.is_empty() {
            return Some(batch);
        }
        if queue.stopping {
            return None;
        }
        queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Runs tickets of one model together and answers them; if that fails, each alone.
fn run(tickets: Vec<Ticket>) {
    let jobs: Vec<&Job> = tickets.iter().map(|ticket| &ticket.job).collect();
    let Some(first) = tickets.first() else { return };
    match run_guarded(&first.model, &jobs) {
        Ok(results) => {
            for (ticket, result) in tickets.into_iter().zip(results) {
                ticket.answer(result);
            }
        }
        Err(error) => match <[Ticket; 1]>::try_from(tickets) {
            Ok([ticket]) => {
                tracing::error!(%error, "forward pass failed");
                ticket.answer(Err(error));
            }
            Err(tickets) => tickets.into_iter().for_each(|ticket| run(vec![ticket])),
        },
    }
}

fn run_guarded(model: &Model, jobs: &[&Job]) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
    catch_unwind(AssertUnwindSafe(|| model.run(jobs))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Panicked(message.unwrap_or_else(|| "no message".to_owned())))
    })
}
