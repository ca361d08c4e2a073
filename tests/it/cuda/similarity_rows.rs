//! Similarities of rows on the host, in every storage format and in slices of any size, against
//! loops in f64 and against the CPU.

use chunkflow::compute::{self, CudaDevice};
use chunkflow::similarity::{
    Device, Error, Neighbour, Pair, Pairs, RowFormat, Rows, band, duplicates, pairwise, scan,
    threshold, top_k,
};
use half::{bf16, f16};

use super::emulation::Emulation;
use super::{ordinal, turn};
use crate::exec::{check, random};
use crate::support::bits;
use crate::support::random_model::SplitMix64;

const FORMATS: [RowFormat; 5] =
    [RowFormat::F32, RowFormat::F16, RowFormat::Bf16, RowFormat::Int8, RowFormat::Binary];
/// Bytes of a slice: of all rows, and of few, which are no multiple of a tile.
const SLICES: [usize; 3] = [1 << 20, 9_000, 1_300];

fn on_slices(slice_bytes: usize) -> Device {
    let device = CudaDevice::open(ordinal()).expect("run these by `make test-cuda`");
    Device::Cuda(device.similarity().unwrap().with_slice_bytes(slice_bytes))
}

/// Rows in one of the formats.
enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    Int8(Vec<i8>, Vec<f32>),
    Binary(Vec<u8>),
}

struct Stored {
    values: Values,
    dim: usize,
}

impl Stored {
    /// `values` up to 1 as they are stored: int8 with scales that differ, bits with ones past the
    /// last column of every other row.
    fn new(format: RowFormat, values: &[f32], dim: usize) -> Self {
        let rows = values.chunks_exact(dim);
        let values = match format {
            RowFormat::F32 => Values::F32(values.to_vec()),
            RowFormat::F16 => Values::F16(values.iter().map(|&x| f16::from_f32(x)).collect()),
            RowFormat::Bf16 => Values::Bf16(values.iter().map(|&x| bf16::from_f32(x)).collect()),
            RowFormat::Int8 => {
                let scale = |row: usize| [0.5, 0.25, 1.0][row % 3] / 127.0;
                let scales = (0..rows.len()).map(scale).collect();
                Values::Int8(values.iter().map(|x| (x * 127.0).round() as i8).collect(), scales)
            }
            RowFormat::Binary => {
                let byte = |eight: &[f32], past: bool| {
                    let bits = (0..8).map(|at| eight.get(at).map_or(past, |&x| x > 0.0));
                    bits.fold(0, |byte, bit| byte << 1 | u8::from(bit))
                };
                let bytes = rows.enumerate().flat_map(|(row, values)| {
                    values.chunks(8).map(move |eight| byte(eight, row % 2 == 0))
                });
                Values::Binary(bytes.collect())
            }
        };
        Self { values, dim }
    }

    /// Of whole numbers, so that every sum is exact and many are equal.
    fn whole(format: RowFormat, seed: u64, len: usize, dim: usize) -> Self {
        let mut choices = SplitMix64::new(seed);
        let values: Vec<f32> = (0..len * dim).map(|_| choices.choose(&[-1.0, 0.0, 1.0])).collect();
        if format != RowFormat::Int8 {
            return Self::new(format, &values, dim);
        }
        let scales = (0..len).map(|row| [0.5, 0.25, 1.0][row % 3]).collect();
        let values = Values::Int8(values.iter().map(|&x| x as i8).collect(), scales);
        Self { values, dim }
    }

    fn random(format: RowFormat, seed: u64, len: usize, dim: usize) -> Self {
        Self::new(format, &random(seed, len * dim, 1.0), dim)
    }

