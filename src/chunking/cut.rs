//! From a band and units to cuts, by whichever method a specification names.

use super::count::{at_elbow, calibrated_penalty, scaled_penalty, with_count, with_mean_size};
use super::curve::{cosines, peaks, scores, smooth};
use super::pack::{merge_short, pack, split_long};
use super::threshold::above;
use super::{ChunkSpec, Gap, Method, Problem, Segments, Unit};
use crate::compute::{Objective, SegmentRule};
use crate::similarity::{Band, BlockSums};

/// Units of a shuffled document at most: what chance cuts is seen from as many.
const MAX_SHUFFLED: usize = 2_048;

/// Where a document is cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Cuts {
    /// The end of each segment, in units.
    pub ends: Vec<usize>,
    /// Of each gap between units how far the topic moves: one minus the cosine of up to
    /// `spec.window` units on either side, from 0 to 2. Empty without a band.
    pub curve: Vec<f32>,
    /// The band that both were read from; of no rows for methods that need none.
    pub band: Band,
}

/// Units of a document, with what a cut costs.
struct Document<'a> {
    spec: &'a ChunkSpec,
    tokens: Vec<usize>,
    /// Whether a cut before the unit is forbidden.
    joined: Vec<bool>,
    bonuses: Vec<f32>,
    special_tokens: usize,
}

/// Cuts `units` as `spec` says. `band` has one row a unit and is at least `max_units` and twice
/// `window` wide, or as wide as there are units. `shuffled` gives the band of the units in another
/// order; only calibration asks for it.
///
/// # Errors
/// Those of `shuffled`.
pub fn cut<E>(
    spec: &ChunkSpec,
    units: &[Unit],
    special_tokens: usize,
    band: Band,
    shuffled: impl FnMut(&[usize]) -> Result<Band, E>,
) -> Result<Cuts, E> {
    let document = Document {
        spec,
        tokens: units.iter().map(|unit| unit.tokens.len()).collect(),
        joined: units.iter().map(|unit| unit.gap == Gap::Joined).collect(),
        bonuses: units.iter().map(|unit| bonus(unit.gap, spec.break_bonus)).collect(),
        special_tokens,
    };
    let sums = BlockSums::new(&band);
    let cosines = cosines(&band, &sums, spec.window);
    let ends = match spec.method {
        Method::Fixed => pack(&document.tokens, None, document.room(spec.max_tokens)),
        Method::Recursive | Method::Sentence => {
            pack(&document.tokens, Some(&document.joined), document.room(spec.target_tokens))
        }
        Method::Window => document.cut_peaks(&cosines),
        Method::Kcpd => document.optimum(&sums, Objective::Kcpd, shuffled)?,
        Method::Cvs => document.optimum(&sums, Objective::Cvs, shuffled)?,
        Method::Cluster => {
            let objective = Objective::Cluster { mean: band.mean_of_pairs() };
            document.optimum(&BlockSums::of_pairs(&band), objective, shuffled)?
        }
    };
    let curve = cosines.iter().map(|cosine| 1.0 - cosine).collect();
    Ok(Cuts { ends, curve, band })
}

/// What a cut in this gap gains.
fn bonus(gap: Gap, break_bonus: f64) -> f32 {
    match gap {
        Gap::Joined => f32::NEG_INFINITY,
        Gap::Piece | Gap::Sentence => 0.0,
        Gap::Line | Gap::Paragraph | Gap::Heading => break_bonus as f32,
    }
}

