//! What a segmentation of rows costs: the objectives and rules that the processor's dynamic
//! programme and the CUDA kernel share.

use std::ops::Range;

/// The cost of a segment of `l` units whose similarities sum to `W` over all ordered pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// `l - W / l` (arXiv 2601.18788).
    Kcpd,
    /// `l - sqrt(W)` (Alemi and Ginsparg 2015, arXiv 1503.05543).
    Cvs,
    /// `-(W - diagonal - mean l (l - 1))`, `mean` a similarity that is no reason to be together.
    Cluster {
        /// Subtracted from the similarity of any two units.
        mean: f64,
    },
}

/// What a segmentation costs, and which segments it may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentRule {
    /// Of each segment's units.
    pub objective: Objective,
    /// Of each cut.
    pub penalty: f64,
    /// Weight of `(tokens / target_tokens - 1)^2` of each segment.
    pub size_weight: f64,
    /// The size that this favours; 0 counts as 1.
    pub target_tokens: usize,
    /// The most tokens of a segment of two or more units.
    pub max_tokens: usize,
    /// The fewest tokens of a segment: a smaller one costs [`SHORT_COST`] more, so that there is
    /// one only where nothing else goes.
    pub min_tokens: usize,
    /// Tokens of a segment on top of those of its units.
    pub special_tokens: usize,
}

/// What a segment below `min_tokens` costs on top: more than any cohesion, little enough that
/// f64 carries the costs beside it to 1e-9.
pub const SHORT_COST: f64 = 1e6;

/// The units of a band's rows, and the documents that they make up.
#[derive(Debug, Clone, Copy)]
pub struct SegmentUnits<'a> {
    /// Of each unit.
    pub tokens: &'a [usize],
    /// Subtracted from the cost of a cut before the unit; minus infinity forbids it.
    pub bonuses: Option<&'a [f32]>,
    /// Each the units of one document.
    pub documents: &'a [Range<usize>],
}

/// The best segmentation of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// The end of each segment, in units from the document's first.
    pub ends: Vec<usize>,
    /// The least cost of the first `b` units, for `b` up to all. Infinite where none goes without
    /// a cut that is forbidden; segments are then as long as they may be.
    pub costs: Vec<f64>,
}
