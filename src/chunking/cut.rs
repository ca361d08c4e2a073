//! From a band and units to cuts, by whichever method a specification names.

use std::borrow::Cow;

use super::count::{at_elbow, calibrated_penalty, scaled_penalty, with_count, with_mean_size};
use super::curve::{cosines, peaks, scores, smooth};
use super::pack::{merge_short, pack, split_long};
use super::random::SplitMix64;
use super::threshold::above;
use super::{ChunkSpec, Gap, Method, Objective, Problem, SegmentRule, Segments, Unit};
use crate::similarity::{Band, BlockSums};

/// Units of a shuffled document at most: what chance cuts is seen from as many.
const MAX_SHUFFLED: usize = 2_048;
/// Block sums of all shuffled documents at most, in f32: 128 MiB.
const MAX_SHUFFLED_SUMS: usize = 1 << 25;

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

/// Units of a document, and how they are cut.
struct Document<'a> {
    spec: &'a ChunkSpec,
    units: &'a [Unit],
    /// Of each unit.
    tokens: Vec<usize>,
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
    let tokens = units.iter().map(|unit| unit.tokens.len()).collect();
    let document = Document { spec, units, tokens, special_tokens };
    let sums = BlockSums::new(&band);
    let cosines = cosines(&band, &sums, spec.window);
    let ends = match spec.method {
        Method::Fixed | Method::Recursive | Method::Sentence => document.packed(),
        Method::Window => document.cut_peaks(&cosines),
        Method::Kcpd | Method::Cvs | Method::Cluster => document.optimum(&band, &sums, shuffled)?,
    };
    let curve = cosines.iter().map(|cosine| 1.0 - cosine).collect();
    Ok(Cuts { ends, curve, band })
}

