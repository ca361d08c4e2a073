//! How many segments: the penalty of a cut that gives the number asked for.
//!
//! More penalty never gives more segments, so penalties are found by bisection.

use std::collections::{BTreeMap, VecDeque};

use super::{Problem, SHORT_COST};

/// Halvings of a range of penalties: enough to tell neighbouring segmentations apart in f64.
const HALVINGS: usize = 48;
/// A calibrated penalty is as near as this to the least one.
const CALIBRATED_WITHIN: f64 = 1e-3;
/// Segmentations of the path that an elbow is looked for on.
const MAX_PATH: usize = 64;

/// `C * sqrt(n ln n)`, for `n` units.
#[must_use]
pub fn scaled_penalty(c: f64, units: usize) -> f64 {
    let n = units.max(1) as f64;
    c * (n * n.ln()).sqrt()
}

/// The ends of segments whose number is nearest to `count`: exactly, or where that takes too much
/// memory or time the nearest that any penalty gives.
#[must_use]
pub fn with_count(problem: &Problem<'_>, count: usize) -> Vec<usize> {
    problem
        .solve_count(count)
        .unwrap_or_else(|| nearest(problem, |ends| ends as f64 - count as f64))
}

/// The ends of segments whose mean size is nearest to `target_tokens`; where the number takes too
/// much memory or time, or makes more segments too short, of those that any penalty gives.
#[must_use]
pub fn with_mean_size(problem: &Problem<'_>, target_tokens: usize) -> Vec<usize> {
    let total: usize = problem.tokens.iter().sum();
    let special = problem.rule.special_tokens as f64;
    let excess = |count: usize| target_tokens as f64 - special - total as f64 / count as f64;
    let found = nearest(problem, excess);
    // Penalties pass over the numbers at which the least cost is not convex.
    let best = (1..=problem.tokens.len())
        .min_by(|&a, &b| excess(a).abs().total_cmp(&excess(b).abs()))
        .filter(|&best| excess(best).abs() < excess(found.len()).abs());
    let exact = best.and_then(|best| problem.solve_count(best));
    let is_better = |ends: &Vec<usize>| {
        excess(ends.len()).abs() < excess(found.len()).abs()
            && count_short(problem, ends) <= count_short(problem, &found)
    };
    exact.filter(is_better).unwrap_or(found)
}

/// Segments of fewer tokens than the least.
fn count_short(problem: &Problem<'_>, ends: &[usize]) -> usize {
    let rule = &problem.rule;
    let starts = std::iter::once(&0).chain(ends);
    let sizes = starts.zip(ends).map(|(&start, &end)| {
        problem.tokens[start..end].iter().sum::<usize>() + rule.special_tokens
    });
    sizes.filter(|&size| size < rule.min_tokens).count()
}

/// Bisects penalties for the number of segments at which `excess`, which grows with it, is nearest
/// to zero.
fn nearest(problem: &Problem<'_>, excess: impl Fn(usize) -> f64) -> Vec<usize> {
    let (mut low, mut high) = penalties(problem);
    let mut many = problem.solve(low).ends;
    let mut few = problem.solve(high).ends;
    if many.is_empty() {
        return many;
    }
    for _ in 0..HALVINGS {
        if many.len() <= few.len() + 1 {
            break;
        }
        let middle = f64::midpoint(low, high);
        let ends = problem.solve(middle).ends;
        if excess(ends.len()) > 0.0 {
            (low, many) = (middle, ends);
        } else {
            (high, few) = (middle, ends);
        }
    }
    if excess(few.len()).abs() < excess(many.len()).abs() { few } else { many }
}

