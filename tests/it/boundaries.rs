//! All that is computed from a band equals the reference, which has it from the formulas in f64
//! (`tests/golden/boundary.py`).

use std::collections::BTreeMap;

use chunkflow::chunking::{
    Objective, Problem, Score, SegmentRule, Smoothing, Threshold, above, cosines, peaks,
    savitzky_golay, scores, smooth,
};
use chunkflow::similarity::{Band, BlockSums, Device, Rows, band};
use serde::Deserialize;

use crate::support;

/// Of values up to 1, and of sums of up to 100 of them.
const VALUES_WITHIN: f64 = 1e-6;
const SUMS_WITHIN: f64 = 1e-5;

#[derive(Deserialize)]
struct Case {
    vectors: Vec<Vec<f32>>,
    width: usize,
    band: Vec<Vec<f64>>,
    sums: Vec<Vec<f64>>,
    costs: BTreeMap<String, Vec<Vec<f64>>>,
    /// By window.
    curves: BTreeMap<usize, Vec<f64>>,
    moving_average: BTreeMap<usize, Vec<f64>>,
    /// By derivative.
    savitzky_golay: BTreeMap<usize, Vec<f64>>,
    depths: Vec<f64>,
    thresholds: Vec<Rule>,
    /// Gaps, the first being 1, as in all that follows.
    suppressed: Vec<usize>,
    constraints: Option<Constraints>,
    #[serde(default)]
    optima: Vec<Optimum>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the reference")]
struct Rule {
    rule: String,
    amount: f64,
    over: Vec<usize>,
    cuts: Vec<usize>,
}

#[derive(Deserialize)]
struct Constraints {
    tokens: Vec<usize>,
    target_tokens: usize,
    max_tokens: usize,
    size_weight: f64,
    /// Of gaps; none where no cut is allowed.
    bonuses: Vec<Option<f32>>,
}

#[derive(Deserialize)]
struct Optimum {
    objective: String,
    segments: Option<usize>,
    beta: f64,
    constrained: bool,
    cost: f64,
    ends: Vec<usize>,
}

impl Case {
    fn band(&self, width: usize) -> Band {
        let rows = self.vectors.concat();
        band(&Device::default(), Rows::f32(&rows, self.vectors[0].len()).unwrap(), width).unwrap()
    }

    /// One minus the cosine of the two units at each gap.
    fn distances(&self) -> Vec<f32> {
        let band = self.band(2);
        scores(&cosines(&band, &BlockSums::new(&band), 1), Score::Distance)
    }