    fn rows(&self) -> Rows<'_> {
        let rows = match &self.values {
            Values::F32(values) => Rows::f32(values, self.dim),
            Values::F16(values) => Rows::f16(values, self.dim),
            Values::Bf16(values) => Rows::bf16(values, self.dim),
            Values::Int8(values, scales) => Rows::int8(values, scales, self.dim),
            Values::Binary(bits) => Rows::binary(bits, self.dim),
        };
        rows.unwrap()
    }

    /// What its values stand for.
    fn widened(&self) -> Vec<f64> {
        let (len, dim) = (self.rows().len(), self.dim);
        let value = |row: usize, column: usize| match &self.values {
            Values::F32(values) => f64::from(values[row * dim + column]),
            Values::F16(values) => values[row * dim + column].to_f64(),
            Values::Bf16(values) => values[row * dim + column].to_f64(),
            Values::Int8(values, scales) => {
                let scale = scales[if scales.len() == 1 { 0 } else { row }];
                f64::from(values[row * dim + column]) * f64::from(scale)
            }
            Values::Binary(bits) => {
                let byte = bits[row * dim.div_ceil(8) + column / 8];
                if byte >> (7 - column % 8) & 1 == 1 { 1.0 } else { -1.0 }
            }
        };
        (0..len).flat_map(|row| (0..dim).map(move |column| value(row, column))).collect()
    }
}

/// All scores, one loop a score.
fn scores(a: &Stored, b: &Stored) -> Vec<f64> {
    let unit = if matches!(a.values, Values::Binary(_)) { a.dim as f64 } else { 1.0 };
    let (left, right) = (a.widened(), b.widened());
    let mut all = Vec::new();
    for row in left.chunks_exact(a.dim) {
        for other in right.chunks_exact(b.dim) {
            // Never -0, which sorts below 0.
            let sum = row.iter().zip(other).fold(0.0, |sum, (x, y)| sum + x * y);
            all.push(sum / unit);
        }
    }
    all
}

/// What f32 sums of products of values up to 1 may be off by.
fn tolerance(dim: usize) -> f64 {
    3e-7 * (dim as f64 + 1.0)
}

fn matrix(device: &Device, a: Rows<'_>, b: Rows<'_>) -> Vec<f32> {
    let mut output = vec![f32::NAN; a.len() * b.len()];
    pairwise(device, a, b, &mut output).unwrap();
    output
}

fn on_every_format(test: impl Fn(&Device, RowFormat, &str)) {
    let _turn = turn();
    for slice_bytes in SLICES {
        let device = on_slices(slice_bytes);
        for format in FORMATS {
            test(&device, format, &format!("{format}, slices of {slice_bytes} bytes"));
        }
    }
}

#[test]
fn matrices_hold_every_score() {
    on_every_format(|device, format, what| {
        for (m, n, dim) in [
            (1, 1, 1),
            (3, 70, 7),
            (65, 130, 33),
            (129, 40, 128),
            (130, 64, 100),
            (9, 70, 61),
            (7, 9, 384),
        ] {
            let (a, b) = (Stored::random(format, 1, m, dim), Stored::random(format, 2, n, dim));
            let found = matrix(device, a.rows(), b.rows());
            check(&format!("{what}: {m} x {n} x {dim}"), &found, &scores(&a, &b), tolerance(dim));
        }
    });
}

#[test]
fn matrices_of_rows_with_themselves_are_symmetric() {
    on_every_format(|device, format, what| {
        for (n, dim) in [(1, 5), (63, 32), (130, 33), (200, 24), (300, 8)] {
            let rows = Stored::random(format, 3, n, dim);
            let found = matrix(device, rows.rows(), rows.rows());
            check(&format!("{what}: {n} x {dim}"), &found, &scores(&rows, &rows), tolerance(dim));
            for i in 0..n {
                for j in 0..i {
                    let pair = [found[i * n + j], found[j * n + i]].map(f32::to_bits);
                    assert_eq!(pair[0], pair[1], "{what}: {n} x {dim}, {i} and {j}");
                }
            }
            // Of another place, so that they are not known to be the same.
            let copy = Stored::random(format, 3, n, dim);
            assert_eq!(bits(&matrix(device, rows.rows(), copy.rows())), bits(&found), "{what}");
        }
    });
}

