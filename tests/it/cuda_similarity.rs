//! Similarities, block sums, curves and segmentations on the device against loops in f64.

use std::ops::Range;
use std::slice::from_ref;

use chunkflow::chunking::Problem;
use chunkflow::compute::{
    Band as _, Buffers, CudaExec, Dtype, Error, Objective, Pairs, SHORT_COST, SegmentRule,
    SegmentUnits,
};
use chunkflow::similarity::{Band, BlockSums};

use crate::cuda::{exec, rounded, turn};
use crate::exec::{check, check_index, host, random, spoil};
use crate::support::random_model::SplitMix64;
use crate::support::{bits, naive, widen};

type Rows = <CudaExec as Buffers>::Buffer;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];
const SHAPES: [(usize, usize); 7] =
    [(1, 1), (2, 7), (63, 100), (65, 32), (130, 33), (130, 384), (300, 8)];

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Never -0, which sorts below 0.
    a.iter().zip(b).fold(0.0, |sum, (&x, &y)| sum + f64::from(x) * f64::from(y))
}

/// What f32 sums of products of values up to 1 may be off by.
fn tolerance(cols: usize) -> f64 {
    2e-7 * (cols as f64 + 1.0)
}

/// Rows of whole numbers from -1 to 1: every sum is exact and many are equal.
fn whole(seed: u64, len: usize) -> Vec<f32> {
    let mut choices = SplitMix64::new(seed);
    (0..len).map(|_| choices.choose(&[-1.0, 0.0, 1.0])).collect()
}

fn on_every_dtype(test: impl Fn(&CudaExec, Dtype)) {
    let _turn = turn();
    for dtype in DTYPES {
        let exec = exec(dtype);
        spoil(&exec);
        test(&exec, dtype);
    }
}

#[test]
fn bands_are_inner_products_of_neighbours() {
    on_every_dtype(|exec, dtype| {
        for (n, cols) in SHAPES {
            for width in [1, 5, 40, 70] {
                let rows = rounded(dtype, &random(1, n * cols, 1.0));
                let band = exec.band(&exec.upload_working(&rows, cols).unwrap(), width).unwrap();
                let what = format!("{dtype} {n} x {cols}, {width}");
                let expected = naive::gram(&rows, cols, width);
                check(&what, &host(exec, band, width), &expected, tolerance(cols));
            }
        }
        let none = exec.upload_working(&[], 4).unwrap();
        assert!(exec.gram(&none, 3).unwrap().is_empty());
        let some = exec.upload_working(&[1.0; 8], 4).unwrap();
        assert!(exec.gram(&some, 0).unwrap().is_empty());
    });
}

/// The best by the definition: all scores, sorted.
fn best(
    queries: &[f32],
    rows: &[f32],
    cols: usize,
    wanted: usize,
    exclude_self: bool,
) -> Vec<Vec<(u32, f64)>> {
    let best_of = |(own, query): (usize, &[f32])| {
        let others = rows.chunks_exact(cols).enumerate();
        let others = others.filter(|&(at, _)| !(exclude_self && own == at));
        let scored = others.map(|(at, row)| (at as u32, dot(query, row)));
        let mut scored: Vec<(u32, f64)> = scored.collect();
        scored.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
        scored.truncate(wanted);
        scored
    };
    queries.chunks_exact(cols).enumerate().map(best_of).collect()
}

/// Checks what was found for one of `queries` against all its scores.
fn check_best(what: &str, found: &[(u32, f32)], query: &[f32], rows: &[f32], wanted: usize) {
    let cols = query.len();
    let tolerance = 2e-6 * (cols as f64).sqrt();
    let expected = best(query, rows, cols, wanted, false).remove(0);
    assert_eq!(found.len(), expected.len(), "{what}");
    // Scores that rounding cannot tell apart may change places.
    for (&(at, score), (_, expected)) in found.iter().zip(expected) {
        let own = dot(query, &rows[at as usize * cols..][..cols]);
        assert!((f64::from(score) - own).abs() <= tolerance, "{what}: row {at}");
        assert!((f64::from(score) - expected).abs() <= tolerance, "{what}: row {at}");
    }
    let sorted = found.is_sorted_by(|x, y| x.1 > y.1 || (x.1 >= y.1 && x.0 < y.0));
    assert!(sorted, "{what}");
}

