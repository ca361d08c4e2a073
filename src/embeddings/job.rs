//! Jobs: sequences to encode and what is read from them, and how several share batches.

use super::Error;
use super::batch::Packed;
use super::model::Model;
use crate::compute::{self, Span};

/// What a job wants of each of its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The span pooled as the model does, through its heads, cut to `dimensions` and normalised.
    Embeddings {
        /// Leading dimensions to keep.
        dimensions: usize,
    },
    /// The span's mean hidden state, `[H]`.
    States,
    /// The span through the model's classifier: `[labels]` logits.
    Scores,
    /// Of every vocabulary entry the largest logit over the span: `[vocabulary]`.
    MaxLogits,
}

/// Sequences to encode and the spans of them to read.
#[derive(Debug, Clone)]
pub struct Job {
    /// The sequences.
    pub packed: Packed,
    /// What is pooled; one row of the result each, in this order.
    pub spans: Vec<Span>,
    /// What is read.
    pub output: Output,
}

/// Runs jobs of one model: directly ([`Model`]) or through a queue (`worker::Queued`).
pub trait Forward {
    /// The model that jobs run on.
    fn model(&self) -> &Model;

    /// Runs `job` and waits: one row a span.
    ///
    /// # Errors
    /// Those of the device and the queue.
    fn forward(&self, job: Job) -> Result<Vec<f32>, Error>;
}

/// Where one row of a result comes from.
pub(super) struct Read {
    pub(super) job: usize,
    pub(super) row: usize,
    /// Within the batch.
    pub(super) span: Span,
}

/// The sequences of several jobs, one after the other.
pub(super) struct Work {
    /// Job and index in it of each sequence.
    origins: Vec<(usize, usize)>,
    pub(super) lengths: Vec<usize>,
    /// Rows of its job that are read from each sequence.
    rows: Vec<Vec<usize>>,
}

impl Work {
    /// # Errors
    /// When a span names a sequence that its job does not have.
    pub(super) fn new(jobs: &[&Job]) -> Result<Self, Error> {
        let mut work = Self { origins: Vec::new(), lengths: Vec::new(), rows: Vec::new() };
        for (index, job) in jobs.iter().enumerate() {
            let first = work.origins.len();
            work.origins.extend((0..job.packed.sequences()).map(|seq| (index, seq)));
            work.lengths.extend(job.packed.lengths());
            work.rows.resize(work.origins.len(), Vec::new());
            for (row, span) in job.spans.iter().enumerate() {
                let (index, limit) = (span.seq as usize, job.packed.sequences());
                if index >= limit {
                    return Err(compute::Error::Index { what: "sequence", index, limit }.into());
                }
                work.rows[first + index].push(row);
            }
        }
        Ok(work)
    }

    /// Packs the sequences of a batch, with all that is read from them.
    pub(super) fn gather(&self, jobs: &[&Job], batch: &[usize]) -> (Packed, Vec<Read>) {
        let mut packed = Packed::default();
        let mut reads = Vec::new();
        for (seq, &index) in batch.iter().enumerate() {
            let (job, origin) = self.origins[index];
            packed.push_from(&jobs[job].packed, origin);
            reads.extend(self.rows[index].iter().map(|&row| {
                let span = Span { seq: seq as u32, ..jobs[job].spans[row] };
                Read { job, row, span }
            }));
        }
        (packed, reads)
    }
}
