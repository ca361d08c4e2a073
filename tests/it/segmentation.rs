//! Segmentations are the exact optimum under their limits: against every other one of a small
//! document, in the order in which costs are added and in f64 from the vectors.

use std::collections::BTreeMap;
use std::ops::Range;

use chunkflow::chunking::{
    Objective, Problem, SHORT_COST, SegmentRule, at_elbow, calibrated_penalty, scaled_penalty,
    with_count, with_mean_size,
};
use chunkflow::similarity::{Band, BlockSums};
use proptest::prelude::*;

use crate::support::naive;
use crate::support::random_model::SplitMix64;

/// What vectors look like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Vectors {
    /// Of length one, around a topic that changes.
    Topics,
    /// Of -1, 0 and 1: every sum is exact and many costs are equal.
    Whole,
}

/// By first unit and number of units.
type Table = Vec<Vec<Option<f64>>>;

/// A document's units, and what its segments cost.
#[derive(Debug, Clone)]
struct Case {
    dim: usize,
    /// `[units, dim]`.
    rows: Vec<f32>,
    width: usize,
    tokens: Vec<usize>,
    bonuses: Vec<f32>,
    rule: SegmentRule,
}

impl Case {
    /// One of many, with every objective and limit among them.
    fn random(seed: u64, n: usize) -> Self {
        let mut random = SplitMix64::new(seed);
        let vectors = random.choose(&[Vectors::Topics, Vectors::Topics, Vectors::Whole]);
        let forbidden = random.choose(&[0.5, f32::NEG_INFINITY]);
        let bonuses = [0.0, 0.0, 0.3, -0.5, forbidden];
        let objective = [Objective::Kcpd, Objective::Cvs, Objective::Cluster { mean: 0.25 }];
        Self {
            dim: 8,
            rows: rows(&mut random, vectors, n),
            width: 1 + random.below(n + 2),
            tokens: (0..n).map(|_| random.below(40)).collect(),
            bonuses: (0..n).map(|_| random.choose(&bonuses)).collect(),
            rule: SegmentRule {
                objective: random.choose(&objective),
                penalty: 0.0,
                size_weight: random.choose(&[0.0, 0.0, 0.3, 1.0]),
                target_tokens: 10 + random.below(50),
                max_tokens: random.choose(&[30, 60, usize::MAX]),
                min_tokens: random.choose(&[0, 0, 0, 12, 25]),
                special_tokens: random.choose(&[0, 2]),
            },
        }
    }

    fn units(&self) -> usize {
        self.tokens.len()
    }

    fn sums(&self) -> BlockSums {
        let gram = naive::gram(&self.rows, self.dim, self.width);
        let band = Band::new(gram.into_iter().map(|x| x as f32).collect(), self.width);
        match self.rule.objective {
            Objective::Cluster { .. } => BlockSums::of_pairs(&band),
            Objective::Kcpd | Objective::Cvs => BlockSums::new(&band),
        }
    }

    fn problem<'a>(&'a self, sums: &'a BlockSums) -> Problem<'a> {
        Problem { sums, tokens: &self.tokens, bonuses: &self.bonuses, rule: self.rule }
    }

    fn size(&self, segment: &Range<usize>) -> usize {
        self.tokens[segment.clone()].iter().sum::<usize>() + self.rule.special_tokens
    }

    fn is_allowed(&self, segment: &Range<usize>) -> bool {
        segment.len() == 1
            || (segment.len() <= self.width && self.size(segment) <= self.rule.max_tokens)
    }

    /// What a segment of units that sum to `sum` adds to `cost`, in the order of the programme;
    /// infinite where it is not allowed.
    fn extend(&self, cost: f64, penalty: f64, segment: &Range<usize>, sum: Option<f64>) -> f64 {
        let Some(sum) = sum else { return f64::INFINITY };
        let (rule, first) = (&self.rule, segment.start);
        let is_cut = first > 0;
        let before = if is_cut { cost + penalty - f64::from(self.bonuses[first]) } else { cost };
        let units = segment.len() as f64;
        let mut cost = match rule.objective {
            Objective::Kcpd => before + units - sum / units,
            Objective::Cvs => before + units - sum.max(0.0).sqrt(),
            Objective::Cluster { mean } => before + mean * (units * (units - 1.0)) - sum,
        };
        if rule.size_weight != 0.0 {
            let deviation = self.size(segment) as f64 / rule.target_tokens as f64 - 1.0;
            cost += rule.size_weight * deviation * deviation;
        }
        if self.size(segment) < rule.min_tokens {
            cost += SHORT_COST;
        }
        cost
    }