#[test]
fn top_k_is_the_head_of_all_scores() {
    on_every_dtype(|exec, dtype| {
        for (count, others, cols, wanted) in [
            (1, 1, 1, 1),
            (2, 63, 7, 5),
            (63, 65, 100, 128),
            (33, 130, 32, 1),
            (130, 130, 33, 33),
            (5, 700, 384, 10),
            (129, 257, 40, 100),
        ] {
            let queries = rounded(dtype, &random(2, count * cols, 1.0));
            let rows = rounded(dtype, &random(3, others * cols, 1.0));
            let [left, right] =
                [&queries, &rows].map(|rows| exec.upload_working(rows, cols).unwrap());
            let found = exec.top_k(&left, &right, wanted, false).unwrap();
            assert_eq!(found.len(), count);
            for (at, (found, query)) in found.iter().zip(queries.chunks_exact(cols)).enumerate() {
                let what = format!("{dtype} {count} x {others} x {cols}, {wanted}: query {at}");
                check_best(&what, found, query, &rows, wanted);
            }
        }
    });
}

#[test]
fn equal_scores_come_in_the_order_of_their_rows() {
    on_every_dtype(|exec, dtype| {
        for (count, cols, wanted) in [(65, 2, 128), (130, 3, 7), (700, 4, 128), (20, 5, 20)] {
            let rows = whole(4, count * cols);
            let buffer = exec.upload_working(&rows, cols).unwrap();
            let few = exec.upload_working(&rows[..3 * cols], cols).unwrap();
            for exclude_self in [false, true] {
                for (queries, sent) in [(&rows[..], &buffer), (&rows[..3 * cols], &few)] {
                    let found = exec.top_k(sent, &buffer, wanted, exclude_self).unwrap();
                    let found: Vec<Vec<(u32, f64)>> = found
                        .iter()
                        .map(|row| row.iter().map(|&(at, score)| (at, f64::from(score))).collect())
                        .collect();
                    let expected = best(queries, &rows, cols, wanted, exclude_self);
                    let queries = queries.len() / cols;
                    assert_eq!(found, expected, "{dtype} {queries} x {count} x {cols}, {wanted}");
                }
            }
        }
    });
}

#[test]
fn a_score_has_the_same_bits_in_any_company() {
    on_every_dtype(|exec, dtype| {
        let (n, cols) = (200, 100);
        let rows = random(5, n * cols, 1.0);
        let all = exec.upload_working(&rows, cols).unwrap();
        let every = exec.threshold(&all, &all, f32::NEG_INFINITY, Pairs::All).unwrap();
        let score = |i: usize, j: usize| every[i * n + j].2.to_bits();
        let alone = exec.upload_working(&rows[150 * cols..][..cols], cols).unwrap();
        for (j, found) in exec.top_k(&alone, &all, 128, false).unwrap()[0].iter().copied() {
            assert_eq!(found.to_bits(), score(150, j as usize), "{dtype} {j}");
        }
        let band = exec.gram(&all, 4).unwrap();
        // The band's products are not those of matrix units.
        for i in (0..n - 4).filter(|_| dtype == Dtype::F32) {
            let expected: Vec<u32> = (i..i + 4).map(|j| score(i, j)).collect();
            assert_eq!(bits(&band[4 * i..][..4]), expected, "{i}");
        }
    });
}

#[test]
fn scores_that_are_no_numbers_are_never_best() {
    on_every_dtype(|exec, dtype| {
        let rows = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 2.0];
        let a = exec.upload_working(&[1.0], 1).unwrap();
        let b = exec.upload_working(&rows, 1).unwrap();
        let expected =
            [(2, f32::INFINITY), (5, 2.0), (0, 1.0), (4, 0.0), (3, f32::NEG_INFINITY)].to_vec();
        assert_eq!(exec.top_k(&a, &b, 6, false).unwrap(), [expected], "{dtype}");
        let found = exec.threshold(&a, &b, 1.0, Pairs::All).unwrap();
        assert_eq!(found, [(0, 0, 1.0), (0, 2, f32::INFINITY), (0, 5, 2.0)], "{dtype}");
    });
}

