//! The segmentation of least cost under hard limits, by dynamic programming.

use crate::similarity::BlockSums;

/// No segment ends here yet.
const NONE: u32 = u32::MAX;
/// The most starts that a segmentation into a given number of segments keeps (256 MiB), and the
/// most segments that it looks at (about a second).
const MAX_LAYER_STARTS: usize = 1 << 26;
const MAX_LAYER_SEGMENTS: usize = 1 << 30;

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

/// The best segmentation of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// The end of each segment, in units from the document's first.
    pub ends: Vec<usize>,
    /// The least cost of the first `b` units, for `b` up to all. Infinite where none goes without
    /// a cut that is forbidden; segments are then as long as they may be.
    pub costs: Vec<f64>,
}

/// A document's units as the dynamic programme sees them.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Of blocks of units; over pairs of two units for [`Objective::Cluster`].
    pub sums: &'a BlockSums,
    /// Tokens of each unit.
    pub tokens: &'a [usize],
    /// `[units]` subtracted from the cost of a cut before each; minus infinity forbids it.
    pub bonuses: &'a [f32],
    /// What a segment costs.
    pub rule: SegmentRule,
}

impl Problem<'_> {
    /// The segmentation of least cost: `F[0] = 0`,
    /// `F[b] = min over a of F[a] + penalty - bonus[a] + cost(a..b) + size prior(a..b)`, penalty and
    /// bonus of cuts alone. A segment of two or more units has at most `max_tokens` tokens and as
    /// many units as the sums are wide. Of equal costs the smallest `a` wins. Time is
    /// `O(units * width)`.
    #[must_use]
    pub fn solve(&self, penalty: f64) -> Segmentation {
        let n = self.tokens.len();
        let mut round = Round::new(self);
        let mut costs = vec![0.0; n + 1];
        let mut starts = vec![NONE; n + 1];
        for a in 0..n {
            let before = self.cut(a, costs[a], penalty);
            round.offer(a, before, &mut costs, &mut starts);
        }
        let mut ends = Vec::new();
        let mut end = n;
        while end > 0 {
            ends.push(end);
            end = starts[end] as usize;
        }
        ends.reverse();
        Segmentation { ends, costs }
    }

    /// The segmentation of least cost into `count` segments, or into the nearest number that the
    /// limits and the places to cut allow; the end of each. Time is `O(units * width * count)`.
    /// `None` where `units * count` is beyond 2^26 or that time beyond 2^30.
    #[must_use]
    pub fn solve_count(&self, count: usize) -> Option<Vec<usize>> {
        let n = self.tokens.len();
        let free = self.solve(0.0);
        if n == 0 || free.costs[n].is_infinite() {
            return Some(free.ends);
        }
        // Parts of an allowed segment are allowed: up to all places, one more cut can be made.
        let places = self.bonuses[1..].iter().filter(|&&bonus| bonus > f32::NEG_INFINITY).count();
        let count = count.clamp(1, places + 1);
        let mut costs = vec![f64::INFINITY; n + 1];
        costs[0] = 0.0;
        let mut layers: Vec<Vec<u32>> = Vec::new();
        // Fewer segments than the limits need are no segmentation: more layers until there is one.
        while layers.len() < count || costs[n].is_infinite() {
            let starts = (layers.len() + 1) * (n + 1);
            if starts > MAX_LAYER_STARTS || starts * self.sums.width() > MAX_LAYER_SEGMENTS {
                return None;
            }
            let mut next = vec![f64::INFINITY; n + 1];
            let mut starts = vec![NONE; n + 1];
            let mut round = Round::new(self);
            for a in (layers.len()..n).filter(|&a| costs[a].is_finite()) {
                let before = self.cut(a, costs[a], 0.0);
                round.offer(a, before, &mut next, &mut starts);
            }
            layers.push(starts);
            costs = next;
        }
        Some(walk(&layers, n))
    }

    /// The cost of all before a segment that starts at `a`.
    fn cut(&self, a: usize, cost: f64, penalty: f64) -> f64 {
        if a == 0 { cost } else { cost + penalty - f64::from(self.bonuses[a]) }
    }
}

