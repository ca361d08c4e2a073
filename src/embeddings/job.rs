//! Jobs: sequences to encode and what is read from them.

use super::Error;
use super::batch::Packed;
use super::document::DocumentPlan;
use crate::compute::{self, Span};

/// What a job wants of each of its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The span pooled as the model does, through its heads.
    Embeddings {
        /// Leading dimensions to keep.
        dimensions: usize,
        /// Whether these are brought to length one; as the model does where `None`.
        normalize: Option<bool>,
    },
    /// The span's mean hidden state, `[H]`.
    MeanStates,
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

/// A job, and which of its rows are read from each sequence.
#[derive(Debug)]
pub(super) struct IndexedJob {
    pub(super) job: Job,
    /// Of a document, whose sequences run together: what becomes of its spans.
    pub(super) document: Option<DocumentPlan>,
    /// `[sequences + 1]` place in `rows` at which those of each sequence start.
    first: Vec<usize>,
    /// `[spans]` rows, by sequence.
    rows: Vec<usize>,
}

impl IndexedJob {
    /// # Errors
    /// When a span names a sequence that the job does not have.
    pub(super) fn new(job: Job) -> Result<Self, Error> {
        let limit = job.packed.sequences();
        let mut first = vec![0; limit + 1];
        for span in &job.spans {
            let index = span.seq as usize;
            if index >= limit {
                return Err(compute::Error::Index { what: "sequence", index, limit }.into());
            }
            first[index + 1] += 1;
        }
        for index in 0..limit {
            first[index + 1] += first[index];
        }
        let mut next = first.clone();
        let mut rows = vec![0; job.spans.len()];
        for (row, span) in job.spans.iter().enumerate() {
            let place = &mut next[span.seq as usize];
            rows[*place] = row;
            *place += 1;
        }
        Ok(Self { job, document: None, first, rows })
    }

    /// A document that is encoded in one batch.
    ///
    /// # Errors
    /// As those of [`new`](Self::new).
    pub(super) fn of_document(job: Job, document: DocumentPlan) -> Result<Self, Error> {
        Ok(Self { document: Some(document), ..Self::new(job)? })
    }

    /// What is handed out: sequences, or all of a document.
    pub(super) fn parts(&self) -> usize {
        if self.document.is_some() { 1 } else { self.job.packed.sequences() }
    }

    /// Tokens of a part.
    pub(super) fn tokens(&self, part: usize) -> usize {
        if self.document.is_some() { self.job.packed.tokens() } else { self.length(part) }
    }

    /// The rows that are read from a sequence, in order.
    pub(super) fn rows(&self, sequence: usize) -> &[usize] {
        &self.rows[self.first[sequence]..self.first[sequence + 1]]
    }

    /// Tokens of a sequence.
    pub(super) fn length(&self, sequence: usize) -> usize {
        self.job.packed.length(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::{IndexedJob, Job, Output};
    use crate::compute::Span;
    use crate::embeddings::Packed;

    #[test]
    fn rows_are_found_by_their_sequence_in_any_order() {
        let mut packed = Packed::default();
        for length in [3_u32, 0, 2] {
            packed.push(0..length);
        }
        let span = |seq| Span { seq, start: 0, end: 1 };
        let spans = [2, 0, 2, 0].map(span).to_vec();
        let job = IndexedJob::new(Job { packed, spans, output: Output::MeanStates }).unwrap();
        let rows: Vec<&[usize]> = (0..3).map(|sequence| job.rows(sequence)).collect();
        assert_eq!(rows, [&[1, 3][..], &[], &[0, 2]]);
        assert_eq!((0..3).map(|sequence| job.length(sequence)).collect::<Vec<_>>(), [3, 0, 2]);
        let wrong = Job { spans: vec![span(3)], ..job.job };
        assert!(IndexedJob::new(wrong).is_err());
    }
}