    fn objective(&self, name: &str) -> Objective {
        match name {
            "kcpd" => Objective::Kcpd,
            "cvs" => Objective::Cvs,
            "cluster" => Objective::Cluster { mean: self.band(self.width).mean_of_pairs() },
            other => panic!("no objective is called {other}"),
        }
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = support::json(&support::golden("boundary.json"));
    assert!(cases.len() > 10);
    cases
}

fn sums(band: &Band, objective: Objective) -> BlockSums {
    match objective {
        Objective::Cluster { .. } => BlockSums::of_pairs(band),
        Objective::Kcpd | Objective::Cvs => BlockSums::new(band),
    }
}

#[track_caller]
fn check(what: &str, actual: &[f32], expected: &[f64], limit: f64) {
    let difference = support::max_difference(actual, expected);
    assert!(difference <= limit, "{what}: {difference:e}");
}

#[test]
fn bands_and_their_sums_are_the_references() {
    for case in cases() {
        let band = case.band(case.width);
        let sums = BlockSums::new(&band);
        assert_eq!(band.len(), case.vectors.len());
        for (unit, (row, expected)) in band.rows().zip(&case.band).enumerate() {
            check("band", row, expected, VALUES_WITHIN);
            let expected = &case.sums[unit];
            check("sums", &sums.from(unit)[..expected.len()], expected, SUMS_WITHIN);
        }
    }
}

#[test]
fn curves_are_the_references() {
    for case in cases() {
        for (&window, expected) in &case.curves {
            let band = case.band(2 * window);
            let curve = cosines(&band, &BlockSums::new(&band), window);
            check(&format!("window {window}"), &curve, expected, SUMS_WITHIN);
        }
        let curve: Vec<f32> = case.curves[&1].iter().map(|&x| x as f32).collect();
        for (&width, expected) in &case.moving_average {
            check("average", &smooth(&curve, Smoothing::Average, width), expected, VALUES_WITHIN);
        }
        for (&derivative, expected) in &case.savitzky_golay {
            let smoothed = savitzky_golay(&curve, 5, derivative);
            check(&format!("derivative {derivative}"), &smoothed, expected, VALUES_WITHIN);
        }
        let smoothed = smooth(&curve, Smoothing::SavitzkyGolay, 5);
        check("smooth", &smoothed, &case.savitzky_golay[&0], VALUES_WITHIN);
        assert_eq!(smooth(&curve, Smoothing::None, 5), curve);
        check("depths", &scores(&curve, Score::Depth), &case.depths, VALUES_WITHIN);
    }
}

/// The gaps, from 1, that are flagged.
fn gaps(flags: &[bool]) -> Vec<usize> {
    (1..).zip(flags).filter_map(|(gap, flag)| flag.then_some(gap)).collect()
}

#[test]
fn thresholds_and_peaks_are_the_references() {
    for case in cases() {
        let distances = case.distances();
        for Rule { rule, amount, over, cuts } in &case.thresholds {
            let threshold = match rule.as_str() {
                "percentile" => Threshold::Percentile,
                "standard_deviation" => Threshold::Deviation,
                "mean_iqr" => Threshold::Iqr,
                "third_quartile_iqr" => Threshold::Quartile,
                "gradient" => Threshold::Gradient,
                other => panic!("no rule is called {other}"),
            };
            let flags = above(&distances, threshold, *amount);
            assert_eq!(&gaps(&flags), over, "{rule} {amount}");
            let peaks = peaks(&distances, 1).into_iter().filter(|&gap| flags[gap]);
            let mut found: Vec<usize> = peaks.map(|gap| gap + 1).collect();
            found.sort_unstable();
            assert_eq!(&found, cuts, "{rule} {amount}");
        }
        // None less than three gaps from one that is higher and taken.
        let mut found: Vec<usize> = peaks(&distances, 2).iter().map(|gap| gap + 1).collect();
        assert!(found.is_sorted_by(|&a, &b| distances[a - 1] >= distances[b - 1]));
        found.sort_unstable();
        assert_eq!(found, case.suppressed);
    }
}

#[test]
fn a_suppressed_maximum_suppresses_none() {
    // The last is a maximum, and near to none that is taken.
    assert_eq!(peaks(&[10.0, 1.0, 9.0, 0.0, 8.0], 2), [0, 4]);
    assert_eq!(peaks(&[10.0, 1.0, 9.0, 0.0, 8.0], 1), [0, 2, 4]);
    // Of equal ones the first, and no slope.
    assert_eq!(peaks(&[3.0, 3.0, 3.0, 2.0, 1.0], 1), [0, 2]);
    assert_eq!(peaks(&[1.0, 2.0, 3.0], 1), [2]);
    assert!(peaks(&[], 1).is_empty());
}

#[test]
fn costs_of_segments_are_the_references() {
    for case in cases() {
        let band = case.band(case.width);
        for (name, expected) in &case.costs {
            let rule = plain(case.objective(name));
            for (first, expected) in expected.iter().enumerate() {
                // The document from this unit on, without a place to cut it.
                let rest = Band::new(band.values()[first * case.width..].to_vec(), case.width);
                let n = rest.len();
                let (tokens, bonuses) = (vec![1; n], vec![f32::NEG_INFINITY; n]);
                let sums = sums(&rest, rule.objective);
                let problem = Problem { sums: &sums, tokens: &tokens, bonuses: &bonuses, rule };
                let costs = problem.solve(0.0).costs;
                for (found, expected) in costs[1..].iter().zip(expected) {
                    let limit = SUMS_WITHIN * expected.abs().max(1.0);
                    assert!((found - expected).abs() < limit, "{name}: {found} {expected}");
                }
            }
        }
    }
}

/// No limits and no sizes.
fn plain(objective: Objective) -> SegmentRule {
    SegmentRule {
        objective,
        penalty: 0.0,
        size_weight: 0.0,
        target_tokens: 1,
        max_tokens: usize::MAX,
        min_tokens: 0,
        special_tokens: 0,
    }
}

#[test]
fn optimal_segmentations_are_the_references() {
    let mut checked = 0;
    for case in cases() {
        let Some(constraints) = &case.constraints else { continue };
        let band = case.band(case.width);
        let limits = std::iter::once(0.0)
            .chain(constraints.bonuses.iter().map(|bonus| bonus.unwrap_or(f32::NEG_INFINITY)));
        let (limits, none): (Vec<f32>, _) = (limits.collect(), vec![0.0; band.len()]);
        for optimum in &case.optima {
            let objective = case.objective(&optimum.objective);
            let (rule, bonuses) = if optimum.constrained {
                let Constraints { size_weight, target_tokens, max_tokens, .. } = *constraints;
                let rule =
                    SegmentRule { size_weight, target_tokens, max_tokens, ..plain(objective) };
                (rule, &limits)
            } else {
                (plain(objective), &none)
            };
            let sums = sums(&band, objective);
            let problem = Problem { sums: &sums, tokens: &constraints.tokens, bonuses, rule };
            if let Some(count) = optimum.segments {
                assert_eq!(problem.solve_count(count).as_ref(), Some(&optimum.ends));
            } else {
                let found = problem.solve(optimum.beta);
                assert_eq!(found.ends, optimum.ends);
                // There, the first segment costs a penalty too.
                let (found, expected) = (found.costs[band.len()], optimum.cost - optimum.beta);
                assert!((found - expected).abs() < SUMS_WITHIN, "{found} {expected}");
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}