#[test]
fn bands_hold_the_scores_of_neighbours() {
    on_every_format(|device, format, what| {
        for (n, dim) in [(1, 1), (2, 7), (63, 100), (130, 33), (70, 128)] {
            let rows = Stored::random(format, 4, n, dim);
            let all = scores(&rows, &rows);
            for width in [1, 5, 40, 140] {
                let found = band(device, rows.rows(), width).unwrap();
                let score = |i: usize, d: usize| if i + d < n { all[i * n + i + d] } else { 0.0 };
                let expected = (0..n).flat_map(|i| (0..width).map(move |d| score(i, d)));
                let expected: Vec<f64> = expected.collect();
                let what = format!("{what}: {n} x {dim}, {width}");
                check(&what, found.values(), &expected, tolerance(dim));
            }
        }
    });
}

/// The best by the definition: all scores, sorted.
fn best(a: &Stored, b: &Stored, k: usize, exclude_self: bool) -> Vec<Vec<Neighbour>> {
    let columns = b.rows().len();
    let all = scores(a, b);
    let of_row = |i: usize| {
        let row = all[i * columns..][..columns].iter().enumerate();
        let others = row.filter(|&(j, x)| !(x.is_nan() || (exclude_self && i == j)));
        let scored = others.map(|(j, &x)| Neighbour { row: j as u32, score: x as f32 });
        let mut scored: Vec<Neighbour> = scored.collect();
        scored.sort_by(|x, y| y.score.total_cmp(&x.score).then(x.row.cmp(&y.row)));
        scored.truncate(k);
        scored
    };
    (0..a.rows().len()).map(of_row).collect()
}

#[test]
fn the_best_are_the_head_of_all_scores_and_ties_are_in_order() {
    on_every_format(|device, format, what| {
        for (m, n, dim) in [(1, 1, 3), (3, 200, 5), (40, 170, 33), (140, 300, 4), (5, 150, 384)] {
            let (a, b) = (Stored::whole(format, 5, m, dim), Stored::whole(format, 6, n, dim));
            for (k, exclude_self) in
                [(1, false), (7, true), (128, false), (129, true), (250, false), (500, true)]
            {
                let found = top_k(device, a.rows(), b.rows(), k, exclude_self).unwrap();
                let expected = best(&a, &b, k, exclude_self);
                assert!(found == expected, "{what}: {m} x {n} x {dim}, {k} {exclude_self}");
                if !exclude_self {
                    assert!(scan(device, a.rows(), b.rows(), k).unwrap() == expected, "{what}");
                }
            }
        }
    });
}

#[test]
fn no_row_is_its_own_neighbour_wherever_slices_and_tiles_meet() {
    let _turn = turn();
    // Points of a circle: each is its own nearest.
    let angles = (0..300_u16).map(|at| f32::from(at) * 0.02);
    let points: Vec<f32> = angles.flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let rows = Stored::new(RowFormat::F32, &points, 2);
    let nearest = |(found, at): (&[Neighbour], u32)| -> bool {
        found.len() == 1 && found[0].row.abs_diff(at) == 1
    };
    for rows_of_a in [1, 31, 33, 127, 128, 129, 130] {
        // A row of the first operand takes 16 bytes with its one key, one of the second 8.
        let device = on_slices(16 * rows_of_a);
        let found = top_k(&device, rows.rows(), rows.rows(), 1, true).unwrap();
        let wrong = found.iter().map(Vec::as_slice).zip(0..).find(|&found| !nearest(found));
        assert_eq!(wrong, None, "slices of {rows_of_a} rows");
    }
}