    /// Sums of all segments that are allowed, by their first unit and number of units.
    fn table(&self, sum: impl Fn(Range<usize>) -> f64) -> Table {
        let n = self.units();
        let sum = |segment: Range<usize>| self.is_allowed(&segment).then(|| sum(segment));
        (0..n).map(|a| (a + 1..=n).map(|b| sum(a..b)).collect()).collect()
    }

    /// As the programme has them.
    fn given(&self, sums: &BlockSums) -> Table {
        let cvs = matches!(self.rule.objective, Objective::Cvs);
        self.table(|segment| {
            let sum = sums.from(segment.start)[segment.len() - 1];
            // The root is taken in f32, of which f64 has the same square.
            if cvs { f64::from(sum.max(0.0).sqrt()).powi(2) } else { f64::from(sum) }
        })
    }

    /// In f64 from the vectors.
    fn exact(&self) -> Table {
        let pairs = matches!(self.rule.objective, Objective::Cluster { .. });
        self.table(|segment| {
            let rows = &self.rows[segment.start * self.dim..segment.end * self.dim];
            let sum = |column: usize| rows.iter().skip(column).step_by(self.dim).copied();
            let whole: f64 =
                (0..self.dim).map(|c| sum(c).map(f64::from).sum::<f64>().powi(2)).sum();
            let own: f64 = rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            if pairs { whole - own } else { whole }
        })
    }

    /// The cost of the segments that end at `ends`, without penalties.
    fn cost(&self, table: &Table, ends: &[usize]) -> f64 {
        let starts = std::iter::once(&0).chain(ends);
        starts
            .zip(ends)
            .fold(0.0, |cost, (&a, &b)| self.extend(cost, 0.0, &(a..b), table[a][b - a - 1]))
    }

    /// Segments below the least size.
    fn count_short(&self, ends: &[usize]) -> usize {
        let segments = std::iter::once(&0).chain(ends).zip(ends);
        segments.filter(|&(&a, &b)| self.size(&(a..b)) < self.rule.min_tokens).count()
    }

    /// The least cost of the first `end` units over every segmentation into `count` segments, or
    /// any number of them, and the ends; infinite and none where nothing is allowed. Of equal
    /// costs the one whose last segment starts first.
    fn least(
        &self,
        table: &Table,
        penalty: f64,
        end: usize,
        count: Option<usize>,
    ) -> (f64, Vec<usize>) {
        let mut best = (f64::INFINITY, 0);
        for cuts in 0..1_u32 << (end - 1) {
            if count.is_some_and(|count| cuts.count_ones() as usize + 1 != count) {
                continue;
            }
            let (mut cost, mut start) = (0.0, 0);
            for b in (1..=end).filter(|&b| b == end || cuts >> (b - 1) & 1 == 1) {
                cost = self.extend(cost, penalty, &(start..b), table[start][b - start - 1]);
                start = if b == end { start } else { b };
            }
            if cost.total_cmp(&best.0).then(start.cmp(&best.1)).is_lt() {
                best = (cost, start);
            }
        }
        let (cost, start) = best;
        if cost.is_infinite() {
            return (cost, Vec::new());
        }
        let mut ends = match start {
            0 => Vec::new(),
            _ => self.least(table, penalty, start, count.map(|count| count - 1)).1,
        };
        ends.push(end);
        (cost, ends)
    }

    /// Whether segments partition the units and are within the hard limits.
    #[track_caller]
    fn check_limits(&self, ends: &[usize]) {
        assert_eq!(ends.last().copied().unwrap_or(0), self.units());
        for (&a, &b) in std::iter::once(&0).chain(ends).zip(ends) {
            assert!(a < b && self.is_allowed(&(a..b)), "{ends:?} of {self:?}");
        }
    }
}

