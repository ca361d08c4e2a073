//! What is selected from scores: the best of each row, pairs above a threshold, duplicates.

use chunkflow::compute::Error as ComputeError;
use chunkflow::similarity::{
    Device, Error, Neighbour, Pair, Pairs, RowFormat, Rows, duplicates, min_cosine, pairwise, scan,
    threshold, top_k,
};
use proptest::prelude::*;

use super::{SHAPES, Stored, devices, on_all, tolerance};
use crate::support::random_model::SplitMix64;

/// Rows of whole numbers from -1 to 1: every sum is exact and many are equal.
fn whole(format: RowFormat, seed: u64, len: usize, dim: usize) -> Stored {
    let mut choices = SplitMix64::new(seed);
    Stored::new(format, (0..len * dim).map(|_| choices.choose(&[-1.0, 0.0, 1.0])).collect(), dim)
}

fn scores(device: &Device, a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    let mut scores = vec![0.0; a.len() * b.len()];
    pairwise(device, a, b, &mut scores).unwrap();
    scores
}

/// The best by the definition: all of a row's scores that are numbers, sorted.
fn best(scores: &[f32], columns: usize, k: usize, exclude_self: bool) -> Vec<Vec<Neighbour>> {
    let best_of = |(i, row): (usize, &[f32])| {
        let others = row.iter().enumerate();
        let others = others.filter(|&(j, score)| !(score.is_nan() || exclude_self && i == j));
        let mut others: Vec<Neighbour> =
            others.map(|(j, &score)| Neighbour { row: j as u32, score }).collect();
        // Stable, so that equal scores stay in order.
        others.sort_by(|x, y| y.score.partial_cmp(&x.score).unwrap());
        others.truncate(k);
        others
    };
    scores.chunks_exact(columns).enumerate().map(best_of).collect()
}

#[test]
fn the_best_are_the_head_of_all_scores() {
    on_all(|what, device, format| {
        for (m, n, dim) in SHAPES {
            let (a, b) = (Stored::random(format, 1, m, dim), Stored::random(format, 2, n, dim));
            let all = scores(device, a.rows(), b.rows());
            for (k, exclude_self) in [(1, false), (7, true), (n + 3, false)] {
                let found = top_k(device, a.rows(), b.rows(), k, exclude_self).unwrap();
                let expected = best(&all, n, k, exclude_self);
                assert_eq!(found, expected, "{what} {m} x {n} x {dim}, {k}");
            }
        }
    });
}

#[test]
fn equal_scores_come_in_the_order_of_their_rows() {
    on_all(|what, device, format| {
        for (len, dim, k) in [(40, 2, 50), (130, 3, 7), (1_100, 2, 12), (20, 5, 1)] {
            let rows = whole(format, 3, len, dim);
            let (rows, copy) = (rows.rows(), rows.clone());
            let all = scores(device, rows, rows);
            for exclude_self in [false, true] {
                let expected = best(&all, len, k, exclude_self);
                for other in [rows, copy.rows()] {
                    let found = top_k(device, rows, other, k, exclude_self).unwrap();
                    assert_eq!(found, expected, "{what} {len} x {dim}, {k}");
                }
            }
            let few = scan(device, rows.slice(0..5), rows, k).unwrap();
            let expected = best(&all[..5 * len], len, k, false);
            for (found, expected) in few.iter().flatten().zip(expected.iter().flatten()) {
                // Scores of int8 have scales, whose products are rounded.
                assert_eq!(found.row, expected.row, "{what} {len} x {dim}, {k}");
                assert!((found.score - expected.score).abs() < 1e-6);
            }
        }
    });
}

#[test]
fn a_scan_finds_the_head_of_all_scores() {
    on_all(|what, device, format| {
        for (queries, len, dim) in [(1, 1, 1), (1, 500, 33), (5, 9, 384), (4, 5_000, 7), (2, 30, 3)]
        {
            let (a, b) =
                (Stored::random(format, 4, queries, dim), Stored::random(format, 5, len, dim));
            let all: Vec<f32> = a.scores(&b).into_iter().map(|x| x as f32).collect();
            let k = 9;
            let found = scan(device, a.rows(), b.rows(), k).unwrap();
            let expected = best(&all, len, k, false);
            for (query, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let what = format!("{what} {queries} x {len} x {dim}: {query}");
                assert_eq!(found.len(), expected.len(), "{what}");
                // Scores that rounding cannot tell apart may change places.
                for (x, y) in found.iter().zip(expected) {
                    let own = a.score(query, &b, x.row as usize);
                    assert!((f64::from(x.score) - own).abs() <= tolerance(dim), "{what}: {x:?}");
                    assert!(
                        f64::from((x.score - y.score).abs()) <= tolerance(dim),
                        "{what}: {x:?}"
                    );
                }
                let is_sorted = found.is_sorted_by(|x, y| {
                    x.score > y.score || (x.score >= y.score && x.row < y.row)
                });
                assert!(is_sorted, "{what}");
            }
        }
    });
}