/// The pairs by the definition, sorted.
fn pairs_above(a: &Stored, b: &Stored, least: f32, pairs: Pairs) -> Vec<Pair> {
    let columns = b.rows().len();
    let scored = scores(a, b).into_iter().enumerate();
    let scored = scored.map(|(at, score)| (at / columns, at % columns, score as f32));
    let wanted = scored.filter(|&(i, j, score)| {
        let picked = match pairs {
            Pairs::All => true,
            Pairs::Distinct => i != j,
            Pairs::Upper => i < j,
        };
        picked && score >= least
    });
    wanted.map(|(i, j, score)| Pair { first: i as u32, second: j as u32, score }).collect()
}

#[test]
fn thresholds_find_every_pair_in_order() {
    on_every_format(|device, format, what| {
        for (n, dim) in [(1, 1), (63, 7), (140, 33), (300, 3)] {
            let a = Stored::whole(format, 7, n, dim);
            let b = Stored::whole(format, 8, n + 3, dim);
            for (pairs, other) in [(Pairs::All, &b), (Pairs::Distinct, &a), (Pairs::Upper, &a)] {
                // The first finds more pairs than there is room for at first.
                for least in [f32::NEG_INFINITY, 0.5, 2.0, 1e9] {
                    let found = threshold(device, a.rows(), other.rows(), least, pairs).unwrap();
                    let expected = pairs_above(&a, other, least, pairs);
                    assert!(found == expected, "{what}: {n} x {dim} {pairs:?} {least}");
                }
            }
        }
    });
}

#[test]
fn slices_change_no_bit() {
    let _turn = turn();
    let [whole, others @ ..] = SLICES.map(on_slices);
    for format in FORMATS {
        let (a, b) = (Stored::random(format, 9, 45, 40), Stored::random(format, 10, 300, 40));
        let least = 0.2;
        for device in &others {
            let [found, expected] = [device, &whole].map(|device| {
                (
                    bits(&matrix(device, a.rows(), b.rows())),
                    bits(band(device, b.rows(), 9).unwrap().values()),
                    top_k(device, a.rows(), b.rows(), 20, true).unwrap(),
                    top_k(device, a.rows(), b.rows(), 200, true).unwrap(),
                    threshold(device, a.rows(), b.rows(), least, Pairs::All).unwrap(),
                    duplicates(device, b.rows(), 0.9).unwrap(),
                )
            });
            assert!(found == expected, "{format}");
            assert_eq!(found.2[3], found.3[3][..20], "{format}: the kernel's and the host's best");
        }
    }
}

#[test]
fn a_score_has_the_same_bits_in_any_company() {
    on_every_format(|device, format, what| {
        let (n, dim) = (200, 100);
        let rows = Stored::random(format, 20, n, dim);
        let rows = rows.rows();
        let every = threshold(device, rows, rows, f32::NEG_INFINITY, Pairs::All).unwrap();
        let score = |i: usize, j: usize| every[i * n + j].score.to_bits();
        let matrix = matrix(device, rows, rows.slice(0..90));
        // One query among few and all among many.
        let alone = top_k(device, rows.slice(150..151), rows, 128, false).unwrap();
        let together = top_k(device, rows, rows, 128, false).unwrap();
        for (i, found) in [(150, &alone[0]), (150, &together[150]), (7, &together[7])] {
            for found in found {
                assert_eq!(found.score.to_bits(), score(i, found.row as usize), "{what}: {i}");
            }
        }
        for (at, x) in matrix.iter().enumerate() {
            assert_eq!(x.to_bits(), score(at / 90, at % 90), "{what}: {at}");
        }
        // The band's products are not those of matrix units.
        if format == RowFormat::F32 {
            let band = band(device, rows, 4).unwrap();
            for i in 0..n - 4 {
                let expected: Vec<u32> = (i..i + 4).map(|j| score(i, j)).collect();
                assert_eq!(bits(&band.values()[4 * i..][..4]), expected, "{what}: {i}");
            }
        }
    });
}

