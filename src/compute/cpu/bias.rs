//! What is added to attention scores by the distance of the key.

use super::super::exec::Error;
use super::super::operands::BiasWeights;

/// A bias by distance.
pub enum Bias {
    /// One slope a head.
    Slopes(Vec<f32>),
    /// `[heads, 2 * radius + 1]`.
    Table {
        /// Row-major.
        values: Vec<f32>,
        /// The largest distance that is told apart.
        radius: usize,
    },
}

impl Bias {
    pub(super) fn new(weights: BiasWeights<'_>) -> Result<Self, Error> {
        weights.check()?;
        Ok(match weights {
            BiasWeights::Slopes(slopes) => Self::Slopes(slopes.to_vec()),
            BiasWeights::Table { values, radius } => {
                Self::Table { values: values.to_vec(), radius }
            }
        })
    }

    pub(super) fn heads(&self) -> usize {
        match self {
            Self::Slopes(slopes) => slopes.len(),
            Self::Table { values, radius } => values.len() / (2 * radius + 1),
        }
    }

    /// Adds to the scores of `query` with the keys from `first_key` on.
    pub(super) fn add(&self, head: usize, query: usize, first_key: usize, scores: &mut [f32]) {
        let scores = (first_key..).zip(scores);
        match self {
            Self::Slopes(slopes) => {
                for (key, score) in scores {
                    *score -= slopes[head] * key.abs_diff(query) as f32;
                }
            }
            Self::Table { values, radius } => {
                let width = 2 * radius + 1;
                let row = &values[head * width..(head + 1) * width];
                for (key, score) in scores {
                    *score += row[(key + radius).saturating_sub(query).min(2 * radius)];
                }
            }
        }
    }
}