#[test]
fn a_scan_of_bytes_or_bits_has_the_scores_of_a_matrix() {
    for (isa, device) in devices() {
        for format in [RowFormat::Int8, RowFormat::Binary] {
            for dim in [1, 13, 64, 100, 384, 500] {
                let (a, b) =
                    (Stored::random(format, 6, 3, dim), Stored::random(format, 7, 300, dim));
                let found = scan(&device, a.rows(), b.rows(), 20).unwrap();
                let expected = top_k(&device, a.rows(), b.rows(), 20, false).unwrap();
                assert_eq!(found, expected, "{isa} {format} {dim}");
            }
        }
    }
}

#[test]
fn pairs_are_all_that_reach_the_threshold() {
    on_all(|what, device, format| {
        for (len, dim) in [(1, 3), (35, 2), (118, 31), (1_030, 2)] {
            let rows = whole(format, 8, len, dim);
            let (rows, copy) = (rows.rows(), rows.clone());
            let all = scores(device, rows, rows);
            for (pairs, least) in [(Pairs::All, 0.5), (Pairs::Distinct, 1.0), (Pairs::Upper, -0.25)]
            {
                let wanted = |i: usize, j: usize| match pairs {
                    Pairs::All => true,
                    Pairs::Distinct => i != j,
                    Pairs::Upper => i < j,
                };
                let indices = (0..len).flat_map(|i| (0..len).map(move |j| (i, j)));
                let indices = indices.filter(|&(i, j)| wanted(i, j) && all[i * len + j] >= least);
                let expected: Vec<Pair> = indices
                    .map(|(i, j)| Pair {
                        first: i as u32,
                        second: j as u32,
                        score: all[i * len + j],
                    })
                    .collect();
                for other in [rows, copy.rows()] {
                    let found = threshold(device, rows, other, least, pairs).unwrap();
                    assert_eq!(found, expected, "{what} {len} x {dim}, {pairs:?}");
                }
            }
        }
    });
}

#[test]
fn what_is_not_a_number_is_never_found() {
    for (isa, device) in devices() {
        for format in [RowFormat::F32, RowFormat::F16, RowFormat::Bf16, RowFormat::Int8] {
            let mut values = crate::exec::random(9, 40 * 5, 1.0);
            values[3 * 5 + 1] = f32::NAN;
            values[17 * 5..18 * 5].fill(f32::INFINITY);
            values[17 * 5] = f32::NAN;
            let stored = Stored::new(format, values, 5);
            let (rows, what) = (stored.rows(), format!("{isa} {format}"));
            let all = scores(&device, rows, rows);
            let is_lost = |row: usize| row == 3 || row == 17;
            for (at, score) in all.iter().enumerate() {
                assert_eq!(score.is_nan(), is_lost(at / 40) || is_lost(at % 40), "{what}: {at}");
            }
            let found = top_k(&device, rows, rows, 50, false).unwrap();
            let scanned = scan(&device, rows, rows, 50).unwrap();
            for (row, (found, scanned)) in found.iter().zip(&scanned).enumerate() {
                let expected = if is_lost(row) { 0 } else { 38 };
                assert_eq!((found.len(), scanned.len()), (expected, expected), "{what}: {row}");
            }
            let pairs = threshold(&device, rows, rows, f32::NEG_INFINITY, Pairs::All).unwrap();
            assert_eq!(pairs.len(), 38 * 38, "{what}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for format in [RowFormat::F32, RowFormat::Int8, RowFormat::Binary] {
        let rows = Stored::random(format, 10, 1_300, 5);
        let copy = rows.clone();
        let all = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (device, rows, copy) = (Device::default(), rows.rows(), copy.rows());
                (
                    scores(&device, rows, rows),
                    top_k(&device, rows, rows, 6, true).unwrap(),
                    top_k(&device, rows.slice(0..40), copy, 6, false).unwrap(),
                    top_k(&device, rows, copy.slice(0..40), 6, false).unwrap(),
                    threshold(&device, rows, rows, 0.8, Pairs::Distinct).unwrap(),
                    scan(&device, rows.slice(7..9), rows, 6).unwrap(),
                    chunkflow::similarity::band(&device, rows, 9).unwrap(),
                )
            })
        };
        let one = all(1);
        for threads in [2, 3, 8] {
            assert!(all(threads) == one, "{format} on {threads} threads");
        }
    }
}