#[test]
fn results_are_those_of_the_processor() {
    const CLOSE: f32 = 1e-5;
    on_every_format(|device, format, what| {
        let cpu = Device::default();
        let (m, n, dim) = (37, 260, 96);
        // Of length about one, as vectors of texts are.
        let [a, b] = [(11, m), (12, n)].map(|(seed, len)| {
            let values: Vec<f32> = random(seed, len * dim, 1.0).iter().map(|x| x / 5.7).collect();
            Stored::new(format, &values, dim)
        });
        let (a, b) = (a.rows(), b.rows());
        for (x, y) in matrix(device, a, b).iter().zip(matrix(&cpu, a, b)) {
            assert!((x - y).abs() <= CLOSE, "{what}: {x} {y}");
        }
        let bands = [device, &cpu].map(|device| band(device, b, 6).unwrap());
        for (x, y) in bands[0].values().iter().zip(bands[1].values()) {
            assert!((x - y).abs() <= CLOSE, "{what}: {x} {y}");
        }
        let [found, expected] = [device, &cpu].map(|device| top_k(device, a, b, 20, true).unwrap());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.len(), expected.len(), "{what}");
            for (at, (x, y)) in found.iter().zip(expected).enumerate() {
                assert!((x.score - y.score).abs() <= CLOSE, "{what}: {x:?} {y:?}");
                // Alone at its place, also against the first that was left out.
                let differs = |other: &Neighbour| (other.score - y.score).abs() > CLOSE;
                let before = at == 0 || differs(&expected[at - 1]);
                let after = expected.get(at + 1).is_some_and(differs);
                assert!(x.row == y.row || !(before && after), "{what}: {x:?} {y:?}");
            }
        }
        let [found, expected] =
            [device, &cpu].map(|device| threshold(device, b, b, 0.15, Pairs::Upper).unwrap());
        let far = |pairs: &[Pair]| -> Vec<(u32, u32)> {
            let far = pairs.iter().filter(|pair| pair.score > 0.15 + CLOSE);
            far.map(|pair| (pair.first, pair.second)).collect()
        };
        assert_eq!(far(&found), far(&expected), "{what}");
    });
}

#[test]
fn duplicates_are_connected_components() {
    on_every_format(|device, format, what| {
        // Rows of 0..90, and the same with 30 between them: three of a kind.
        let mut values = random(13, 90 * 64, 1.0);
        values.extend_from_within(..30 * 64);
        values.extend_from_within(..10 * 64);
        let rows = Stored::new(format, &values, 64);
        let all = scores(&rows, &rows);
        let n = rows.rows().len();
        // Scores of rows with themselves are the largest, in every format.
        let own = (0..n).map(|i| all[i * n + i]).fold(f64::INFINITY, f64::min);
        let found = duplicates(device, rows.rows(), (own * 0.999) as f32).unwrap();
        let mut label: Vec<usize> = (0..n).collect();
        for _ in 0..n {
            for i in 0..n {
                for j in 0..n {
                    if i != j && all[i * n + j] >= own * 0.999 {
                        label[i] = label[i].min(label[j]);
                    }
                }
            }
        }
        let members = |leader: usize| -> Vec<u32> {
            (0..n).filter(|&i| label[i] == leader).map(|i| i as u32).collect()
        };
        let expected: Vec<Vec<u32>> = (0..n).map(members).filter(|all| all.len() > 1).collect();
        assert!(!expected.is_empty(), "{what}");
        assert_eq!(found, expected, "{what}");
    });
}