/// `[n, 8]`.
fn rows(random: &mut SplitMix64, vectors: Vectors, n: usize) -> Vec<f32> {
    const DIM: usize = 8;
    if vectors == Vectors::Whole {
        // Three columns of eight: equal and opposite units are common.
        let whole = |random: &mut SplitMix64| random.choose(&[-1.0, 0.0, 0.0, 1.0]);
        return (0..n * DIM).map(|at| if at % DIM < 3 { whole(random) } else { 0.0 }).collect();
    }
    let mut rows = Vec::new();
    let mut topic = random.values(DIM, 1.0);
    for _ in 0..n {
        if random.below(4) == 0 {
            topic = random.values(DIM, 1.0);
        }
        let noise = random.values(DIM, 0.8);
        let row: Vec<f64> = topic.iter().zip(noise).map(|(x, y)| f64::from(x + y)).collect();
        rows.extend(naive::normalize(&row).into_iter().map(|x| x as f32));
    }
    rows
}

/// Equal to rounding, or both the cost of the impossible.
fn close(x: f64, y: f64, limit: f64) -> bool {
    (x.is_infinite() && y.is_infinite()) || (x - y).abs() <= limit
}

#[test]
fn no_segmentation_is_better_and_the_first_of_equal_ones_is_found() {
    let mut infeasible = 0;
    for seed in 0..5_000 {
        let mut random = SplitMix64::new(seed ^ 0xface);
        let case = Case::random(seed, 1 + random.below(12));
        let penalty = random.choose(&[0.0, 0.05, 0.25, 1.0, -0.1]);
        let (n, sums) = (case.units(), case.sums());
        let found = case.problem(&sums).solve(penalty);
        case.check_limits(&found.ends);
        // In f64 from the vectors.
        let (least, _) = case.least(&case.exact(), penalty, n, None);
        let what = format!("seed {seed}: {found:?}");
        assert!(close(found.costs[n], least, 1e-6 * n as f64), "{what}, {least}");
        // From the same sums in the same order.
        let table = case.given(&sums);
        let (least, ends) = case.least(&table, penalty, n, None);
        if least.is_finite() {
            assert_eq!(found.ends, ends, "{what}");
            assert!(close(found.costs[n], least, 1e-12 * least.abs().max(1.0)), "{what}, {least}");
        } else {
            infeasible += 1;
        }
    }
    // Forbidden cuts are to matter, but not to be all there is.
    assert!((100..1_000).contains(&infeasible), "{infeasible}");
}

#[test]
fn the_costs_of_all_beginnings_are_least() {
    for seed in 0..300 {
        let case = Case::random(seed, 10);
        let sums = case.sums();
        let (found, table) = (case.problem(&sums).solve(0.2), case.exact());
        assert_eq!((found.costs.len(), found.costs[0]), (11, 0.0));
        for end in 1..=10 {
            let (least, _) = case.least(&table, 0.2, end, None);
            assert!(close(found.costs[end], least, 1e-5), "seed {seed}, {end} units");
        }
    }
}

#[test]
fn as_many_segments_as_asked_for_or_the_nearest_that_limits_allow() {
    let mut moved = 0;
    for seed in 0..600 {
        let mut random = SplitMix64::new(seed ^ 0xbead);
        let case = Case::random(seed, 1 + random.below(10));
        let (n, sums) = (case.units(), case.sums());
        let table = case.given(&sums);
        let every: Vec<(f64, Vec<usize>)> =
            (1..=n).map(|count| case.least(&table, 0.0, n, Some(count))).collect();
        for count in 0..=n + 1 {
            let found = case.problem(&sums).solve_count(count).unwrap();
            case.check_limits(&found);
            let feasible = (1..=n).filter(|count| every[count - 1].0.is_finite());
            // The greater of two that are equally near.
            let nearest = feasible.min_by_key(|other| (other.abs_diff(count), n - other));
            let Some(nearest) = nearest else { continue };
            assert_eq!(found, every[nearest - 1].1, "seed {seed}, {count} segments");
            moved += usize::from(nearest != count.clamp(1, n));
        }
    }
    assert!(moved > 100, "{moved}");
}

