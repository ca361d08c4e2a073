//! Token states of a document, pooled by unit.

use std::ops::Range;

use super::windows::{Window, parts, plan_windows};
use crate::chunking::Unit;
use crate::compute::Span;
use crate::embeddings::{Encoded, Engine, Error, Job, Output, Packed, Prompt, Tokenizer};

/// Token states of a document, summed by unit.
///
/// Sums are kept rather than states, so memory follows the units, not the tokens, and a unit
/// across the seam of two windows is the same sum in whatever batches the windows ran.
pub(super) struct States {
    /// `[units, H]` f32 row-major.
    sums: Vec<f32>,
    /// `[units]` tokens summed.
    counts: Vec<usize>,
    /// `[H]`: of a document in one window the mean over all that `embed` pools, special tokens too.
    whole: Option<Vec<f32>>,
    hidden: usize,
    /// Tokens that went through the encoder.
    pub(super) encoder_tokens: usize,
}

impl States {
    /// Encodes the document in windows of the model's length, each behind `prompt`, and sums the
    /// token states of each unit.
    pub(super) fn read(
        engine: &dyn Engine,
        encoded: &Encoded,
        units: &[Unit],
        prompt: &Prompt,
    ) -> Result<Self, Error> {
        let tokenizer = engine.model().tokenizer();
        let hidden = engine.model().spec().hidden;
        let skip = prompt.skip as u32;
        let prompt = tokenizer.encode(&prompt.text)?.ids;
        let capacity = tokenizer.max_tokens() - tokenizer.special_tokens() - prompt.len();
        let windows = plan_windows(encoded.ids.len(), capacity);
        let (mut job, rows) = plan(tokenizer, encoded, units, &windows, &prompt);
        let encoder_tokens = job.packed.tokens();
        let is_whole = windows.len() == 1;
        if is_whole {
            job.spans.push(Span { seq: 0, start: skip, end: encoder_tokens as u32 });
        }
        let mut means = engine.encode(job)?;
        let whole = is_whole.then(|| means.split_off(rows.len() * hidden));
        let mut sums = vec![0.0; units.len() * hidden];
        let mut counts = vec![0; units.len()];
        for (&(unit, count), mean) in rows.iter().zip(means.chunks_exact(hidden)) {
            add(&mut sums[unit * hidden..(unit + 1) * hidden], mean, count as f32);
            counts[unit] += count;
        }
        Ok(Self { sums, counts, whole, hidden, encoder_tokens })
    }

    /// The mean state of the tokens of each run of units, `[runs, H]`; of a document in one window
    /// that is one run as `embed` has it.
    pub(super) fn means(&self, runs: impl Iterator<Item = Range<usize>>) -> Vec<f32> {
        let mut means = Vec::with_capacity(runs.size_hint().0 * self.hidden);
        for run in runs {
            if let Some(whole) = &self.whole
                && run == (0..self.counts.len())
            {
                means.extend(whole);
                continue;
            }
            let start = means.len();
            means.resize(start + self.hidden, 0.0);
            let mean = &mut means[start..];
            for unit in run.clone() {
                add(mean, &self.sums[unit * self.hidden..(unit + 1) * self.hidden], 1.0);
            }
            let count = self.counts[run].iter().sum::<usize>() as f32;
            for sum in mean {
                *sum /= count;
            }
        }
        means
    }
}

/// The windows as sequences, and of each span that is read its unit and number of tokens.
fn plan(
    tokenizer: &Tokenizer,
    encoded: &Encoded,
    units: &[Unit],
    windows: &[Window],
    prompt: &[u32],
) -> (Job, Vec<(usize, usize)>) {
    let mut job = Job { packed: Packed::default(), spans: Vec::new(), output: Output::MeanStates };
    let mut rows = Vec::new();
    let lead = tokenizer.leading_tokens() + prompt.len();
    for (seq, window) in windows.iter().enumerate() {
        let ids = [prompt, &encoded.ids[window.tokens.clone()]].concat();
        tokenizer.push(&mut job.packed, &ids);
        for (unit, tokens) in parts(units, window) {
            let first = lead + tokens.start - window.tokens.start;
            let (start, end) = (first as u32, (first + tokens.len()) as u32);
            job.spans.push(Span { seq: seq as u32, start, end });
            rows.push((unit, tokens.len()));
        }
    }
    if rows.is_empty() {
        // A text without tokens has the states of what stands around them.
        let end = job.packed.tokens() as u32;
        job.spans.resize(units.len(), Span { seq: 0, start: 0, end });
        rows.extend((0..units.len()).map(|unit| (unit, end as usize)));
    }
    (job, rows)
}

fn add(sum: &mut [f32], row: &[f32], weight: f32) {
    for (sum, x) in sum.iter_mut().zip(row) {
        *sum += x * weight;
    }
}