#[test]
fn formats_of_floating_point_are_compared_in_f32() {
    let _turn = turn();
    let floats = [RowFormat::F32, RowFormat::F16, RowFormat::Bf16];
    for slice_bytes in SLICES {
        let device = on_slices(slice_bytes);
        for (left, right) in floats.iter().flat_map(|a| floats.iter().map(move |b| (a, b))) {
            let (a, b) = (Stored::random(*left, 14, 40, 21), Stored::random(*right, 15, 70, 21));
            let what = format!("{left} and {right}, slices of {slice_bytes} bytes");
            let found = matrix(&device, a.rows(), b.rows());
            check(&what, &found, &scores(&a, &b), tolerance(21));
            let (a, b) = (Stored::whole(*left, 16, 40, 9), Stored::whole(*right, 17, 70, 9));
            let best_of = top_k(&device, a.rows(), b.rows(), 5, false).unwrap();
            assert!(best_of == best(&a, &b, 5, false), "{what}");
            let found = threshold(&device, a.rows(), b.rows(), 3.0, Pairs::All).unwrap();
            assert!(found == pairs_above(&a, &b, 3.0, Pairs::All), "{what}");
        }
    }
}

#[test]
fn scores_that_are_no_numbers_are_never_best() {
    let _turn = turn();
    for slice_bytes in [1 << 20, 8] {
        let device = on_slices(slice_bytes);
        let values = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 2.0];
        for format in [RowFormat::F32, RowFormat::F16, RowFormat::Bf16] {
            let (a, b) = (Stored::new(format, &[1.0], 1), Stored::new(format, &values, 1));
            let found = top_k(&device, a.rows(), b.rows(), 6, false).unwrap().remove(0);
            let found: Vec<(u32, f32)> = found.iter().map(|x| (x.row, x.score)).collect();
            let infinity = f32::INFINITY;
            assert_eq!(found, [(2, infinity), (5, 2.0), (0, 1.0), (4, 0.0), (3, -infinity)]);
            let found = threshold(&device, a.rows(), b.rows(), 1.0, Pairs::All).unwrap();
            let found: Vec<(u32, f32)> = found.iter().map(|x| (x.second, x.score)).collect();
            assert_eq!(found, [(0, 1.0), (2, infinity), (5, 2.0)], "{format}");
            let found = matrix(&device, b.rows(), b.rows());
            assert_eq!(found.iter().filter(|x| x.is_nan()).count(), 6 + 5 + 4, "{format}");
            // Nothing of what lies past the last row is multiplied with infinity.
            let band = band(&device, b.rows().slice(2..4), 3).unwrap();
            assert_eq!(band.values(), [infinity, -infinity, 0.0, infinity, 0.0, 0.0], "{format}");
        }
        // A row that could not be quantised.
        let rows = Rows::int8(&[3, 4, 5], &[1.0, f32::NAN, 1.0], 1).unwrap();
        let found = top_k(&device, rows, rows, 3, false).unwrap();
        let found: Vec<usize> = found.iter().map(Vec::len).collect();
        assert_eq!(found, [2, 0, 2]);
        assert_eq!(threshold(&device, rows, rows, 12.0, Pairs::All).unwrap().len(), 3);
    }
}

#[test]
fn a_scale_may_be_one_for_all_rows() {
    let _turn = turn();
    let device = on_slices(40);
    let values: Vec<i8> = (-60..60).collect();
    let rows = Stored { values: Values::Int8(values, vec![0.5]), dim: 6 };
    check("int8", &matrix(&device, rows.rows(), rows.rows()), &scores(&rows, &rows), 1e-7);
}

