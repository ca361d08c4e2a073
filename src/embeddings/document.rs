//! A document in units: the mean states of its parts become vectors of units and their band, and
//! the sums by unit stay on the device for the vectors of its chunks.
//!
//! Sums are kept rather than states, so memory follows the units, not the tokens, and a unit across
//! the seam of two sequences is the same sum in whatever batches these ran.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::Error;
use crate::compute::{self, WeightedRuns};

/// How the parts of a document, of which each has a mean state, make up its units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitPlan {
    /// `[parts]` tokens of each part.
    pub tokens: Vec<usize>,
    /// `[units]` parts of each unit.
    pub units: Vec<Range<usize>>,
    /// Whether one more part has the state of the document as a whole.
    pub has_whole: bool,
    /// Columns of the units' band; 0 for none.
    pub width: usize,
}

impl UnitPlan {
    /// From mean states of parts to sums of units, and the state of the whole behind them.
    pub(super) fn sums(&self) -> WeightedRuns {
        let mut runs = WeightedRuns {
            weights: self.tokens.iter().map(|&tokens| tokens as f32).collect(),
            runs: self.units.clone(),
            divisors: vec![1.0; self.units.len()],
        };
        if self.has_whole {
            let parts = self.tokens.len();
            runs.weights.push(1.0);
            runs.runs.push(parts..parts + 1);
            runs.divisors.push(1.0);
        }
        runs
    }

    /// What their sums are divided by.
    pub(super) fn counts(&self) -> UnitCounts {
        let tokens = self.units.iter().map(|parts| self.tokens[parts.clone()].iter().sum());
        UnitCounts { tokens: tokens.collect(), has_whole: self.has_whole }
    }
}

/// Tokens of each unit of a document, by which sums become means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitCounts {
    /// `[units]`.
    tokens: Vec<usize>,
    has_whole: bool,
}

impl UnitCounts {
    /// From the sums of [`UnitPlan::sums`] to the mean state of each unit.
    pub(super) fn of_each(&self) -> Result<WeightedRuns, Error> {
        self.means((0..self.tokens.len()).map(|unit| unit..unit + 1))
    }

    /// From the sums to the mean state of each run of units; the run of all is the whole where its
    /// state is known.
    ///
    /// # Errors
    /// When a run is beyond the units.
    pub(super) fn means(
        &self,
        runs: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<WeightedRuns, Error> {
        let units = self.tokens.len();
        let weights = vec![1.0; units + usize::from(self.has_whole)];
        let mut means = WeightedRuns { weights, ..WeightedRuns::default() };
        for run in runs {
            if self.has_whole && run == (0..units) {
                means.runs.push(units..units + 1);
                means.divisors.push(1.0);
                continue;
            }
            let (index, limit) = (run.end, units + 1);
            let tokens = self.tokens.get(run.clone());
            let tokens =
                tokens.ok_or(compute::Error::Index { what: "end of units", index, limit })?;
            means.divisors.push(tokens.iter().sum::<usize>() as f32);
            means.runs.push(run);
        }
        Ok(means)
    }
}

/// What stays of a document on the device that read it.
pub(super) struct Kept {
    /// Whose memory it is.
    pub(super) lane: usize,
    /// `[units, H]`, and one row more for the whole where its state is known: a buffer of the
    /// device's form.
    pub(super) sums: Box<dyn Any + Send + Sync>,
    pub(super) counts: UnitCounts,
}

/// A document that a device has read, whose runs of units it can still pool; cheap to clone. The
/// device's memory is given back with the last of them.
#[derive(Clone, Default)]
pub struct Held(Arc<OnceLock<Kept>>);

impl Held {
    /// Fills it in. What a document that ran twice left the first time is the same, and stays.
    pub(super) fn keep(&self, kept: Kept) {
        let _ = self.0.set(kept);
    }

    /// What was kept.
    ///
    /// # Panics
    /// When the document has not been read.
    pub(super) fn kept(&self) -> &Kept {
        self.0.get().expect("a document is read before it is pooled")
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = self.0.get().map(|kept| kept.lane);
        formatter.debug_struct("Held").field("lane", &lane).finish_non_exhaustive()
    }
}

/// What a document becomes: of its `n` units a row of `dimensions` each, which are vectors of length
/// one, then of each its row of the band where that has a width.
#[derive(Debug, Clone)]
pub struct DocumentPlan {
    /// Its units.
    pub units: UnitPlan,
    /// Of a unit's vector: the model's.
    pub dimensions: usize,
    /// What stays of it.
    pub held: Held,
}

/// A document that was read in units.
#[derive(Debug)]
pub struct EncodedUnits {
    /// `[units, dimensions]` f32 row-major, of length one.
    pub vectors: Vec<f32>,
    /// `[units, width]` f32 row-major, see [`gram`](crate::compute::Band::gram).
    pub band: Vec<f32>,
    /// What [`means`](super::Engine::means) pools.
    pub held: Held,
}

#[cfg(test)]
mod tests {
    use super::UnitPlan;

    #[test]
    fn a_run_of_all_units_is_the_whole_where_that_is_known() {
        let mut plan =
            UnitPlan { tokens: vec![3, 1, 4], units: vec![0..1, 1..3], ..UnitPlan::default() };
        let means = plan.counts().means([0..2, 1..2]).unwrap();
        assert_eq!((means.runs, means.divisors), (vec![0..2, 1..2], vec![8.0, 5.0]));
        assert_eq!(plan.sums().runs, [0..1, 1..3]);
        plan.has_whole = true;
        let means = plan.counts().means([0..2, 1..2]).unwrap();
        assert_eq!((means.runs, means.divisors), (vec![2..3, 1..2], vec![1.0, 5.0]));
        assert_eq!(plan.sums().weights, [3.0, 1.0, 4.0, 1.0]);
        assert_eq!(plan.sums().runs, [0..1, 1..3, 3..4]);
        assert!(plan.counts().means(std::iter::once(1..3)).is_err());
    }
}