/// The pairs by the definition, sorted.
fn pairs_above(
    left: &[f32],
    right: &[f32],
    cols: usize,
    least: f32,
    pairs: Pairs,
) -> Vec<(u32, u32, f32)> {
    let mut found = Vec::new();
    for (i, row) in left.chunks_exact(cols).enumerate() {
        for (j, other) in right.chunks_exact(cols).enumerate() {
            let wanted = match pairs {
                Pairs::All => true,
                Pairs::Distinct => i != j,
                Pairs::Upper => i < j,
            };
            let score = dot(row, other) as f32;
            if wanted && score >= least {
                found.push((i as u32, j as u32, score));
            }
        }
    }
    found
}

#[test]
fn thresholds_find_every_pair_in_order() {
    on_every_dtype(|exec, dtype| {
        for (count, cols) in SHAPES {
            // Whole numbers: no sum is off.
            let [rows, others] = [whole(6, count * cols), whole(7, (count + 3) * cols)];
            let [left, right] =
                [&rows, &others].map(|rows| exec.upload_working(rows, cols).unwrap());
            for (pairs, other, sent) in [
                (Pairs::All, &others, &right),
                (Pairs::Distinct, &rows, &left),
                (Pairs::Upper, &rows, &left),
            ] {
                for least in [f32::NEG_INFINITY, 0.0, 2.0, (cols / 8) as f32, 1e9] {
                    let expected = pairs_above(&rows, other, cols, least, pairs);
                    let found = exec.threshold(&left, sent, least, pairs).unwrap();
                    assert!(found == expected, "{dtype} {count} x {cols} {pairs:?} {least}");
                }
            }
        }
    });
}

#[test]
fn rows_of_two_dtypes_are_compared_in_f32() {
    let _turn = turn();
    let exec = exec(Dtype::F16);
    let (a, b) = (whole(8, 40 * 9), whole(9, 70 * 9));
    let narrow = exec.upload_working(&a, 9).unwrap();
    let full = exec.upload(&b, 9).unwrap();
    let found = exec.threshold(&narrow, &full, f32::NEG_INFINITY, Pairs::All).unwrap();
    let turned = exec.threshold(&full, &narrow, f32::NEG_INFINITY, Pairs::All).unwrap();
    assert_eq!(found.len(), 40 * 70);
    for &(i, j, score) in &found {
        let expected = dot(&a[i as usize * 9..][..9], &b[j as usize * 9..][..9]);
        assert!((f64::from(score) - expected).abs() < 1e-9, "{i} {j}");
        assert_eq!(turned[(j * 40 + i) as usize], (j, i, score));
    }
}

#[test]
fn comparisons_of_nothing_are_empty_and_wrong_ones_refused() {
    on_every_dtype(|exec, _| {
        let none = exec.upload_working(&[], 4).unwrap();
        let some = exec.upload_working(&[1.0; 8], 4).unwrap();
        assert!(exec.top_k(&none, &some, 3, false).unwrap().is_empty());
        assert_eq!(exec.top_k(&some, &none, 3, false).unwrap(), vec![Vec::new(); 2]);
        assert_eq!(exec.top_k(&some, &some, 0, false).unwrap(), vec![Vec::new(); 2]);
        assert!(exec.threshold(&none, &some, 0.0, Pairs::All).unwrap().is_empty());
        assert!(exec.threshold(&some, &none, 0.0, Pairs::All).unwrap().is_empty());
        check_index(exec.top_k(&some, &some, 129, false), ("best scores", 129, 129));
        let wider = exec.upload_working(&[1.0; 8], 8).unwrap();
        let refused = [
            exec.top_k(&some, &wider, 1, false).map(|_| ()),
            exec.threshold(&some, &wider, 0.0, Pairs::All).map(|_| ()),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::Length { actual: 8, expected: 4, .. })));
        }
    });
}

/// Units of length one and their band.
fn units(seed: u64, n: usize, width: usize) -> Vec<f32> {
    const DIM: usize = 3;
    let mut rows = random(seed, n * DIM, 1.0);
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
        for x in row {
            *x /= norm;
        }
    }
    naive::gram(&rows, DIM, width).into_iter().map(|x| x as f32).collect()
}

