//! What is added to attention scores by the distance of the key.

use super::super::attention::BiasWeights;
use super::super::error::Error;
use super::simd::{MAX_LANES, Simd};

/// A bias by distance.
pub enum Bias {
    /// One slope a head.
    Slopes(Vec<f32>),
    /// By distance of the query from the key.
    Table {
        /// `[heads, 2 * radius + 1]`, the farthest key after the query first, each row with a
        /// vector of copies of its ends before and after it.
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
                let padded = |row: &[f32]| {
                    let place = |index: usize| index.saturating_sub(MAX_LANES).min(2 * radius);
                    let value = |index| row[2 * radius - place(index)];
                    (0..row_len(radius)).map(value).collect::<Vec<f32>>()
                };
                let values = values.chunks_exact(2 * radius + 1).flat_map(padded).collect();
                Self::Table { values, radius }
            }
        })
    }

    pub(super) fn heads(&self) -> usize {
        match self {
            Self::Slopes(slopes) => slopes.len(),
            Self::Table { values, radius } => values.len() / row_len(*radius),
        }
    }

    /// What is added to the scores of the queries from `query` on with `key`.
    #[inline(always)]
    pub(super) fn of_queries<S: Simd>(
        &self,
        simd: S,
        head: usize,
        query: usize,
        key: usize,
    ) -> S::F32 {
        match self {
            Self::Slopes(slopes) => {
                let first = simd.splat(query as f32 - key as f32);
                let distance = simd.add(first, simd.load_head(&LANES));
                let distance = simd.and(simd.as_i32(distance), simd.splat_i32(i32::MAX));
                simd.mul(simd.splat(-slopes[head]), simd.as_f32(distance))
            }
            Self::Table { values, radius } => {
                let row = &values[head * row_len(*radius)..][..row_len(*radius)];
                let start = (query + radius + MAX_LANES).saturating_sub(key);
                simd.load_head(&row[start.min(2 * radius + 1 + MAX_LANES)..])
            }
        }
    }
}

/// The number of each lane.
const LANES: [f32; MAX_LANES] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

/// Entries of a head's row of a table.
fn row_len(radius: usize) -> usize {
    2 * radius + 1 + 2 * MAX_LANES
}
