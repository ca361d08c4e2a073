//! Rows are checked when they are made, and quantised as their formats say.

use chunkflow::compute::Error as ComputeError;
use chunkflow::similarity::{Rows, bits, int8};

use crate::exec::random;
use crate::support::naive;

#[test]
fn rows_are_whole() {
    let (floats, bytes) = ([0.0; 7], [0; 7]);
    for result in [
        Rows::f32(&floats, 2),
        Rows::int8(&bytes, &[1.0], 2),
        Rows::int8(&bytes[..6], &[1.0; 4], 2),
        Rows::int8(&bytes[..6], &[], 2),
        Rows::binary(&[0; 7], 9),
        Rows::f32(&floats, 0),
        Rows::binary(&[], 0),
    ] {
        assert!(matches!(result, Err(ComputeError::Length { .. })), "{result:?}");
    }
    let long = vec![0; 66_000];
    let refused = Rows::int8(&long, &[1.0], 66_000).unwrap_err().to_string();
    assert_eq!(refused, "rows of int8 have 66000 columns, at most 65793 are compared");
    assert_eq!(Rows::f32(&floats[..6], 2).unwrap().len(), 3);
    assert_eq!(Rows::binary(&[0; 6], 9).unwrap().len(), 3);
}

#[test]
fn bytes_are_the_nearest_multiples_of_a_rows_scale() {
    let mut values = random(1, 20 * 33, 3.0);
    values[33..66].fill(0.0);
    values[66] = -50.0;
    let rows = int8(&values, 33).unwrap();
    for (index, row) in values.chunks_exact(33).enumerate() {
        let expected = naive::quantise(row);
        let levels = rows.values[index * 33..][..33].iter().map(|&x| i64::from(x));
        assert_eq!(levels.collect::<Vec<_>>(), expected.levels, "{index}");
        assert!((f64::from(rows.scales[index]) - expected.scale).abs() < 1e-7, "{index}");
    }
    assert_eq!(rows.rows().unwrap().len(), 20);
    assert!(int8(&values, 7).is_err());
}

#[test]
fn rows_that_are_not_finite_have_no_scale() {
    let rows = int8(&[1.0, f32::NAN, 2.0, 4.0, f32::INFINITY, 0.0], 2).unwrap();
    assert!(rows.scales[0].is_nan() && rows.scales[2].is_nan());
    assert!((rows.scales[1] - 4.0 / 127.0).abs() < 1e-7);
}

#[test]
fn bits_are_packed_as_numpy_packs_them() {
    let values = [0.5, -1.0, 0.0, 2.0, -0.0, f32::NAN, 1.0, 1.0, 3.0, -2.0];
    assert_eq!(bits(&values, 10).unwrap(), [0b1001_0011, 0b1000_0000]);
    assert_eq!(bits(&values, 5).unwrap(), [0b1001_0000, 0b0111_0000]);
    assert!(bits(&values, 3).is_err());
}
