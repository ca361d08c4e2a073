//! How many tokens a batch is to have: as many as run in a given time, within what suits the form.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::compute::Batching;

/// Weight of the newest batch in the smoothed rate.
const RATE_SMOOTHING: f64 = 0.2;

/// What a model's batches on one lane have shown, and the sizes that they may have.
#[derive(Debug)]
pub(super) struct Pace {
    /// The fewest tokens that keep the kernels at speed.
    min_tokens: AtomicUsize,
    /// The most that the form is best at.
    max_useful: usize,
    /// The most that may run together.
    max_tokens: AtomicUsize,
    /// Bits of an f64, smoothed; 0 before the first batch.
    tokens_per_second: AtomicU64,
}

impl Pace {
    /// Before anything has run.
    pub(super) fn new(batching: &Batching, max_batch_tokens: Option<usize>) -> Self {
        Self {
            min_tokens: AtomicUsize::new(*batching.tokens.start()),
            max_useful: *batching.tokens.end(),
            max_tokens: AtomicUsize::new(max_batch_tokens.unwrap_or(batching.budget)),
            tokens_per_second: AtomicU64::new(0),
        }
    }

    /// The most tokens that may run together.
    pub(super) fn max_tokens(&self) -> usize {
        self.max_tokens.load(Ordering::Relaxed)
    }

    /// Sets the fewest tokens that keep the kernels at speed.
    pub(super) fn set_min_tokens(&self, tokens: usize) {
        self.min_tokens.store(tokens, Ordering::Relaxed);
    }

    /// Lowers the most that may run together to what a device has memory for.
    pub(super) fn set_max_tokens(&self, tokens: usize) {
        self.max_tokens.store(tokens, Ordering::Relaxed);
    }

    /// Tokens that a lane runs in `time`, but not fewer than keep the kernels at speed.
    pub(super) fn tokens_in(&self, time: Duration) -> usize {
        let rate = f64::from_bits(self.tokens_per_second.load(Ordering::Relaxed));
        let most = self.max_useful.min(self.max_tokens());
        let min_tokens = self.min_tokens.load(Ordering::Relaxed).min(most);
        ((rate * time.as_secs_f64()) as usize).clamp(min_tokens, most)
    }

    /// Takes the rate of a batch into account. Small ones say little: what a batch costs beside
    /// its tokens is most of their time.
    pub(super) fn measured(&self, tokens: usize, tokens_per_second: f64) {
        if tokens < self.min_tokens.load(Ordering::Relaxed) {
            return;
        }
        let before = f64::from_bits(self.tokens_per_second.load(Ordering::Relaxed));
        let rate = smoothed(before, tokens_per_second);
        self.tokens_per_second.store(rate.to_bits(), Ordering::Relaxed);
    }
}

/// A rate after one more batch; `before` is 0 where that is the first.
pub(super) fn smoothed(before: f64, newest: f64) -> f64 {
    if before > 0.0 { before + RATE_SMOOTHING * (newest - before) } else { newest }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::compute::Batching;

    #[test]
    fn a_batch_takes_the_time_unless_the_kernels_need_more() {
        let batching = Batching { parallel: 1, tokens: 100..=1_000, budget: 5_000 };
        let pace = Pace::new(&batching, None);
        let tokens = |ms| pace.tokens_in(Duration::from_millis(ms));
        assert_eq!(tokens(25), 100);
        pace.measured(200, 10_000.0);
        assert_eq!((tokens(25), tokens(5), tokens(1_000)), (250, 100, 1_000));
        // What is too small to tell changes nothing.
        pace.measured(99, 1.0);
        assert_eq!(tokens(25), 250);
        pace.set_max_tokens(60);
        assert_eq!(tokens(25), 60);
    }
}
