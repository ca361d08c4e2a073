//! C99 (Choi 2000, "Advances in domain independent linear text segmentation"): ranks in place of
//! similarities, then divisive clustering along the diagonal.

use super::lengths::lengths;
use super::words::{Counts, Terms};
use crate::chunking::statistics::Summary;
use crate::similarity::Band;

/// A rank is among the values up to so many rows and columns away: an 11 x 11 mask.
const REACH: usize = 5;
/// Weights that smooth the gain of density, whatever their sum.
const MASK: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 4.0, 2.0, 1.0];
/// Standard deviations above the mean at which the gain stops the division.
const DEVIATIONS: f64 = 1.2;
/// Neighbours of a unit whose words are compared with its own.
const WORDS_WIDTH: usize = 1_024;

/// Cuts `units` by the cosine of their words, stop words left out.
#[must_use]
pub fn c99_words(units: &[&str]) -> Vec<usize> {
    let counts: Vec<Counts> = Terms::of(units).units.into_iter().map(Counts::of).collect();
    let width = units.len().clamp(1, WORDS_WIDTH);
    let mut data = vec![0.0; units.len() * width];
    for (i, row) in data.chunks_exact_mut(width).enumerate() {
        for (value, other) in row.iter_mut().zip(&counts[i..]) {
            *value = counts[i].cosine(other) as f32;
        }
    }
    c99(&Band::new(data, width))
}

/// Cuts units by the similarities of `band`; pairs outside it have no part. Where the band holds
/// all pairs this is C99 as published.
#[must_use]
pub fn c99(band: &Band) -> Vec<usize> {
    let ranks = ranks(band);
    let mut division = Division::new(&ranks);
    let mut cuts = Vec::new();
    let mut densities = vec![division.density()];
    while let Some(cut) = division.split() {
        cuts.push(cut);
        densities.push(division.density());
    }
    let mut cuts: Vec<usize> = cuts.into_iter().take(useful(&densities)).collect();
    cuts.sort_unstable();
    lengths(band.len(), &cuts)
}

/// The share of the values around each that are below it, rows and columns up to [`REACH`] away.
fn ranks(band: &Band) -> Band {
    let (n, width) = (band.len(), band.width());
    let mut ranks = vec![0.0; n * width];
    for i in 0..n {
        for j in i..n.min(i + width) {
            let own = band.similarity(i, j);
            let (mut lower, mut seen) = (0_usize, 0_usize);
            for y in i.saturating_sub(REACH)..n.min(i + REACH + 1) {
                for x in j.saturating_sub(REACH)..n.min(j + REACH + 1) {
                    if x.abs_diff(y) < width {
                        lower += usize::from(band.similarity(y, x) < own);
                        seen += 1;
                    }
                }
            }
            // Itself excepted, and a value alone has no rank.
            ranks[i * width + j - i] = lower as f32 / (seen - 1).max(1) as f32;
        }
    }
    Band::new(ranks, width)
}

/// How many of the splits are worth it: as many as have a smoothed gain of density above its mean
/// and [`DEVIATIONS`] standard deviations.
fn useful(densities: &[f64]) -> usize {
    let gains: Vec<f64> = densities.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let half = MASK.len() / 2;
    let smooth = |i: usize| {
        let places =
            (0..MASK.len()).filter_map(|m| Some((m, *gains.get((i + m).checked_sub(half)?)?)));
        let (sum, weights) =
            places.fold((0.0, 0.0), |(sum, all), (m, gain)| (sum + MASK[m] * gain, all + MASK[m]));
        sum / weights
    };
    let smoothed: Vec<f64> = (0..gains.len()).map(smooth).collect();
    let summary = Summary::of(&smoothed);
    let threshold = summary.mean + DEVIATIONS * summary.sd;
    smoothed.iter().filter(|&&gain| gain > threshold).count()
}

/// A segmentation that is divided further and further.
struct Division<'a> {
    ranks: &'a Band,
    /// In no order.
    segments: Vec<Region>,
    /// Sum of all ranks within segments, and number of them.
    sum: f64,
    area: f64,
}