/// Leads back from the end through all layers.
fn walk(layers: &[Vec<u32>], n: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = n;
    for starts in layers.iter().rev() {
        ends.push(end);
        end = starts[end] as usize;
    }
    ends.reverse();
    ends
}

/// One pass over the starts of segments, in order.
struct Round<'a> {
    problem: &'a Problem<'a>,
    /// Tokens before each unit and after the last.
    before: Vec<f64>,
    /// The largest end that a segment from the current start may have.
    reach: usize,
    /// The largest end that has been offered a segment.
    offered: usize,
    /// Of segments from the current start, by length.
    costs: Vec<f64>,
    /// 1, 2, ..
    lengths: Vec<f64>,
}

impl<'a> Round<'a> {
    fn new(problem: &'a Problem<'a>) -> Self {
        let n = problem.tokens.len();
        assert_eq!(problem.bonuses.len(), n, "one bonus a unit");
        let mut before = vec![0.0; n + 1];
        for (unit, &tokens) in problem.tokens.iter().enumerate() {
            before[unit + 1] = before[unit] + tokens as f64;
        }
        let width = problem.sums.width();
        let lengths = (1..=width).map(|l| l as f64).collect();
        Self { problem, before, reach: 0, offered: 0, costs: vec![0.0; width], lengths }
    }

    /// Offers every segment from `a`, all before which costs `before`, to its end.
    fn offer(&mut self, a: usize, before: f64, best: &mut [f64], starts: &mut [u32]) {
        let Problem { sums, rule, .. } = self.problem;
        let most = (a + sums.width()).min(self.before.len() - 1);
        let limit = rule.max_tokens as f64 - rule.special_tokens as f64 + self.before[a];
        self.reach = self.reach.max(a + 1);
        while self.reach < most && self.before[self.reach + 1] <= limit {
            self.reach += 1;
        }
        let reach = self.reach.min(most);
        // An end that is new takes what it is offered, be it infinite.
        for end in self.offered.max(a) + 1..=reach {
            best[end] = f64::INFINITY;
            starts[end] = a as u32;
        }
        self.offered = self.offered.max(reach);
        let costs = &mut self.costs[..reach - a];
        segment_costs(rule, before, sums.from(a), &self.lengths, costs);
        add_sizes(rule, self.before[a], &self.before[a + 1..=reach], costs);
        let ends = best[a + 1..=reach].iter_mut().zip(&mut starts[a + 1..=reach]);
        for (&mut cost, (best, start)) in costs.iter_mut().zip(ends) {
            *start = if cost < *best { a as u32 } else { *start };
            *best = if cost < *best { cost } else { *best };
        }
    }
}

/// `before` plus the cost of segments of 1, 2, .. units, from the sums of their similarities.
fn segment_costs(
    rule: &SegmentRule,
    before: f64,
    sums: &[f32],
    lengths: &[f64],
    costs: &mut [f64],
) {
    // Loops that a compiler turns into vectors: one for each objective.
    let rows = costs.iter_mut().zip(sums).zip(lengths);
    match rule.objective {
        Objective::Kcpd => {
            rows.for_each(|((cost, &sum), &l)| *cost = before + l - f64::from(sum) / l);
        }
        Objective::Cvs => {
            rows.for_each(|((cost, &sum), &l)| *cost = before + l - f64::from(sum.max(0.0).sqrt()));
        }
        Objective::Cluster { mean } => {
            rows.for_each(|((cost, &sum), &l)| {
                *cost = before + mean * (l * (l - 1.0)) - f64::from(sum);
            });
        }
    }
}

/// Adds what the sizes of segments cost; `ends` are tokens before their ends.
fn add_sizes(rule: &SegmentRule, start: f64, ends: &[f64], costs: &mut [f64]) {
    let special = rule.special_tokens as f64;
    if rule.size_weight != 0.0 {
        let target = rule.target_tokens.max(1) as f64;
        for (cost, end) in costs.iter_mut().zip(ends) {
            let deviation = (end - start + special) / target - 1.0;
            *cost += rule.size_weight * deviation * deviation;
        }
    }
    if rule.min_tokens > 0 {
        for (cost, end) in costs.iter_mut().zip(ends) {
            let short = end - start + special < rule.min_tokens as f64;
            *cost += if short { SHORT_COST } else { 0.0 };
        }
    }
}
