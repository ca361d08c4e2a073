//! What the lanes and the handles of a scheduler share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::queue::{Batch, Ended, Queue};

/// The longest wait that a refused caller is told.
const MAX_RETRY_AFTER_S: f64 = 60.0;

/// The lanes that run, and what they are fed with.
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) stopping: bool,
    /// Lanes that take batches.
    pub(super) running: usize,
    /// Those of them that have one.
    pub(super) busy: usize,
    /// Whether a device was lost.
    pub(super) device_lost: bool,
    /// `[lanes]` tokens a second of each lane, smoothed; 0 before its first batch.
    pub(super) rates: Vec<f64>,
}

impl State {
    /// Whole seconds until what waits now is done, within sensible bounds.
    pub(super) fn retry_after_s(&self) -> u64 {
        let rate: f64 = self.rates.iter().sum();
        let seconds = self.queue.tokens() as f64 / rate.max(1.0);
        seconds.ceil().clamp(1.0, MAX_RETRY_AFTER_S) as u64
    }
}

/// The state, and who is woken when it changes.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) filled: Condvar,
    pub(super) max_queued_tokens: usize,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to run, with whether all threads may run it, since no other lane has
    /// anything to. `None` when nothing waits and the scheduler is to stop.
    pub(super) fn next_batch(&self) -> Option<(Batch, bool)> {
        let mut state = self.lock();
        loop {
            let ended = state.queue.remove_ended(Instant::now());
            if !ended.is_empty() {
                drop(state);
                answer(ended);
                state = self.lock();
                continue;
            }
            if let Some(batch) = state.queue.next_batch() {
                state.busy += 1;
                let is_last = state.queue.is_empty();
                if !is_last {
                    self.filled.notify_one();
                }
                return Some((batch, is_last && state.busy == 1));
            }
            if state.stopping {
                state.running -= 1;
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells those who asked that their work is given up.
pub(super) fn answer(ended: Vec<Ended>) {
    for (ticket, reason) in ended {
        ticket.end(Err(reason));
    }
}