#[test]
fn comparisons_of_nothing_are_empty_and_wrong_ones_refused() {
    on_every_format(|device, format, what| {
        let (none, some) = (Stored::whole(format, 1, 0, 8), Stored::whole(format, 1, 2, 8));
        let (none, some) = (none.rows(), some.rows());
        assert!(top_k(device, none, some, 3, false).unwrap().is_empty(), "{what}");
        assert_eq!(top_k(device, some, none, 3, false).unwrap(), vec![Vec::new(); 2], "{what}");
        assert_eq!(top_k(device, some, some, 0, false).unwrap(), vec![Vec::new(); 2], "{what}");
        assert!(scan(device, none, some, 3).unwrap().is_empty(), "{what}");
        assert!(threshold(device, none, some, -9.0, Pairs::All).unwrap().is_empty(), "{what}");
        assert!(threshold(device, some, none, -9.0, Pairs::All).unwrap().is_empty(), "{what}");
        assert!(matrix(device, none, some).is_empty(), "{what}");
        assert!(matrix(device, some, none).is_empty(), "{what}");
        assert!(band(device, none, 3).unwrap().values().is_empty(), "{what}");
        assert!(band(device, some, 0).unwrap().values().is_empty(), "{what}");
        assert!(duplicates(device, none, 0.0).unwrap().is_empty(), "{what}");

        let wider = Stored::whole(format, 1, 2, 16);
        let refused = [
            pairwise(device, some, wider.rows(), &mut [0.0; 4]),
            top_k(device, some, wider.rows(), 1, false).map(|_| ()),
            threshold(device, some, wider.rows(), 0.0, Pairs::All).map(|_| ()),
            scan(device, some, wider.rows(), 1).map(|_| ()),
        ];
        for refused in refused {
            let error =
                compute::Error::Length { what: "a row to compare with", actual: 16, expected: 8 };
            assert_eq!(refused.unwrap_err().to_string(), error.to_string(), "{what}");
        }
        let short = pairwise(device, some, some, &mut [0.0; 3]);
        assert!(matches!(short, Err(Error::Compute(compute::Error::Length { actual: 3, .. }))));
        for other in FORMATS.into_iter().filter(|&other| !format.compares_with(other)) {
            let other = Stored::whole(other, 1, 2, 8);
            let refused = top_k(device, some, other.rows(), 1, false);
            assert!(matches!(refused, Err(Error::Compute(compute::Error::Formats { .. }))));
        }
    });
}

#[test]
fn a_corpus_beyond_the_devices_memory_goes_through_in_slices_on_two_streams() {
    let Some(emulation) = Emulation::take() else { return };
    let dim = 64;
    let rows = Stored::random(RowFormat::F32, 18, 16_000, dim);
    let queries = Stored::random(RowFormat::F32, 19, 3, dim);
    let expected = best(&queries, &rows, 10, false);
    emulation.set_memory(ordinal(), emulation.count("live_bytes") + (2 << 20));
    let device = Device::cuda(ordinal()).unwrap();
    emulation.reset();
    let found = scan(&device, queries.rows(), rows.rows(), 10).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        for (x, y) in found.iter().zip(expected) {
            assert!((x.score - y.score).abs() < 1e-5, "{x:?} {y:?}");
        }
    }
    assert_eq!(emulation.most_streams(), 2);
}

#[test]
fn operands_of_megabytes_go_up_in_pieces_through_memory_that_stays() {
    const PIECE_BYTES: usize = 8 << 20;
    let Some(emulation) = Emulation::take() else { return };
    // A piece and a half, three, three and a bit: each turn of the two pieces, whole and not.
    let dim = 64;
    for bytes in [PIECE_BYTES * 3 / 2, PIECE_BYTES * 3, PIECE_BYTES * 3 + 4 * dim] {
        let values = random(21, bytes / 4, 1.0);
        let device = on_slices(256 << 20);
        for again in [false, true] {
            emulation.reset();
            let found = band(&device, Rows::f32(&values, dim).unwrap(), 1).unwrap();
            assert_eq!(emulation.count("uploads"), bytes.div_ceil(PIECE_BYTES) as u64, "{bytes}");
            // Two pieces, and what the lane brings results by.
            assert!(emulation.count("pinned") <= if again { 0 } else { 3 }, "{bytes}");
            let squares = values
                .chunks_exact(dim)
                .map(|row| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>());
            let squares: Vec<f64> = squares.collect();
            check(&format!("{bytes} bytes"), found.values(), &squares, tolerance(dim));
        }
    }
}
