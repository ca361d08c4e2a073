//! The largest batch that a device has memory for, found before it serves.

use super::Error;
use super::batch::Packed;
use super::model::Model;
use crate::compute;

impl Model {
    /// Runs a batch of the most tokens on every lane, so that what later batches need is allocated,
    /// and halves the most until all lanes have memory for it at once. Nothing on a processor.
    ///
    /// # Errors
    /// When a device has no memory for one sequence of the model's length, and its other errors.
    pub fn warm_up(&mut self) -> Result<(), Error> {
        if !self.runs_on_cuda() {
            return Ok(());
        }
        // A longer sequence runs alone, whatever the limit.
        let least = self.tokenizer().max_tokens();
        let mut tokens = self.max_batch_tokens().max(least);
        loop {
            match self.try_tokens(tokens) {
                Err(Error::Compute(compute::Error::DeviceMemory { .. })) if tokens > least => {
                    tokens = (tokens / 2).max(least);
                    self.trim()?;
                }
                done => break done?,
            }
        }
        let tokens = tokens.min(self.max_batch_tokens());
        tracing::info!(tokens, "largest batch");
        self.set_max_batch_tokens(tokens);
        Ok(())
    }

    /// One batch of `tokens` on each lane, in sequences of the model's length.
    fn try_tokens(&self, tokens: usize) -> Result<(), Error> {
        let mut packed = Packed::default();
        while packed.tokens() < tokens {
            let len = self.tokenizer().max_tokens().min(tokens - packed.tokens());
            packed.push(std::iter::repeat_n(0, len));
        }
        (0..self.lanes()).try_for_each(|lane| self.run_in_one_batch(&packed, lane))
    }
}