impl Document<'_> {
    /// Tokens of units that a chunk of `tokens` has room for, beside what it repeats.
    fn room(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.special_tokens + self.spec.overlap_tokens).max(1)
    }

    /// Whether a cut before each unit is forbidden. A run of joined units that no segment has room
    /// for is opened where the next one would not fit.
    fn joined(&self) -> Vec<bool> {
        let room = self.room(self.spec.max_tokens);
        // Units and tokens of the run.
        let (mut run, mut size) = (0, 0);
        let joins = |(unit, &own): (&Unit, &usize)| {
            let joins = unit.gap == Gap::Joined && run < self.spec.max_units && size + own <= room;
            (run, size) = if joins { (run + 1, size + own) } else { (1, own) };
            joins
        };
        self.units.iter().zip(&self.tokens).map(joins).collect()
    }

    /// Units packed full, then a last segment that is too short joined to the one before.
    fn packed(&self) -> Vec<usize> {
        let spec = self.spec;
        let joined = match spec.method {
            Method::Fixed => vec![false; self.units.len()],
            _ => self.joined(),
        };
        let ends = pack(&self.tokens, &joined, self.room(spec.target_tokens));
        let scores = vec![0.0; self.units.len().saturating_sub(1)];
        self.merged(&ends, &scores)
    }

    /// Segments of `ends`, those below `min_tokens` joined to a neighbour where `max_tokens` allow
    /// it.
    fn merged(&self, ends: &[usize], scores: &[f32]) -> Vec<usize> {
        let least = self.spec.min_tokens.saturating_sub(self.special_tokens);
        merge_short(ends, &self.tokens, scores, least, self.room(self.spec.max_tokens))
    }

    /// What segments cost by the objective of the specification, and the sums that it reads, which
    /// may be `whole`, those of the band.
    fn costs<'s>(
        &self,
        band: &Band,
        whole: Option<&'s BlockSums>,
    ) -> (Cow<'s, BlockSums>, SegmentRule) {
        let spec = self.spec;
        let band = narrowed(band, spec.max_units);
        let objective = match spec.method {
            Method::Kcpd => Objective::Kcpd,
            Method::Cluster => Objective::Cluster { mean: band.mean_of_pairs() },
            _ => Objective::Cvs,
        };
        let sums = match (objective, whole) {
            (Objective::Cluster { .. }, _) => Cow::Owned(BlockSums::of_pairs(&band)),
            (_, Some(whole)) if whole.width() == band.width() => Cow::Borrowed(whole),
            _ => Cow::Owned(BlockSums::new(&band)),
        };
        let rule = SegmentRule {
            objective,
            penalty: 0.0,
            size_weight: spec.size_weight,
            target_tokens: spec.target_tokens - spec.overlap_tokens,
            max_tokens: spec.max_tokens - spec.overlap_tokens,
            min_tokens: spec.min_tokens,
            special_tokens: self.special_tokens,
        };
        (sums, rule)
    }

    /// What a cut before each unit gains; minus infinity forbids it.
    fn bonuses(&self) -> Vec<f32> {
        let bonus = |(unit, joined): (&Unit, bool)| match unit.gap {
            _ if joined => f32::NEG_INFINITY,
            Gap::Piece | Gap::Sentence => 0.0,
            Gap::Joined | Gap::Line | Gap::Paragraph | Gap::Heading => self.spec.break_bonus as f32,
        };
        self.units.iter().zip(self.joined()).map(bonus).collect()
    }

    /// The exact optimum with as many segments as the specification says.
    fn optimum<E>(
        &self,
        band: &Band,
        sums: &BlockSums,
        shuffled: impl FnMut(&[usize]) -> Result<Band, E>,
    ) -> Result<Vec<usize>, E> {
        let spec = self.spec;
        let ((sums, rule), bonuses) = (self.costs(band, Some(sums)), self.bonuses());
        let problem = Problem { sums: &sums, tokens: &self.tokens, bonuses: &bonuses, rule };
        let scaled = scaled_penalty(spec.penalty, self.tokens.len());
        Ok(match spec.segments {
            Segments::Count(count) => with_count(&problem, count),
            Segments::Target => with_mean_size(&problem, rule.target_tokens),
            Segments::Penalty | Segments::Threshold => problem.solve(scaled).ends,
            Segments::Elbow => at_elbow(&problem),
            Segments::Calibrated => problem.solve(self.calibrate(shuffled)?).ends,
        })
    }

    /// The least penalty that cuts the same units in random order rarely.
    fn calibrate<E>(
        &self,
        mut shuffled: impl FnMut(&[usize]) -> Result<Band, E>,
    ) -> Result<f64, E> {
        let mut random = SplitMix64(self.spec.seed);
        let mut documents = Vec::new();
        let most = MAX_SHUFFLED_SUMS / (self.spec.shuffles * self.spec.max_units);
        for _ in 0..self.spec.shuffles {
            let mut order: Vec<usize> = (0..self.tokens.len()).collect();
            random.shuffle(&mut order);
            order.truncate(MAX_SHUFFLED.min(most));
            let (sums, rule) = self.costs(&shuffled(&order)?, None);
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
        if self.tokens.is_empty() {
            return Vec::new();
        }
        let mut scores = scores(&smooth(cosines, spec.smoothing, spec.smoothing_width), spec.score);
        for (score, joined) in scores.iter_mut().zip(self.joined().into_iter().skip(1)) {
            *score = if joined { f32::NEG_INFINITY } else { *score };
        }
        let peaks = peaks(&scores, spec.peak_distance);
        let ranked = ranked(&scores, &peaks);
        let wanted = |count: usize| {
            self.limited(&ranked[..count.saturating_sub(1).min(ranked.len())], &scores)
        };
        match spec.segments {
            Segments::Count(count) => wanted(count),
            Segments::Target => {
                let room = self.room(spec.target_tokens);
                let total: usize = self.tokens.iter().sum();
                let most = (total + room / 2) / room;
                // Limits cut too: of so many peaks that all cuts together are the number.
                let (mut few, mut many) = (1, ranked.len() + 2);
                while few + 1 < many {
                    let count = few.midpoint(many);
                    if wanted(count).len() <= most { few = count } else { many = count }
                }
                wanted(few)
            }
            _ => {
                let above = above(&scores, spec.threshold, spec.threshold_value);
                let peaks: Vec<usize> = peaks.into_iter().filter(|gap| above[*gap]).collect();
                self.limited(&peaks, &scores)
            }
        }
    }

    /// The ends of segments cut in `gaps` and wherever else the limits need it.
    fn limited(&self, gaps: &[usize], scores: &[f32]) -> Vec<usize> {
        let mut ends: Vec<usize> = gaps.iter().map(|gap| gap + 1).collect();
        ends.push(self.tokens.len());
        ends.sort_unstable();
        let ends = split_long(&ends, &self.tokens, scores, self.room(self.spec.max_tokens));
        self.merged(&ends, scores)
    }
}

/// The peaks, the highest first, then the other gaps; none that no cut is allowed in.
fn ranked(scores: &[f32], peaks: &[usize]) -> Vec<usize> {
    let mut is_peak = vec![false; scores.len()];
    for &gap in peaks {
        is_peak[gap] = true;
    }
    let allowed = (0..scores.len()).filter(|&gap| scores[gap] > f32::NEG_INFINITY);
    let mut gaps: Vec<usize> = allowed.collect();
    gaps.sort_by(|&a, &b| {
        let peaks_first = is_peak[b].cmp(&is_peak[a]);
        peaks_first.then(scores[b].total_cmp(&scores[a])).then(a.cmp(&b))
    });
    gaps
}

/// A band with at most `width` neighbours of each row.
fn narrowed(band: &Band, width: usize) -> Cow<'_, Band> {
    if band.width() <= width {
        return Cow::Borrowed(band);
    }
    let rows = band.values().chunks_exact(band.width());
    Cow::Owned(Band::new(rows.flat_map(|row| &row[..width]).copied().collect(), width))
}