fn similarity(band: &[f32], width: usize, i: usize, j: usize) -> f64 {
    f64::from(band[i.min(j) * width + i.abs_diff(j)])
}

/// The sum over all ordered pairs of a block.
fn block_sum(band: &[f32], width: usize, block: Range<usize>) -> f64 {
    let pairs = block.clone().flat_map(|i| block.clone().map(move |j| (i, j)));
    pairs.map(|(i, j)| similarity(band, width, i, j)).sum()
}

#[test]
fn block_sums_are_sums_over_all_pairs_of_a_block() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    spoil(&exec);
    for (n, width) in [(1, 1), (2, 5), (31, 33), (63, 7), (65, 32), (130, 40)] {
        let band = units(10, n, width);
        let sums = exec.block_sums(&exec.upload(&band, width).unwrap()).unwrap();
        let expected = (0..n).flat_map(|a| (1..=width).map(move |l| (a, a + l)));
        let expected =
            expected.map(|(a, b)| if b > n { 0.0 } else { block_sum(&band, width, a..b) });
        let expected: Vec<f64> = expected.collect();
        check(&format!("{n}, {width}"), &host(&exec, sums, width), &expected, 1e-5);
    }
    let none = exec.block_sums(&exec.upload(&[], 4).unwrap()).unwrap();
    assert!(host(&exec, none, 4).is_empty());
}

fn device_band(exec: &CudaExec, band: &[f32], width: usize) -> (Rows, Rows) {
    let band = exec.upload(band, width).unwrap();
    let sums = exec.block_sums(&band).unwrap();
    (band, sums)
}

#[test]
fn curves_are_those_of_the_band() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    let (n, width) = (130, 12);
    let data = units(11, n, width);
    let (band, sums) = device_band(&exec, &data, width);
    let documents = [0..5, 5..5, 5..6, 6..130];
    for window in 1..=6 {
        let curves = exec.boundary_curve(&band, &sums, &documents, window).unwrap();
        for (document, curve) in documents.iter().zip(curves) {
            let own = data[document.start * width..document.end * width].to_vec();
            let own = Band::new(own, width);
            let own_sums = BlockSums::new(&own);
            let gaps = 1..document.len().max(1);
            let expected: Vec<f32> =
                gaps.map(|gap| own_sums.gap_cosine(&own, gap, window)).collect();
            assert_eq!(curve.len(), expected.len());
            for (gap, (x, y)) in curve.iter().zip(expected).enumerate() {
                assert!(
                    (x - y).abs() < 1e-3,
                    "window {window}, gap {gap} of {document:?}: {x} {y}"
                );
            }
        }
    }
    check_index(exec.boundary_curve(&band, &sums, &documents, 7), ("window", 7, 7));
    let beyond = exec.boundary_curve(&band, &sums, from_ref(&(0..131)), 1);
    check_index(beyond, ("end of a document", 131, 131));
    let zero = exec.boundary_curve(&band, &sums, &documents, 0);
    assert!(matches!(zero, Err(Error::Length { what: "window", .. })));
}

/// Everything that costs are made of.
struct Case {
    band: Vec<f32>,
    width: usize,
    tokens: Vec<usize>,
    bonuses: Option<Vec<f32>>,
    rule: SegmentRule,
}

impl Case {
    /// One of many, with every objective and constraint among them.
    fn random(seed: u64, n: usize) -> Self {
        let mut choices = SplitMix64::new(seed);
        let width = 1 + choices.below(10);
        let forbidden = choices.choose(&[0.5, f32::NEG_INFINITY]);
        let bonus = |choices: &mut SplitMix64| choices.choose(&[0.0, 0.0, 0.25, -0.5, forbidden]);
        let objective = [Objective::Kcpd, Objective::Cvs, Objective::Cluster { mean: 0.25 }];
        Self {
            band: units(seed, n, width),
            width,
            tokens: (0..n).map(|_| choices.below(40)).collect(),
            bonuses: choices
                .choose(&[true, false])
                .then(|| (0..n).map(|_| bonus(&mut choices)).collect()),
            rule: SegmentRule {
                objective: choices.choose(&objective),
                penalty: choices.choose(&[0.0, 0.25, 1.0]),
                size_weight: choices.choose(&[0.0, 1.0, 0.3]),
                target_tokens: 10 + choices.below(50),
                max_tokens: choices.choose(&[30, 60, usize::MAX]),
                min_tokens: choices.choose(&[0, 0, 12, 25]),
                special_tokens: choices.choose(&[0, 2]),
            },
        }
    }