/// Penalties that give the most segments, none shorter than need be, and the fewest.
fn penalties(problem: &Problem<'_>) -> (f64, f64) {
    let Problem { sums, tokens, bonuses, rule } = problem;
    let n = tokens.len() as f64;
    // No two segmentations differ by more. Of units of length one, `l` cost `2 l^2` at most.
    let cohesion = 4.0 * n * n.min(sums.width() as f64);
    let total = tokens.iter().sum::<usize>() as f64 + n * rule.special_tokens as f64;
    let relative = total / rule.target_tokens.max(1) as f64;
    let sizes = rule.size_weight * (n + relative * relative);
    let finite = bonuses.iter().filter(|bonus| bonus.is_finite());
    let bound = cohesion + sizes + 2.0 * finite.map(|bonus| f64::from(bonus.abs())).sum::<f64>();
    // All cuts together must not pay for a segment that is too short.
    let bound = if rule.min_tokens > 0 { bound.min(0.5 * SHORT_COST / n.max(1.0)) } else { bound };
    (-bound, bound)
}

/// The least penalty that cuts at most `false_cuts` of all gaps of `shuffled` documents, beside the
/// cuts that limits force at any penalty.
#[must_use]
pub fn calibrated_penalty(shuffled: &[Problem<'_>], false_cuts: f64) -> f64 {
    let gaps: usize = shuffled.iter().map(|problem| problem.tokens.len().saturating_sub(1)).sum();
    let most = shuffled.iter().map(|problem| penalties(problem).1).fold(1.0, f64::max);
    let cuts = |problem: &Problem<'_>, penalty| problem.solve(penalty).ends.len().saturating_sub(1);
    let forced: usize = shuffled.iter().map(|problem| cuts(problem, most)).sum();
    let allowed = forced + (false_cuts * gaps as f64).floor() as usize;
    let too_many = |penalty: f64| {
        let mut found = 0;
        shuffled.iter().any(|problem| {
            found += cuts(problem, penalty);
            found > allowed
        })
    };
    if !too_many(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while high < most && too_many(high) {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > CALIBRATED_WITHIN * high {
        let middle = f64::midpoint(low, high);
        if too_many(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The ends of segments at the elbow of the path: of the segmentations that some penalty gives,
/// the one whose cost lies farthest below the line from the fewest segments to the most.
#[must_use]
pub fn at_elbow(problem: &Problem<'_>) -> Vec<usize> {
    let path = path(problem);
    let (Some(first), Some(last)) = (path.first(), path.last()) else { return Vec::new() };
    let segments = |step: &Step| step.ends.len() as f64;
    let (width, height) = (segments(last) - segments(first), first.cost - last.cost);
    let below = |step: &Step| {
        if width > 0.0 && height > 0.0 {
            (first.cost - step.cost) / height - (segments(step) - segments(first)) / width
        } else {
            0.0
        }
    };
    let elbow =
        path.iter().reduce(|best, step| if below(step) > below(best) { step } else { best });
    elbow.map_or(Vec::new(), |step| step.ends.clone())
}

/// A segmentation of the path.
struct Step {
    ends: Vec<usize>,
    /// Without penalties.
    cost: f64,
}

/// Segmentations that some penalty from 0 on gives, fewest segments first: between two known ones,
/// the penalty at which both cost the same finds one between or shows that there is none (CROPS,
/// Haynes, Eckley and Fearnhead 2017).
fn path(problem: &Problem<'_>) -> Vec<Step> {
    let step = |penalty: f64| {
        let solved = problem.solve(penalty);
        let cuts = solved.ends.len().saturating_sub(1) as f64;
        let cost = solved.costs.last().copied().unwrap_or(0.0) - penalty * cuts;
        Step { ends: solved.ends, cost }
    };
    if problem.tokens.is_empty() {
        return Vec::new();
    }
    // By number of segments.
    let mut path = BTreeMap::new();
    for step in [step(0.0), step(penalties(problem).1)] {
        path.insert(step.ends.len(), step);
    }
    let counts: Vec<usize> = path.keys().copied().collect();
    let mut gaps = VecDeque::from([(counts[0], counts[counts.len() - 1])]);
    // Widest first, so that a long path is known evenly.
    while let Some((few, many)) = gaps.pop_front()
        && path.len() < MAX_PATH
    {
        if many - few < 2 {
            continue;
        }
        let penalty = (path[&few].cost - path[&many].cost) / (many - few) as f64;
        let between = step(penalty);
        let count = between.ends.len();
        if few < count && count < many {
            path.insert(count, between);
            gaps.extend([(few, count), (count, many)]);
        }
    }
    path.into_values().collect()
}