/// A segment, and what its parts would be for each cut.
struct Region {
    start: usize,
    end: usize,
    /// `[length + 1]` sums of the ranks within the first `k` units and within all but these.
    left: Vec<f64>,
    right: Vec<f64>,
}

impl<'a> Division<'a> {
    fn new(ranks: &'a Band) -> Self {
        let whole = Region::new(ranks, 0, ranks.len());
        let (sum, area) = (whole.right[0], area(ranks.len(), ranks.width()));
        Self { ranks, segments: vec![whole], sum, area }
    }

    /// Mean rank within segments.
    fn density(&self) -> f64 {
        if self.area > 0.0 { self.sum / self.area } else { 0.0 }
    }

    /// Makes the split that leaves the highest density, the first of equal ones; `None` when every
    /// unit is alone. Returns the gap.
    fn split(&mut self) -> Option<usize> {
        let width = self.ranks.width();
        let mut best: Option<(f64, usize, usize)> = None;
        for (index, region) in self.segments.iter().enumerate() {
            let length = region.end - region.start;
            for k in 1..length {
                let sum = self.sum - region.right[0] + region.left[k] + region.right[k];
                let area =
                    self.area - area(length, width) + area(k, width) + area(length - k, width);
                let candidate = (sum / area, region.start + k, index);
                let better = |best: (f64, usize, usize)| {
                    candidate.0 > best.0 || (candidate.0 >= best.0 && candidate.1 < best.1)
                };
                if best.is_none_or(better) {
                    best = Some(candidate);
                }
            }
        }
        let (_, gap, index) = best?;
        let old = self.segments.swap_remove(index);
        let parts = [(old.start, gap), (gap, old.end)];
        self.sum -= old.right[0];
        self.area -= area(old.end - old.start, width);
        for (start, end) in parts {
            let region = Region::new(self.ranks, start, end);
            self.sum += region.right[0];
            self.area += area(end - start, width);
            self.segments.push(region);
        }
        Some(gap)
    }
}

impl Region {
    fn new(ranks: &Band, start: usize, end: usize) -> Self {
        let length = end - start;
        let (mut left, mut right) = (vec![0.0; length + 1], vec![0.0; length + 1]);
        let within = |i: usize, j: usize| f64::from(ranks.similarity(i, j));
        for k in 0..length {
            let unit = start + k;
            let others = unit.saturating_sub(ranks.width() - 1).max(start)..unit;
            let column: f64 = others.map(|other| within(other, unit)).sum();
            left[k + 1] = left[k] + 2.0 * column + within(unit, unit);
        }
        for k in (0..length).rev() {
            let unit = start + k;
            let others = unit + 1..end.min(unit + ranks.width());
            let row: f64 = others.map(|other| within(unit, other)).sum();
            right[k] = right[k + 1] + 2.0 * row + within(unit, unit);
        }
        Self { start, end, left, right }
    }
}