    /// The cost of units `a..b` of a document from `first`; `None` where the limits forbid it.
    fn cost(&self, first: usize, a: usize, b: usize) -> Option<f64> {
        let rule = &self.rule;
        let size = self.tokens[a..b].iter().sum::<usize>() + rule.special_tokens;
        if b - a > 1 && (b - a > self.width || size > rule.max_tokens) {
            return None;
        }
        let (units, sum) = ((b - a) as f64, block_sum(&self.band, self.width, a..b));
        let diagonal: f64 = (a..b).map(|i| similarity(&self.band, self.width, i, i)).sum();
        let cohesion = match rule.objective {
            Objective::Kcpd => units - sum / units,
            Objective::Cvs => units - sum.max(0.0).sqrt(),
            Objective::Cluster { mean } => mean * units * (units - 1.0) - (sum - diagonal),
        };
        let deviation = size as f64 / rule.target_tokens as f64 - 1.0;
        let short = if size < rule.min_tokens { SHORT_COST } else { 0.0 };
        let bonus = self.bonuses.as_ref().map_or(0.0, |bonuses| f64::from(bonuses[a]));
        let cut = if a > first { rule.penalty - bonus } else { 0.0 };
        Some(cohesion + rule.size_weight * deviation * deviation + short + cut)
    }

    fn total(&self, document: &Range<usize>, ends: &[usize]) -> Option<f64> {
        let starts = std::iter::once(&0).chain(ends);
        let segments = starts.zip(ends).map(|(a, b)| (document.start + a, document.start + b));
        segments.map(|(a, b)| self.cost(document.start, a, b)).sum()
    }

    /// The least total over every segmentation.
    fn least(&self, document: &Range<usize>) -> f64 {
        let n = document.len();
        let all = (0..1_u32 << n.saturating_sub(1)).map(|cuts| {
            let inner = (1..n).filter(|gap| cuts >> (gap - 1) & 1 == 1);
            let ends: Vec<usize> = inner.chain((n > 0).then_some(n)).collect();
            self.total(document, &ends).unwrap_or(f64::INFINITY)
        });
        all.fold(f64::INFINITY, f64::min)
    }
}

/// Costs are equal to rounding, or both are those of the impossible.
fn close(x: f64, y: f64) -> bool {
    (x.is_infinite() && y.is_infinite()) || (x - y).abs() < 1e-4
}

#[test]
fn no_other_segmentation_is_better() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    spoil(&exec);
    let documents = [0..0, 0..1, 1..3, 3..13, 13..22, 22..30];
    for seed in 0..60 {
        let case = Case::random(seed, 30);
        let band = exec.upload(&case.band, case.width).unwrap();
        let bonuses = case.bonuses.as_deref();
        let units = SegmentUnits { tokens: &case.tokens, bonuses, documents: &documents };
        let found = exec.segment(&band, units, &case.rule).unwrap();
        assert_eq!(found.len(), documents.len());
        for (document, found) in documents.iter().zip(found) {
            let what = format!("seed {seed}, {document:?}: {found:?}");
            assert_eq!(found.costs.len(), document.len() + 1, "{what}");
            assert_eq!(found.ends.last().copied().unwrap_or(0), document.len(), "{what}");
            let total = case.total(document, &found.ends);
            let cost = found.costs[document.len()];
            assert!(total.is_some_and(|total| close(total, cost)), "{what}: {total:?}");
            for units in 0..=document.len() {
                let least = case.least(&(document.start..document.start + units));
                assert!(close(found.costs[units], least), "{what}: {units} units, {least}");
            }
        }
    }
}

