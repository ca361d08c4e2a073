//! How good chunks look without a reference: by their units' vectors, their sizes, and by whether
//! they stay where they are.
//!
//! `vectors` are `[units, dim]` f32 row-major of length one; a segmentation is the lengths of its
//! segments in units. Sums are in f64.

use serde::Serialize;

use super::segmentation::pk;
use crate::chunking::statistics::Summary;

/// What the vectors say of a segmentation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VectorScores {
    /// Mean cosine of two different units of a segment, over the segments that have two; `None`
    /// where none has. From -1 to 1, more is better.
    pub cohesion: Option<f64>,
    /// Mean of one minus the cosine of the summed vectors on both sides of a cut; `None` without
    /// a cut. From 0 to 2, more is better.
    pub separation: Option<f64>,
    /// Mean silhouette of the units (Rousseeuw 1987) in cosine distance, where the other clusters
    /// are the neighbouring segments alone; a unit alone in its segment has 0. `None` without a
    /// cut. From -1 to 1, more is better.
    pub silhouette: Option<f64>,
}

impl VectorScores {
    /// Scores the segments of `lengths`.
    ///
    /// # Panics
    /// When `vectors` does not hold a row for each unit, or a segment is empty.
    #[must_use]
    pub fn of(vectors: &[f32], dim: usize, lengths: &[usize]) -> Self {
        let segments = Segment::all(vectors, dim, lengths);
        let cohesions: Vec<f64> = segments.iter().filter_map(Segment::cohesion).collect();
        let cuts = segments.windows(2).map(|pair| 1.0 - cosine(&pair[0].sum, &pair[1].sum));
        let mut silhouettes = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &segments[before]);
            let neighbours: Vec<&Segment<'_>> =
                before.into_iter().chain(segments.get(index + 1)).collect();
            silhouettes
                .extend(segment.rows().filter_map(|row| segment.silhouette(row, &neighbours)));
        }
        Self {
            cohesion: mean(&cohesions),
            separation: mean(&cuts.collect::<Vec<_>>()),
            silhouette: mean(&silhouettes),
        }
    }
}

/// The units of a segment and their sum.
struct Segment<'a> {
    rows: &'a [f32],
    units: usize,
    /// `[dim]`.
    sum: Vec<f64>,
}

impl<'a> Segment<'a> {
    fn all(vectors: &'a [f32], dim: usize, lengths: &[usize]) -> Vec<Self> {
        assert_eq!(vectors.len(), dim * lengths.iter().sum::<usize>(), "a row for each unit");
        assert!(!lengths.contains(&0), "no segment is empty");
        let mut rest = vectors;
        let take = |&units: &usize| {
            let (rows, after) = rest.split_at(units * dim);
            rest = after;
            let mut sum = vec![0.0; dim];
            for row in rows.chunks_exact(dim) {
                sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            }
            Self { rows, units, sum }
        };
        lengths.iter().map(take).collect()
    }

    fn rows(&self) -> impl Iterator<Item = &'a [f32]> {
        self.rows.chunks_exact(self.sum.len().max(1))
    }

    /// `(W - l) / (l (l - 1))`, where `W` is the squared length of the sum of `l` unit vectors.
    fn cohesion(&self) -> Option<f64> {
        let l = self.units as f64;
        (self.units > 1).then(|| (dot(&self.sum, &self.sum) - l) / (l * (l - 1.0)))
    }

    /// Silhouette of `row`, a unit of this segment; `None` where there is no neighbour.
    fn silhouette(&self, row: &[f32], neighbours: &[&Self]) -> Option<f64> {
        let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
        let to = |other: &Self| 1.0 - dot(&row, &other.sum) / other.units as f64;
        let other = neighbours.iter().map(|other| to(other)).min_by(f64::total_cmp)?;
        if self.units == 1 {
            return Some(0.0);
        }
        let own = 1.0 - (dot(&row, &self.sum) - dot(&row, &row)) / (self.units - 1) as f64;
        let larger = own.max(other);
        Some(if larger > 0.0 { (other - own) / larger } else { 0.0 })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| Summary::of(values).mean)
}

/// The share of chunks whose size is in `allowed`; 1 without chunks.
#[must_use]
pub fn size_compliance(tokens: &[usize], allowed: std::ops::RangeInclusive<usize>) -> f64 {
    let within = tokens.iter().filter(|tokens| allowed.contains(tokens)).count();
    if tokens.is_empty() { 1.0 } else { within as f64 / tokens.len() as f64 }
}