#[test]
fn nothing_is_found_among_nothing() {
    for (_, device) in devices() {
        let (some, none) = (Rows::f32(&[1.0; 6], 3).unwrap(), Rows::f32(&[], 3).unwrap());
        for (a, b) in [(some, none), (none, some), (none, none)] {
            pairwise(&device, a, b, &mut []).unwrap();
            assert_eq!(top_k(&device, a, b, 4, false).unwrap(), vec![Vec::new(); a.len()]);
            assert_eq!(scan(&device, a, b, 4).unwrap(), vec![Vec::new(); a.len()]);
            assert!(threshold(&device, a, b, 0.0, Pairs::All).unwrap().is_empty());
        }
        assert_eq!(top_k(&device, some, some, 0, false).unwrap(), vec![Vec::new(); 2]);
        assert_eq!(scan(&device, some, some, 0).unwrap(), vec![Vec::new(); 2]);
        assert!(duplicates(&device, none, 0.5).unwrap().is_empty());
        assert!(chunkflow::similarity::band(&device, none, 3).unwrap().is_empty());
        assert!(chunkflow::similarity::band(&device, some, 0).unwrap().is_empty());
    }
}

#[test]
fn thousands_of_equal_rows_are_one_cluster() {
    // Every third row is another one, and no group of columns holds them all.
    let values: Vec<f32> =
        (0..3_000).flat_map(|row| if row % 3 == 1 { [0.0, 1.0] } else { [1.0, 0.0] }).collect();
    let of = |kind: bool| (0..3_000).filter(move |row| (row % 3 == 1) == kind);
    let expected: Vec<Vec<u32>> = vec![of(false).collect(), of(true).collect()];
    for (isa, device) in devices() {
        let found = duplicates(&device, Rows::f32(&values, 2).unwrap(), 0.5).unwrap();
        assert!(found == expected, "{isa}");
    }
}

#[test]
fn a_threshold_of_minus_one_leaves_out_nan_alone() {
    assert_eq!((min_cosine(0.5), min_cosine(-0.999)), (0.5, -0.999));
    for (_, device) in devices() {
        let rows = [1.0, 0.0, -1.000_001, 0.0, f32::NAN, 1.0];
        let rows = Rows::f32(&rows, 2).unwrap();
        let found = threshold(&device, rows, rows, min_cosine(-1.0), Pairs::Upper).unwrap();
        let found: Vec<(u32, u32)> = found.iter().map(|pair| (pair.first, pair.second)).collect();
        assert_eq!(found, [(0, 1)]);
        assert_eq!(duplicates(&device, rows, min_cosine(-1.0)).unwrap(), [[0, 1]]);
    }
}

#[test]
fn operands_that_do_not_go_together_are_refused() {
    let device = Device::default();
    let (a, b) = (Rows::f32(&[1.0; 6], 3).unwrap(), Rows::f32(&[1.0; 6], 2).unwrap());
    let error = top_k(&device, a, b, 1, false).unwrap_err();
    assert!(matches!(error, Error::Compute(ComputeError::Length { actual: 2, expected: 3, .. })));
    let error = pairwise(&device, a, a, &mut [0.0; 3]).unwrap_err();
    assert!(matches!(error, Error::Compute(ComputeError::Length { actual: 3, expected: 4, .. })));
    let bits = Rows::binary(&[0, 1], 3).unwrap();
    let bytes = Rows::int8(&[1; 6], &[1.0], 3).unwrap();
    for (a, b) in [(a, bits), (bits, a), (bytes, bits), (a, bytes)] {
        let error = scan(&device, a, b, 1).unwrap_err();
        let words = format!("rows are {} and {}", a.format(), b.format());
        assert!(error.to_string().starts_with(&words), "{error}");
    }
}

/// The components of two rows or more, each row being joined with all that it is alike to until
/// nothing changes.
fn closure(alike: &dyn Fn(usize, usize) -> bool, len: usize) -> Vec<Vec<u32>> {
    let mut cluster: Vec<usize> = (0..len).collect();
    loop {
        let before = cluster.clone();
        for (i, j) in (0..len).flat_map(|i| (0..len).map(move |j| (i, j))) {
            if i != j && alike(i.min(j), i.max(j)) {
                cluster[i] = cluster[i].min(cluster[j]);
            }
        }
        if cluster == before {
            break;
        }
    }
    let clusters = (0..len).map(|first| {
        let members = (0..len).filter(|&row| cluster[row] == first);
        members.map(|row| row as u32).collect::<Vec<_>>()
    });
    clusters.filter(|members| members.len() > 1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn duplicates_are_connected_components(
        choices in prop::collection::vec(0..4_usize, 0..90),
        least in -1.0_f32..3.0,
    ) {
        // Points on a line of four directions, so that chains of likeness are long.
        let steps = [[1.0, 0.0], [0.9, 0.5], [0.3, 1.0], [-0.5, 1.1]];
        let values: Vec<f32> = choices.iter().flat_map(|&choice| steps[choice]).collect();
        let (device, rows) = (Device::default(), Rows::f32(&values, 2).unwrap());
        let all = scores(&device, rows, rows);
        let len = rows.len();
        let expected = closure(&|i, j| all[i * len + j] >= least, len);
        prop_assert_eq!(duplicates(&device, rows, least).unwrap(), expected);
    }
}
