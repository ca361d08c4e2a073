//! Threads for the lanes of all devices, fed by one bounded queue; concurrent jobs run in common
//! batches.
//!
//! Invariant: every accepted job is answered exactly once, also when its forward pass panics, its
//! device is lost or the worker stops, and a job that fails alone does not fail its neighbours.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use super::Error;
use super::job::{Forward, Job};
use super::model::Model;
use crate::compute;

/// The longest wait that a refused caller is told.
const MAX_RETRY_AFTER_S: f64 = 60.0;
/// Weight of the newest batch in the smoothed rate.
const RATE_SMOOTHING: f64 = 0.2;

/// As many lanes as a device has: a job that is there when a second device is lost may be what loses
/// them, and is not tried on a third.
const MAX_LOSSES: u8 = 2;

type Reply = Box<dyn FnOnce(Result<Vec<f32>, Error>) + Send>;

/// A job in the queue, with the model that it runs on.
struct Ticket {
    model: Arc<Model>,
    job: Job,
    cancelled: Arc<AtomicBool>,
    /// Lanes whose device was lost while it ran.
    losses: u8,
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
    /// Threads that still run.
    running: usize,
    /// Whether a device was lost.
    device_lost: bool,
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

/// Threads that run what is queued. Dropping it finishes what is queued and joins them.
pub struct Worker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Submits jobs to a [`Worker`]; cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

impl Worker {
    /// Starts a thread for each of `lanes`, see [`Model::lanes`]. A job that would make more than
    /// `max_queued_tokens` wait is refused, unless nothing waits.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(max_queued_tokens: usize, lanes: usize) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue { running: lanes, ..Queue::default() });
        let shared = Arc::new(Shared { queue, filled: Condvar::new(), max_queued_tokens });
        let threads = Vec::with_capacity(lanes);
        let mut worker = Self { shared, threads };
        for lane in 0..lanes {
            let shared = Arc::clone(&worker.shared);
            let name = format!("chunkflow-worker-{lane}");
            let thread = std::thread::Builder::new().name(name);
            worker.threads.push(thread.spawn(move || work(&shared, lane))?);
        }
        Ok(worker)
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
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
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
        queue.tickets.push_back(Ticket {
            model,
            job,
            cancelled,
            losses: 0,
            reply: Box::new(reply),
        });
        drop(queue);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Whether every device still runs what is queued.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let queue = self.shared.lock();
        !queue.stopping && !queue.device_lost
    }

    /// Whether anything still runs what is queued.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.lock().running > 0
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

fn work(shared: &Shared, lane: usize) {
    while let Some(tickets) = next_batch(shared) {
        let tokens: usize = tickets.iter().map(|ticket| ticket.job.packed.tokens()).sum();
        let start = Instant::now();
        if let Err(Lost(unanswered)) = run(tickets, lane) {
            return lose_device(shared, unanswered);
        }
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
            queue.running -= 1;
            return None;
        }
        queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Tickets that a lost device leaves unanswered.
struct Lost(Vec<Ticket>);

/// Runs tickets of one model together and answers them; if that fails, each alone. Those that a
/// lost device could not run come back.
fn run(tickets: Vec<Ticket>, lane: usize) -> Result<(), Lost> {
    let jobs: Vec<&Job> = tickets.iter().map(|ticket| &ticket.job).collect();
    let Some(first) = tickets.first() else { return Ok(()) };
    match run_guarded(&first.model, &jobs, lane) {
        Ok(results) => {
            for (ticket, result) in tickets.into_iter().zip(results) {
                ticket.answer(result);
            }
            Ok(())
        }
        Err(error @ Error::Compute(compute::Error::DeviceLost { .. })) => {
            tracing::error!(%error, "a device is lost");
            Err(Lost(tickets))
        }
        Err(error) => match <[Ticket; 1]>::try_from(tickets) {
            Ok([ticket]) => {
                tracing::error!(%error, "forward pass failed");
                ticket.answer(Err(error));
                Ok(())
            }
            Err(tickets) => each_alone(tickets, lane),
        },
    }
}

fn each_alone(tickets: Vec<Ticket>, lane: usize) -> Result<(), Lost> {
    let mut tickets = tickets.into_iter();
    while let Some(ticket) = tickets.next() {
        if let Err(Lost(mut unanswered)) = run(vec![ticket], lane) {
            unanswered.extend(tickets);
            return Err(Lost(unanswered));
        }
    }
    Ok(())
}

/// Hands a lost device's tickets to the other threads, but for those that have been handed on too
/// often. The last thread answers whatever waits.
fn lose_device(shared: &Shared, tickets: Vec<Ticket>) {
    let mut queue = shared.lock();
    queue.device_lost = true;
    queue.running -= 1;
    let (suspects, others): (Vec<_>, Vec<_>) =
        tickets.into_iter().partition(|ticket| ticket.losses == MAX_LOSSES);
    for mut ticket in others.into_iter().rev() {
        ticket.losses += 1;
        queue.tokens += ticket.job.packed.tokens();
        queue.tickets.push_front(ticket);
    }
    let mut abandoned = VecDeque::from(suspects);
    if queue.running == 0 {
        tracing::error!("no device is left");
        queue.stopping = true;
        queue.tokens = 0;
        abandoned.append(&mut queue.tickets);
    }
    drop(queue);
    shared.filled.notify_all();
    for ticket in abandoned {
        ticket.answer(Err(Error::Stopped));
    }
}

fn run_guarded(
    model: &Model,
    jobs: &[&Job],
    lane: usize,
) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
    let run = || model.run_on_lane(jobs, lane % model.lanes());
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Panicked(message.unwrap_or_else(|| "no message".to_owned())))
    })
}
