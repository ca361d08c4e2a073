//! What a device is to be given at a time, found before it serves.

use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use super::Error;
use super::batch::Packed;
use super::job::Output;
use super::lane_threads::LaneThreads;
use super::loaded::LoadedModel;
use super::network::Reads;
use crate::compute::{self, Span};

/// Tokens of batches whose speed is compared on a processor.
const COMPARED_TOKENS: [usize; 5] = [128, 192, 256, 384, 512];
/// The part of the best speed that a batch is to keep.
const MIN_SPEED: f64 = 0.97;
/// Sequences of such a batch, as far as the model's length goes.
const COMPARED_SEQUENCES: usize = 4;
/// Runs of a batch, of which the fastest counts.
const RUNS: usize = 3;

impl LoadedModel {
    /// Finds how large batches are to be, and allocates what they need. To be called after all
    /// models are loaded.
    ///
    /// On CUDA a batch of the most tokens runs on every lane, and the most is halved until all
    /// lanes have memory for it at once. On a processor the fewest tokens are found that keep the
    /// kernels at speed: a model's weights are read once a batch.
    ///
    /// # Errors
    /// When a device has no memory for one sequence of the model's length, and its other errors.
    pub fn warm_up(&self) -> Result<(), Error> {
        if self.devices().are_cuda() { self.fit_memory() } else { self.find_pace() }
    }

    fn fit_memory(&self) -> Result<(), Error> {
        // A longer sequence runs alone, whatever the limit.
        let min_tokens = self.model().tokenizer().max_tokens();
        let mut tokens = self.max_batch_tokens().max(min_tokens);
        loop {
            match self.try_tokens(tokens) {
                Err(Error::Compute(compute::Error::DeviceMemory { .. })) if tokens > min_tokens => {
                    tokens = (tokens / 2).max(min_tokens);
                    self.network().trim()?;
                }
                done => break done?,
            }
        }
        let tokens = tokens.min(self.max_batch_tokens());
        tracing::info!(tokens, "largest batch");
        self.pace().set_max_tokens(tokens);
        Ok(())
    }

    /// One batch of `tokens` on each lane, in sequences of the model's length.
    fn try_tokens(&self, tokens: usize) -> Result<(), Error> {
        let batch = sequences(tokens, self.model().tokenizer().max_tokens());
        (0..self.network().lanes()).try_for_each(|lane| self.run_once(&batch, lane))
    }

    fn find_pace(&self) -> Result<(), Error> {
        let mut rates = Vec::with_capacity(COMPARED_TOKENS.len());
        for tokens in COMPARED_TOKENS {
            rates.push((tokens, self.tokens_per_second(tokens)?));
        }
        let best = rates.iter().map(|&(_, rate)| rate).fold(0.0, f64::max);
        let Some(&(tokens, rate)) = rates.iter().find(|&&(_, rate)| rate >= MIN_SPEED * best)
        else {
            return Ok(());
        };
        let ms = tokens as f64 / rate * 1e3;
        tracing::info!(tokens, ms, "smallest batch at full speed");
        self.pace().set_min_tokens(tokens);
        self.pace().measured(tokens, rate);
        Ok(())
    }

    /// The rate of a lane while all run batches of `tokens`.
    fn tokens_per_second(&self, tokens: usize) -> Result<f64, Error> {
        let longest = self.model().tokenizer().max_tokens();
        let batch = sequences(tokens, longest.min(tokens / COMPARED_SEQUENCES));
        let lanes = self.network().lanes();
        let threads: Vec<LaneThreads> = (0..lanes).map(|_| LaneThreads::new()).collect();
        let mut seconds = f64::INFINITY;
        for _ in 0..RUNS {
            let start = Instant::now();
            let run = |lane: usize| threads[lane].run(lanes == 1, || self.run_once(&batch, lane));
            thread::scope(|scope| {
                let run = &run;
                let started: Vec<_> =
                    (0..lanes).map(|lane| scope.spawn(move || run(lane))).collect();
                started.into_iter().try_for_each(|thread| {
                    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
                })
            })?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
        }
        Ok(tokens as f64 / seconds.max(1e-9))
    }

    fn run_once(&self, batch: &Packed, lane: usize) -> Result<(), Error> {
        let first = vec![(Output::MeanStates, vec![Span { seq: 0, start: 0, end: 1 }])];
        let first = Reads { rows: first, ..Reads::default() };
        self.network().encode(lane, batch, &first).map(drop)
    }
}

/// So many tokens in sequences of at most `longest`.
fn sequences(tokens: usize, longest: usize) -> Packed {
    let mut packed = Packed::default();
    while packed.tokens() < tokens {
        let length = longest.min(tokens - packed.tokens());
        packed.push(std::iter::repeat_n(0, length));
    }
    packed
}