#[test]
fn a_count_that_takes_too_much_memory_is_left_to_penalties() {
    let n = 100_000;
    let sums = BlockSums::new(&Band::new(vec![1.0; n], 1));
    let rule = SegmentRule { size_weight: 1.0, ..Case::random(0, 1).rule };
    let (tokens, bonuses) = (vec![5; n], vec![0.0; n]);
    let problem = Problem { sums: &sums, tokens: &tokens, bonuses: &bonuses, rule };
    assert_eq!(problem.solve_count(700), None);
    // One unit a segment is all that a band of width 1 allows.
    assert_eq!(with_count(&problem, 700).len(), n);
}

#[test]
fn without_units_there_is_no_segment() {
    let sums = BlockSums::new(&Band::new(Vec::new(), 4));
    let rule = Case::random(0, 1).rule;
    let problem = Problem { sums: &sums, tokens: &[], bonuses: &[], rule };
    assert_eq!((problem.solve(1.0).ends, problem.solve(1.0).costs), (Vec::new(), vec![0.0]));
    assert_eq!(problem.solve_count(3), Some(Vec::new()));
    assert!(with_count(&problem, 3).is_empty() && with_mean_size(&problem, 3).is_empty());
    assert!(at_elbow(&problem).is_empty());
    assert_eq!(calibrated_penalty(&[problem], 0.1).to_bits(), 0);
    assert_eq!(calibrated_penalty(&[], 0.1).to_bits(), 0);
}

/// Numbers of segments of least cost for some penalty, each with its cost without penalties: the
/// lower convex hull of costs by number.
fn hull(case: &Case, table: &Table) -> Vec<(f64, f64)> {
    let n = case.units();
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for count in 1..=n {
        let (cost, _) = case.least(table, 0.0, n, Some(count));
        if cost.is_infinite() {
            continue;
        }
        let count = count as f64;
        // One on or above the line from the one before to the new one, to rounding, is none.
        while let [.., (k0, c0), (k1, c1)] = hull[..]
            && (c1 - c0) * (count - k0) > (cost - c0) * (k1 - k0) - 1e-9
        {
            hull.pop();
        }
        hull.push((count, cost));
    }
    hull
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn more_penalty_never_gives_more_segments(
        seed in any::<u64>(),
        n in 1_usize..120,
        penalties in prop::collection::vec(-2.0_f64..3.0, 2..12),
    ) {
        let case = Case { width: 12, ..Case::random(seed, n) };
        let sums = case.sums();
        let mut penalties = penalties;
        penalties.sort_by(f64::total_cmp);
        let counts: Vec<usize> = penalties
            .iter()
            .map(|&penalty| case.problem(&sums).solve(penalty).ends.len())
            .collect();
        prop_assert!(counts.is_sorted_by(|more, fewer| more >= fewer), "{penalties:?} {counts:?}");
    }

    #[test]
    fn the_mean_size_is_as_near_as_that_of_any_penalty(
        seed in any::<u64>(),
        n in 1_usize..11,
        target in 1_usize..120,
    ) {
        let case = Case::random(seed, n);
        let sums = case.sums();
        let total = case.tokens.iter().sum::<usize>() as f64;
        let special = case.rule.special_tokens as f64;
        let off = |segments: f64| (total / segments + special - target as f64).abs();
        let problem = case.problem(&sums);
        let found = with_mean_size(&problem, target);
        case.check_limits(&found);
        prop_assert_eq!(case.count_short(&found), case.count_short(&problem.solve(0.0).ends));
        let hull = hull(&case, &case.given(&sums));
        let least = hull.iter().map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
        // No penalty makes segments shorter than need be.
        for (count, _) in hull.into_iter().filter(|(_, cost)| *cost < least + SHORT_COST / 2.0) {
            prop_assert!(off(found.len() as f64) <= off(count) + 1e-9, "{found:?}, not {count}");
        }
    }

    #[test]
    fn the_elbow_is_farthest_below_the_line_from_fewest_to_most(
        seed in any::<u64>(),
        n in 1_usize..11,
    ) {
        let case = Case::random(seed, n);
        let sums = case.sums();
        let found = at_elbow(&case.problem(&sums));
        case.check_limits(&found);
        // Of those that a penalty from 0 on gives.
        let table = case.given(&sums);
        let hull = hull(&case, &table);
        let least = hull.iter().map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
        let last = hull.iter().position(|(_, cost)| *cost < least + 1e-9);
        let path = &hull[..last.map_or(0, |last| last + 1)];
        let ([first, _, ..], [.., last]) = (path, path) else { return Ok(()) };
        let below = |(count, cost): (f64, f64)| {
            (first.1 - cost) / (first.1 - last.1) - (count - first.0) / (last.0 - first.0)
        };
        let farthest = path.iter().copied().map(below).fold(0.0, f64::max);
        let found = (found.len() as f64, case.cost(&table, &found));
        prop_assert!(below(found) > farthest - 1e-6, "{found:?} of {path:?}");
    }
}