#[test]
fn cuts_are_those_of_the_host() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    let mut cases: Vec<Case> = (0..200).map(|seed| Case::random(seed, 150)).collect();
    // As long and as wide as documents are.
    for (seed, n, width, max_tokens) in
        [(1, 1, 1, 64), (2, 63, 9, 100), (3, 130, 40, 400), (4, 300, 300, 4_000), (5, 65, 7, 16)]
    {
        let rule = SegmentRule {
            objective: Objective::Cvs,
            penalty: 0.0,
            size_weight: 0.7,
            target_tokens: max_tokens / 2,
            max_tokens,
            min_tokens: max_tokens / 5,
            special_tokens: 2,
        };
        let mut choices = SplitMix64::new(seed);
        let tokens = (0..n).map(|_| 1 + choices.below(40)).collect();
        cases.push(Case { band: units(seed, n, width), width, tokens, bonuses: None, rule });
    }
    for (number, case) in cases.iter().enumerate() {
        let n = case.tokens.len();
        let band = exec.upload(&case.band, case.width).unwrap();
        let document = 0..n;
        let documents = from_ref(&document);
        let bonuses = case.bonuses.as_deref();
        let units = SegmentUnits { tokens: &case.tokens, bonuses, documents };
        let found = exec.segment(&band, units, &case.rule).unwrap();
        let band = Band::new(case.band.clone(), case.width);
        let sums = match case.rule.objective {
            Objective::Cluster { .. } => BlockSums::of_pairs(&band),
            Objective::Kcpd | Objective::Cvs => BlockSums::new(&band),
        };
        let none = vec![0.0; n];
        let problem = Problem {
            sums: &sums,
            tokens: &case.tokens,
            bonuses: bonuses.unwrap_or(&none),
            rule: case.rule,
        };
        let expected = problem.solve(case.rule.penalty);
        assert_eq!(found[0].ends, expected.ends, "case {number}");
        for (cost, expected) in found[0].costs.iter().zip(&expected.costs) {
            let same = cost.is_infinite() && expected.is_infinite();
            let limit = 1e-5 * expected.abs().max(1.0);
            assert!(same || (cost - expected).abs() < limit, "case {number}: {cost} {expected}");
        }
    }
}

#[test]
fn of_equal_segmentations_the_longest_last_segment_wins() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    // All units alike: no cut costs anything.
    let (n, width) = (9, 4);
    let data: Vec<f32> = (0..n * width).map(|at| f32::from(at / width + at % width < n)).collect();
    let band = exec.upload(&data, width).unwrap();
    let document = 0..n;
    let units = SegmentUnits { tokens: &[1; 9], bonuses: None, documents: from_ref(&document) };
    let rule = SegmentRule {
        objective: Objective::Kcpd,
        penalty: 0.0,
        size_weight: 0.0,
        target_tokens: 1,
        max_tokens: 100,
        min_tokens: 0,
        special_tokens: 0,
    };
    let found = exec.segment(&band, units, &rule).unwrap();
    assert_eq!(found[0].ends, [1, 5, 9]);
    assert_eq!(widen(&[0.0; 10]), found[0].costs);
}

#[test]
fn units_that_do_not_fit_are_refused() {
    let _turn = turn();
    let exec = exec(Dtype::F32);
    let band = exec.upload(&units(12, 5, 3), 3).unwrap();
    let rule = Case::random(1, 5).rule;
    let run = |tokens: &[usize], bonuses: Option<&[f32]>, document: Range<usize>| {
        exec.segment(&band, SegmentUnits { tokens, bonuses, documents: &[document] }, &rule)
    };
    assert!(run(&[1; 5], Some(&[0.0; 5]), 0..5).is_ok());
    let tokens = run(&[1; 4], None, 0..5);
    assert!(matches!(tokens, Err(Error::Length { what: "tokens of units", .. })));
    let bonuses = run(&[1; 5], Some(&[0.0; 6]), 0..5);
    assert!(matches!(bonuses, Err(Error::Length { what: "bonuses of units", .. })));
    check_index(run(&[1; 5], None, 2..6), ("end of a document", 6, 6));
    let limit = u32::MAX as usize + 1;
    let sum = 5 * (1 << 32) + rule.special_tokens;
    check_index(run(&[1 << 32; 5], None, 0..5), ("tokens of all units", sum, limit));
    // A band without a width does not even come to the device.
    assert!(matches!(exec.upload(&[], 0), Err(Error::Length { what: "row", .. })));
}