/// Pairs of `length` units, in either order and with themselves, that a band of `width` holds.
fn area(length: usize, width: usize) -> f64 {
    let outside = length.saturating_sub(width);
    (length * length - outside * (outside + 1)) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Division, area, c99, c99_words, ranks};
    use crate::similarity::Band;

    fn band(n: usize, width: usize, value: impl Fn(usize, usize) -> f32) -> Band {
        let mut data = vec![0.0; n * width];
        for i in 0..n {
            for j in i..n.min(i + width) {
                data[i * width + j - i] = value(i, j);
            }
        }
        Band::new(data, width)
    }

    /// Values without order, equal ones among them.
    fn scattered(i: usize, j: usize) -> f32 {
        ((i * 7 + j * 13 + i * j) % 11) as f32 / 11.0
    }

    #[test]
    fn ranks_count_lower_neighbours() {
        let n = 9;
        let found = ranks(&band(n, n, scattered));
        for i in 0..n {
            for j in i..n {
                let near = |a: usize, b: usize| a.abs_diff(b) <= 5;
                let all: Vec<(usize, usize)> =
                    (0..n).flat_map(|y| (0..n).map(move |x| (y, x))).collect();
                let seen: Vec<f32> = all
                    .into_iter()
                    .filter(|&(y, x)| near(y, i) && near(x, j) && (y, x) != (i, j))
                    .map(|(y, x)| scattered(y.min(x), y.max(x)))
                    .collect();
                let lower = seen.iter().filter(|&&x| x < scattered(i, j)).count();
                let expected = lower as f32 / seen.len() as f32;
                assert!((found.similarity(i, j) - expected).abs() < 1e-6);
            }
        }
    }

    proptest! {
        #[test]
        fn every_split_is_the_densest(n in 2_usize..10, width in 1_usize..10, seed in 0_usize..50) {
            let ranks = band(n, width, |i, j| scattered(i + seed, j + 3 * seed));
            let mut cuts = vec![0, n];
            let mut division = Division::new(&ranks);
            let density = |cuts: &[usize]| {
                let (mut sum, mut count) = (0.0, 0_usize);
                for pair in cuts.windows(2) {
                    for i in pair[0]..pair[1] {
                        for j in pair[0]..pair[1] {
                            if i.abs_diff(j) < width {
                                sum += f64::from(ranks.similarity(i, j));
                                count += 1;
                            }
                        }
                    }
                }
                sum / count as f64
            };
            for _ in 1..n {
                let with = |gap: usize| {
                    let mut all = cuts.clone();
                    all.push(gap);
                    all.sort_unstable();
                    all
                };
                let best = (1..n).filter(|gap| !cuts.contains(gap))
                    .map(|gap| density(&with(gap))).fold(f64::MIN, f64::max);
                let gap = division.split().unwrap();
                prop_assert!(!cuts.contains(&gap));
                cuts = with(gap);
                prop_assert!((density(&cuts) - best).abs() < 1e-9);
                prop_assert!((division.density() - best).abs() < 1e-9);
            }
            prop_assert!(division.split().is_none());
        }
    }

    fn ends(lengths: &[usize]) -> Vec<usize> {
        let add = |end: &mut usize, length: &usize| {
            *end += length;
            Some(*end)
        };
        lengths.iter().scan(0, add).collect()
    }

    #[test]
    fn blocks_on_the_diagonal_are_found() {
        let blocks = |i: usize, j: usize| {
            let topic = |unit: usize| usize::from(unit >= 12) + usize::from(unit >= 21);
            let noise = ((i * i * 31 + j * j * 17 + i * j) % 101) as f32 / 250.0;
            if topic(i) == topic(j) { 0.5 + noise } else { 0.1 + noise }
        };
        for width in [36, 14] {
            // The threshold may let one more through, within a block.
            let found = ends(&c99(&band(36, width, blocks)));
            assert!([12, 21, 36].iter().all(|end| found.contains(end)), "{found:?}");
            assert!(found.len() <= 4, "{found:?}");
        }
        assert!(c99(&band(0, 1, blocks)).is_empty());
        assert_eq!(c99(&band(1, 1, blocks)), [1]);
    }

    #[test]
    fn a_change_of_words_is_found() {
        let topics = ["river water boat fish stream flows", "engine piston valve fuel gear motor"];
        let unit = |index: usize| {
            let words: Vec<&str> = topics[index / 12].split(' ').collect();
            (0..3).map(|i| words[(i * i + 5 * index) % 6]).collect::<Vec<_>>().join(" ")
        };
        let units: Vec<String> = (0..24).map(unit).collect();
        let units: Vec<&str> = units.iter().map(String::as_str).collect();
        let found = ends(&c99_words(&units));
        assert_eq!(found.last(), Some(&24));
        assert!(found.contains(&12) && found.len() <= 4, "{found:?}");
    }

    #[test]
    fn areas_are_counted() {
        for (length, width) in [(5, 9), (5, 5), (7, 3), (1, 1), (4, 1)] {
            let count = (0..length)
                .flat_map(|i| (0..length).map(move |j| i.max(j) - i.min(j)))
                .filter(|&d| d < width)
                .count();
            assert!((area(length, width) - count as f64).abs() < 1e-9);
        }
    }
}