/// How far the chunks of a text move when a paragraph is put in front: Pk over bytes of the text's
/// cuts without and with it, 0 where none moves. `before` and `after` are the ends of all chunks in
/// bytes; `prefix` bytes stand in front of the text in `after`.
///
/// # Panics
/// When the last ends do not differ by `prefix`, or the text is empty.
#[must_use]
pub fn stability(before: &[usize], after: &[usize], prefix: usize) -> f64 {
    let within = |ends: &[usize], prefix: usize| {
        let mut start = prefix;
        let ends = ends.iter().filter(|&&end| end > prefix);
        ends.map(|end| end - std::mem::replace(&mut start, *end)).collect::<Vec<usize>>()
    };
    pk(&within(before, 0), &within(after, prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{VectorScores, size_compliance, stability};

    /// The same measures pair by pair.
    fn naive(rows: &[Vec<f64>], lengths: &[usize]) -> [Option<f64>; 3] {
        let mut of = Vec::new();
        for (segment, &length) in lengths.iter().enumerate() {
            of.extend(std::iter::repeat_n(segment, length));
        }
        let cos =
            |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(x, y)| x * y).sum::<f64>();
        let average = |values: &[f64]| {
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let members =
            |segment: usize| (0..rows.len()).filter(|&i| of[i] == segment).collect::<Vec<_>>();
        let pairs = |a: &[usize], b: &[usize]| -> Vec<f64> {
            a.iter()
                .flat_map(|&i| b.iter().filter(move |&&j| j != i).map(move |&j| cos(i, j)))
                .collect()
        };
        let all: Vec<Vec<usize>> = (0..lengths.len()).map(members).collect();
        let cohesion: Vec<f64> = all.iter().filter_map(|s| average(&pairs(s, s))).collect();
        let separation: Vec<f64> = all
            .windows(2)
            .map(|pair| {
                let w = |s: &[usize]| {
                    pairs(s, s).iter().sum::<f64>() + s.iter().map(|&i| cos(i, i)).sum::<f64>()
                };
                1.0 - pairs(&pair[0], &pair[1]).iter().sum::<f64>()
                    / (w(&pair[0]) * w(&pair[1])).sqrt()
            })
            .collect();
        let mut silhouettes = Vec::new();
        for (i, &own) in of.iter().enumerate() {
            let distance =
                |segment: usize| average(&pairs(&[i], &all[segment])).map(|cos| 1.0 - cos);
            let others = [own.checked_sub(1), (own + 1 < all.len()).then_some(own + 1)];
            let other = others.into_iter().flatten().filter_map(distance).min_by(f64::total_cmp);
            let Some(b) = other else { continue };
            silhouettes.push(distance(own).map_or(0.0, |a| (b - a) / a.max(b)));
        }
        [average(&cohesion), average(&separation), average(&silhouettes)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn scores_equal_those_of_all_pairs(
            rows in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 4), 1..12),
            cuts in prop::collection::vec(any::<bool>(), 11),
        ) {
            let unit = |row: &Vec<f32>| {
                let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                (norm > 0.1).then(|| row.iter().map(|x| x / norm).collect::<Vec<f32>>())
            };
            let rows: Option<Vec<Vec<f32>>> = rows.iter().map(unit).collect();
            prop_assume!(rows.is_some());
            let rows = rows.unwrap();
            let mut lengths = vec![1];
            for &cut in &cuts[..rows.len() - 1] {
                if cut { lengths.push(1) } else { *lengths.last_mut().unwrap() += 1 }
            }
            let found = VectorScores::of(&rows.concat(), 4, &lengths);
            let wide: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect();
            let found = [found.cohesion, found.separation, found.silhouette];
            for (found, expected) in found.into_iter().zip(naive(&wide, &lengths)) {
                prop_assert_eq!(found.is_some(), expected.is_some());
                let difference = found.unwrap_or(0.0) - expected.unwrap_or(0.0);
                // Rows are of length one to f32; two of three measures amplify that.
                prop_assert!(difference.abs() < 1e-4, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn sizes_are_held_against_both_limits() {
        assert!((size_compliance(&[10, 20, 30, 31], 20..=30) - 0.5).abs() < 1e-12);
        assert!((size_compliance(&[], 1..=2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn cuts_that_stay_are_stable() {
        assert!(stability(&[40, 80], &[10, 15, 55, 95], 15).abs() < 1e-12);
        // A chunk across the start of the text is a chunk from its start.
        assert!(stability(&[40, 80], &[10, 55, 95], 15).abs() < 1e-12);
        let moved = stability(&[40, 80], &[15, 65, 95], 15);
        assert!(
            (moved - crate::evaluation::metrics::segmentation::pk(&[40, 40], &[50, 30])).abs()
                < 1e-12
        );
        assert!(moved > 0.1);
    }
}
