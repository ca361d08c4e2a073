//! What a model's weights do on its devices, whatever form of the operations runs them.

use std::ops::Range;

use super::Error;
use super::batch::Packed;
use super::document::{DocumentPlan, Kept};
use super::job::Output;
use crate::compute::{Batching, Projection, Span};

/// What is read of the hidden states of a batch.
#[derive(Default)]
pub(super) struct Reads<'a> {
    /// A row a span.
    pub(super) rows: Vec<(Output, Vec<Span>)>,
    /// Units of documents, whose parts the spans are.
    pub(super) documents: Vec<(&'a DocumentPlan, Vec<Span>)>,
}

/// What was read, in the order of [`Reads`].
pub(super) struct Encoded {
    /// `[spans, columns]` each.
    pub(super) rows: Vec<Vec<f32>>,
    pub(super) documents: Vec<Units>,
}

/// Units of a document.
pub(super) struct Units {
    /// `[units, dimensions]`, of length one.
    pub(super) vectors: Vec<f32>,
    /// `[units, width]`.
    pub(super) band: Vec<f32>,
    /// What stays on the device.
    pub(super) kept: Kept,
}

/// A model's weights on its devices, whatever form of the operations runs them.
pub(super) trait Network: Send + Sync {
    /// Lanes of all devices: batches that run at a time.
    fn lanes(&self) -> usize;

    /// Whether lanes share the threads of a processor: asked outside of a pool of one thread.
    fn is_on_host(&self) -> bool;

    /// Devices and kernels in words.
    fn describe(&self) -> String;

    /// How work is to be cut.
    fn batching(&self) -> Batching;

    /// Encodes a batch on a lane and reads what is wanted of it.
    fn encode(&self, lane: usize, packed: &Packed, reads: &Reads<'_>) -> Result<Encoded, Error>;

    /// Units of a document from the mean states of its parts, `[parts, H]` from the host.
    fn units(&self, lane: usize, parts: &[f32], document: &DocumentPlan) -> Result<Units, Error>;

    /// Mean states of runs of a document's units as finished vectors, on the lane that has them.
    fn means(
        &self,
        kept: &Kept,
        runs: &[Range<usize>],
        finish: Projection,
    ) -> Result<Vec<f32>, Error>;

    /// See [`gram`](crate::compute::Band::gram).
    fn band(
        &self,
        lane: usize,
        rows: &[f32],
        columns: usize,
        width: usize,
    ) -> Result<Vec<f32>, Error>;

    /// Gives memory that no batch holds back to the devices.
    fn trim(&self) -> Result<(), Error>;
}