/// Units of three topics, four each, and within a topic nearly alike.
fn three_topics() -> Case {
    let mut random = SplitMix64::new(7);
    let mut rows = Vec::new();
    for unit in 0..12 {
        let noise = random.values(8, 0.1);
        let row: Vec<f64> = (0..8)
            .map(|column| f64::from(noise[column]) + if column == unit / 4 { 1.0 } else { 0.0 })
            .collect();
        rows.extend(naive::normalize(&row).into_iter().map(|x| x as f32));
    }
    let rule = SegmentRule {
        objective: Objective::Kcpd,
        penalty: 0.0,
        size_weight: 0.0,
        target_tokens: 40,
        max_tokens: usize::MAX,
        min_tokens: 0,
        special_tokens: 0,
    };
    Case { dim: 8, rows, width: 12, tokens: vec![10; 12], bonuses: vec![0.0; 12], rule }
}

#[test]
fn the_elbow_of_three_topics_is_their_changes() {
    for objective in [Objective::Kcpd, Objective::Cvs] {
        let mut case = three_topics();
        case.rule.objective = objective;
        let sums = case.sums();
        assert_eq!(at_elbow(&case.problem(&sums)), [4, 8, 12], "{objective:?}");
    }
}

#[test]
fn a_calibrated_penalty_cuts_as_rarely_as_allowed_and_no_rarer() {
    for seed in 0..40 {
        let mut random = SplitMix64::new(seed);
        let cases: Vec<Case> = (0..6)
            .map(|shuffle| {
                let mut case = Case { width: 30, ..Case::random(100 * seed + shuffle, 60) };
                case.rule = SegmentRule { max_tokens: usize::MAX, ..Case::random(seed, 1).rule };
                case.bonuses.fill(0.0);
                case.rows = rows(&mut random, Vectors::Topics, 60);
                case
            })
            .collect();
        let sums: Vec<BlockSums> = cases.iter().map(Case::sums).collect();
        let problems: Vec<Problem<'_>> =
            cases.iter().zip(&sums).map(|(case, sums)| case.problem(sums)).collect();
        let cuts = |penalty: f64| -> usize {
            problems.iter().map(|problem| problem.solve(penalty).ends.len() - 1).sum()
        };
        for share in [0.04, 0.1, 0.3, 1.0] {
            // Sixty units in segments of thirty at most are cut at any penalty.
            let allowed = cuts(1e9) as f64 + share * (6.0 * 59.0);
            let found = calibrated_penalty(&problems, share);
            assert!(cuts(found) as f64 <= allowed, "seed {seed}, {share}: {found}");
            let lower = found * (1.0 - 2e-3);
            assert!(found == 0.0 || cuts(lower) as f64 > allowed, "seed {seed}, {share}: {found}");
        }
    }
}

#[test]
fn a_penalty_scales_with_the_root_of_n_ln_n() {
    for (units, expected) in [(0, 0.0), (1, 0.0), (2, 0.117_741), (100, 2.145_966)] {
        assert!((scaled_penalty(0.1, units) - expected).abs() < 1e-6, "{units}");
    }
}

/// Which numbers of segments a table of problems reaches, so that none of the tests above is of
/// the trivial alone.
#[test]
fn random_cases_are_cut_in_many_ways() {
    let mut counts = BTreeMap::new();
    for seed in 0..500 {
        let case = Case::random(seed, 12);
        let sums = case.sums();
        *counts.entry(case.problem(&sums).solve(0.25).ends.len()).or_insert(0) += 1;
    }
    assert!(counts.len() > 9, "{counts:?}");
}
