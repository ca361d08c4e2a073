//! The optimal segmentation under a hard token limit, by dynamic programming.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::similarity::Band;

/// The least `max_tokens`: room for a few words beside the special tokens.
const MIN_MAX_TOKENS: usize = 16;

/// How a text is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkSpec {
    /// The most tokens of a chunk when it is tokenised alone, special tokens included.
    pub max_tokens: usize,
    /// The size that the prior favours, in the same tokens.
    pub target_tokens: usize,
    /// Weight of the prior `(tokens / target_tokens - 1)^2` against the cohesion of sentences.
    pub size_weight: f64,
}

impl ChunkSpec {
    /// Checks the values.
    ///
    /// # Errors
    /// When one is outside its range; it is named.
    pub fn validate(&self) -> Result<(), Error> {
        if self.max_tokens < MIN_MAX_TOKENS {
            return Err(Error::MaxTokens(self.max_tokens));
        }
        if self.target_tokens == 0 || self.target_tokens > self.max_tokens {
            let (target, limit) = (self.target_tokens, self.max_tokens);
            return Err(Error::TargetTokens { target, limit });
        }
        if !self.size_weight.is_finite() || self.size_weight < 0.0 {
            return Err(Error::SizeWeight(self.size_weight));
        }
        Ok(())
    }
}

/// Cuts units into segments of least total cost. Returns the end of each segment, in units.
///
/// A segment of `l` units whose vectors sum to `s` costs `l - |s|` (`cvs`: Alemi and Ginsparg
/// 2015, arXiv 1503.05543) plus the size prior. No segment of two or more units has more than
/// `spec.max_tokens` tokens or more units than the band is wide. Of equal costs the longest last
/// segment wins. `tokens` are the units' own; `special_tokens` come on top in each segment.
/// Time is O(n * width).
///
/// # Panics
/// When `band` and `tokens` differ in length.
#[must_use]
pub fn segment(
    band: &Band,
    tokens: &[usize],
    special_tokens: usize,
    spec: &ChunkSpec,
) -> Vec<usize> {
    let n = tokens.len();
    assert_eq!(band.len(), n, "one token count for each row of the band");
    let prior = |tokens: usize| {
        let deviation = (tokens + special_tokens) as f64 / spec.target_tokens as f64 - 1.0;
        spec.size_weight * deviation * deviation
    };
    // best[b]: least cost of units 0..b; from[b]: start of the last segment there.
    let mut best = vec![0.0; n + 1];
    let mut from = vec![0; n + 1];
    // sums[a]: similarities of all pairs in a..b, for the b of the current round. They grow by
    // additions alone, which f32 carries safely.
    let mut sums = vec![0.0_f32; n];
    for b in 1..=n {
        let last = b - 1;
        let own = band.similarity(last, last);
        let mut column = 0.0;
        let mut size = 0;
        best[b] = f64::INFINITY;
        for a in (0..b).rev() {
            size += tokens[a];
            let units = b - a;
            if units > 1 && (units > band.width() || size + special_tokens > spec.max_tokens) {
                break;
            }
            column += band.similarity(a, last);
            sums[a] += 2.0 * column - own;
            let cohesion = f64::from(sums[a].max(0.0).sqrt());
            let cost = best[a] + units as f64 - cohesion + prior(size);
            if cost <= best[b] {
                (best[b], from[b]) = (cost, a);
            }
        }
    }
    let mut ends = Vec::new();
    let mut end = n;
    while end > 0 {
        ends.push(end);
        end = from[end];
    }
    ends.reverse();
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ChunkSpec, segment};
    use crate::similarity::Band;

    fn band(rows: &[Vec<f64>], width: usize) -> Band {
        let n = rows.len();
        let mut data = vec![0.0_f32; n * width];
        for i in 0..n {
            for d in 0..width.min(n - i) {
                let dot: f64 = rows[i].iter().zip(&rows[i + d]).map(|(x, y)| x * y).sum();
                data[i * width + d] = dot as f32;
            }
        }
        Band::new(data, width)
    }

    /// Cost of one segment, straight from its vectors; `None` where it is not allowed.
    fn cost(
        rows: &[Vec<f64>],
        tokens: &[usize],
        width: usize,
        spec: &ChunkSpec,
        a: usize,
        b: usize,
    ) -> Option<f64> {
        let size = tokens[a..b].iter().sum::<usize>() + 2;
        if b - a > 1 && (b - a > width || size > spec.max_tokens) {
            return None;
        }
        let sum = (0..rows[0].len()).map(|c| rows[a..b].iter().map(|row| row[c]).sum::<f64>());
        let norm = sum.map(|x| x * x).sum::<f64>().sqrt();
        let deviation = size as f64 / spec.target_tokens as f64 - 1.0;
        Some((b - a) as f64 - norm + spec.size_weight * deviation * deviation)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_other_segmentation_is_better(
            rows in prop::collection::vec(prop::collection::vec(-1.0_f64..1.0, 3), 1..10),
            sizes in prop::collection::vec(1_usize..40, 10),
            width in 1_usize..10,
            max_tokens in 16_usize..90,
            size_weight in 0.0_f64..2.0,
        ) {
            let n = rows.len();
            let rows: Vec<Vec<f64>> = rows.iter().map(|row| {
                let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-3);
                row.iter().map(|x| x / norm).collect()
            }).collect();
            let tokens = &sizes[..n];
            let spec = ChunkSpec { max_tokens, target_tokens: max_tokens / 2, size_weight };
            let total = |ends: &[usize]| -> Option<f64> {
                let starts = std::iter::once(&0).chain(ends);
                starts.zip(ends).map(|(&a, &b)| cost(&rows, tokens, width, &spec, a, b)).sum()
            };
            let mut least = f64::INFINITY;
            for cuts in 0..1_u32 << (n - 1) {
                let ends: Vec<usize> =
                    (1..n).filter(|gap| cuts >> (gap - 1) & 1 == 1).chain([n]).collect();
                least = least.min(total(&ends).unwrap_or(f64::INFINITY));
            }
            let found = total(&segment(&band(&rows, width), tokens, 2, &spec));
            prop_assert!((found.unwrap() - least).abs() < 1e-5, "{found:?} {least}");
        }
    }
}