impl Document<'_> {
    /// Tokens of units that a chunk of `tokens` has room for, beside what it repeats.
    fn room(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.special_tokens + self.spec.overlap_tokens).max(1)
    }

    fn rule(&self, objective: Objective) -> SegmentRule {
        let spec = self.spec;
        SegmentRule {
            objective,
            penalty: 0.0,
            size_weight: spec.size_weight,
            target_tokens: spec.target_tokens,
            max_tokens: spec.max_tokens - spec.overlap_tokens,
            min_tokens: spec.min_tokens,
            special_tokens: self.special_tokens,
        }
    }

    /// The exact optimum with as many segments as the specification says.
    fn optimum<E>(
        &self,
        sums: &BlockSums,
        objective: Objective,
        shuffled: impl FnMut(&[usize]) -> Result<Band, E>,
    ) -> Result<Vec<usize>, E> {
        let spec = self.spec;
        let rule = self.rule(objective);
        let problem = Problem { sums, tokens: &self.tokens, bonuses: &self.bonuses, rule };
        let scaled = scaled_penalty(spec.penalty, self.tokens.len());
        Ok(match spec.segments {
            Segments::Count(count) => with_count(&problem, count),
            Segments::Target => with_mean_size(&problem, spec.target_tokens),
            Segments::Penalty | Segments::Threshold => problem.solve(scaled).ends,
            Segments::Elbow => at_elbow(&problem),
            Segments::Calibrated => problem.solve(self.calibrate(rule, shuffled)?).ends,
        })
    }

    /// The least penalty that cuts the same units in random order rarely.
    fn calibrate<E>(
        &self,
        rule: SegmentRule,
        mut shuffled: impl FnMut(&[usize]) -> Result<Band, E>,
    ) -> Result<f64, E> {
        let mut random = SplitMix64(self.spec.seed);
        let mut documents = Vec::new();
        for _ in 0..self.spec.shuffles {
            let mut order: Vec<usize> = (0..self.tokens.len()).collect();
            random.shuffle(&mut order);
            order.truncate(MAX_SHUFFLED);
            let band = shuffled(&order)?;
            let (sums, rule) = match rule.objective {
                Objective::Cluster { .. } => {
                    let objective = Objective::Cluster { mean: band.mean_of_pairs() };
                    (BlockSums::of_pairs(&band), SegmentRule { objective, ..rule })
                }
                _ => (BlockSums::new(&band), rule),
            };
            let tokens: Vec<usize> = order.iter().map(|&unit| self.tokens[unit]).collect();
            documents.push((sums, tokens, vec![0.0; order.len()], rule));
        }
        let problems: Vec<Problem<'_>> = documents
            .iter()
            .map(|(sums, tokens, bonuses, rule)| Problem { sums, tokens, bonuses, rule: *rule })
            .collect();
        Ok(calibrated_penalty(&problems, self.spec.false_cuts))
    }

    /// Peaks of the curve, as many as the specification says, then the limits.
    fn cut_peaks(&self, cosines: &[f32]) -> Vec<usize> {
        let spec = self.spec;
        let units = self.tokens.len();
        if units == 0 {
            return Vec::new();
        }
        let mut scores = scores(&smooth(cosines, spec.smoothing, spec.smoothing_width), spec.score);
        for (score, &joined) in scores.iter_mut().zip(&self.joined[1..]) {
            *score = if joined { f32::NEG_INFINITY } else { *score };
        }
        let allowed = |gap: &usize| scores[*gap] > f32::NEG_INFINITY;
        let peaks = peaks(&scores, spec.peak_distance);
        let gaps: Vec<usize> = match spec.segments {
            Segments::Count(count) => self.most_wanted(&scores, &peaks, count),
            Segments::Target => {
                let room = self.room(spec.target_tokens);
                let total: usize = self.tokens.iter().sum();
                self.most_wanted(&scores, &peaks, (total + room / 2) / room)
            }
            _ => {
                let above = above(&scores, spec.threshold, spec.threshold_value);
                peaks.into_iter().filter(|gap| above[*gap]).collect()
            }
        };
        let mut ends: Vec<usize> = gaps.into_iter().filter(allowed).map(|gap| gap + 1).collect();
        ends.push(units);
        ends.sort_unstable();
        let limit = self.room(spec.max_tokens);
        let ends = split_long(&ends, &self.tokens, &scores, limit);
        let least = spec.min_tokens.saturating_sub(self.special_tokens);
        merge_short(ends, &self.tokens, &scores, least, limit)
    }

    /// The `count - 1` highest peaks, and where there are too few the highest gaps beside them.
    fn most_wanted(&self, scores: &[f32], peaks: &[usize], count: usize) -> Vec<usize> {
        let mut gaps = peaks.to_vec();
        let mut rest: Vec<usize> = (0..scores.len()).filter(|gap| !peaks.contains(gap)).collect();
        rest.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        gaps.extend(rest);
        gaps.truncate(count.saturating_sub(1));
        gaps
    }
}

/// Vigna's generator: seeds that differ by one give sequences that have nothing in common.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            // A bias of 2^-64 times the length is nothing to a calibration.
            let other = (u128::from(self.next()) * (last as u128 + 1)) >> 64;
            order.swap(last, other as usize);
        }
    }
}
