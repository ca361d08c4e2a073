//! Whole matrices of scores and bands of them.

use chunkflow::similarity::{Band, Device, RowFormat, Rows, band, pairwise};

use super::{SHAPES, Stored, devices, on_all, tolerance};
use crate::support::bits;

fn matrix(device: &Device, a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; a.len() * b.len()];
    pairwise(device, a, b, &mut scores).unwrap();
    scores
}

#[track_caller]
fn check(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (at, (&x, y)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(x) - y).abs() <= tolerance, "{what}: {x} at {at}, not {y}");
    }
}

#[test]
fn every_score_is_an_inner_product() {
    on_all(|what, device, format| {
        for (m, n, dim) in SHAPES {
            let (a, b) = (Stored::random(format, 1, m, dim), Stored::random(format, 2, n, dim));
            let what = format!("{what} {m} x {n} x {dim}");
            check(&what, &matrix(device, a.rows(), b.rows()), &a.scores(&b), tolerance(dim));
        }
    });
}

#[test]
fn half_of_a_symmetric_matrix_is_mirrored_bit_by_bit() {
    on_all(|what, device, format| {
        for (len, dim) in [(1, 5), (15, 3), (118, 31), (700, 3), (1_051, 2)] {
            let rows = Stored::random(format, 3, len, dim);
            let copy = rows.clone();
            let halved = matrix(device, rows.rows(), rows.rows());
            let whole = matrix(device, rows.rows(), copy.rows());
            assert_eq!(bits(&halved), bits(&whole), "{what} {len} x {dim}");
            for (i, j) in (0..len).flat_map(|i| (0..i).map(move |j| (i, j))) {
                let pair = [whole[i * len + j], whole[j * len + i]].map(f32::to_bits);
                assert_eq!(pair[0], pair[1], "{what} {len} x {dim}: {i}, {j}");
            }
        }
    });
}

#[test]
fn floating_point_formats_compare_with_each_other() {
    for (isa, device) in devices() {
        let floats = [RowFormat::F32, RowFormat::F16, RowFormat::Bf16];
        for (a, b) in floats.into_iter().flat_map(|a| floats.map(|b| (a, b))) {
            let (a, b) = (Stored::random(a, 4, 9, 37), Stored::random(b, 5, 34, 37));
            let what = format!("{isa} {} with {}", a.format, b.format);
            check(&what, &matrix(&device, a.rows(), b.rows()), &a.scores(&b), tolerance(37));
        }
    }
}

#[test]
fn signs_and_bytes_have_exact_scores() {
    for (isa, device) in devices() {
        for (format, scale) in [(RowFormat::Binary, 1.0), (RowFormat::Int8, 0.25)] {
            for dim in [1, 7, 48, 384, 1_000] {
                let mut rows = Stored::random(format, 6, 20, dim);
                rows.int8.1 = vec![scale; 20];
                let scores = matrix(&device, rows.rows(), rows.rows());
                let expected = rows.scores(&rows);
                for (at, (x, y)) in scores.iter().zip(expected).enumerate() {
                    assert_eq!(
                        x.to_bits(),
                        (y as f32 + 0.0).to_bits(),
                        "{isa} {format} {dim}: {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn bits_beyond_the_columns_are_not_looked_at() {
    for (_, device) in devices() {
        let rows = Stored::random(RowFormat::Binary, 7, 6, 13);
        let mut spoilt = rows.bits.clone();
        spoilt.iter_mut().skip(1).step_by(4).for_each(|byte| *byte |= 0b111);
        let spoilt = Rows::binary(&spoilt, 13).unwrap();
        let expected = matrix(&device, rows.rows(), rows.rows());
        assert_eq!(matrix(&device, spoilt, rows.rows()), expected);
        assert_eq!(band(&device, spoilt, 3).unwrap(), band(&device, rows.rows(), 3).unwrap());
    }
}

#[test]
fn one_scale_serves_all_rows() {
    let rows = Stored::random(RowFormat::Int8, 8, 5, 9);
    let each = Rows::int8(&rows.int8.0, &[0.5; 5], 9).unwrap();
    let all = Rows::int8(&rows.int8.0, &[0.5], 9).unwrap();
    let device = Device::default();
    assert_eq!(matrix(&device, each, each), matrix(&device, all, all));
    assert_eq!(matrix(&device, each.slice(1..4), each), matrix(&device, all.slice(1..4), all));
}

#[test]
fn bands_are_the_scores_of_neighbours() {
    on_all(|what, device, format| {
        for (len, dim) in [(1, 1), (2, 7), (25, 4), (130, 33), (150, 384), (1_000, 3)] {
            let rows = Stored::random(format, 9, len, dim);
            let expected = rows.scores(&rows);
            for width in [1, 5, 64, 70, 131] {
                let actual = band(device, rows.rows(), width).unwrap();
                for (i, d) in (0..len).flat_map(|i| (0..width.min(len - i)).map(move |d| (i, d))) {
                    let (x, y) = (actual.similarity(i, i + d), expected[i * (len + 1) + d]);
                    let what = format!("{what} {len} x {dim}, {width}: {i} + {d}");
                    assert!((f64::from(x) - y).abs() <= tolerance(dim), "{what}: {x}, not {y}");
                }
            }
        }
    });
}

#[test]
fn a_band_ends_with_zeros() {
    on_all(|what, device, format| {
        let rows = Stored::random(format, 10, 70, 9);
        let width = 66;
        let mut expected = vec![0.0; 70 * width];
        let actual = band(device, rows.rows(), width).unwrap();
        for (i, row) in expected.chunks_exact_mut(width).enumerate() {
            for (d, score) in row.iter_mut().enumerate().take(70 - i) {
                *score = actual.similarity(i, i + d);
            }
        }
        assert_eq!(actual, Band::new(expected, width), "{what}");
    });
}

#[test]
fn scores_in_a_band_depend_on_their_two_rows_alone() {
    on_all(|what, device, format| {
        let rows = Stored::random(format, 11, 1_000, 19);
        let whole = band(device, rows.rows(), 80).unwrap();
        for (range, width) in [(1..1_000, 3), (397..500, 90), (959..963, 4)] {
            let part = band(device, rows.rows().slice(range.clone()), width).unwrap();
            for i in range.clone() {
                for j in i..range.end.min(i + width.min(80)) {
                    let first = range.start;
                    let pair = [whole.similarity(i, j), part.similarity(i - first, j - first)];
                    assert_eq!(pair[0].to_bits(), pair[1].to_bits(), "{what}: {i}, {j}");
                }
            }
        }
    });
}
