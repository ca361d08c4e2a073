//! Rows brought to length one, so that their scores are cosines.

use rayon::prelude::*;

use super::error::Error;
use super::rows::{RowValues, Rows};

/// Rows of length one. A row of zeros stays as it is: its cosine with every row counts as 0.
pub struct UnitRows<'a> {
    values: Values<'a>,
    dim: usize,
}

enum Values<'a> {
    /// `[len, dim]`.
    Floats(Vec<f32>),
    /// `[len, dim]`, and scales `[len]`.
    Int8(&'a [i8], Vec<f32>),
    /// Bits stand for signs, which have one length.
    Binary(&'a [u8]),
}

impl<'a> UnitRows<'a> {
    /// `rows` divided by their lengths: floating point as a copy in f32, int8 by its scales alone.
    /// Each row's bits depend on that row alone.
    #[must_use]
    pub fn new(rows: Rows<'a>) -> Self {
        let dim = rows.dim();
        let values = match rows.values() {
            RowValues::F32(values) => Values::Floats(unit(values, dim)),
            RowValues::F16(values) => Values::Floats(unit(values, dim)),
            RowValues::Bf16(values) => Values::Floats(unit(values, dim)),
            RowValues::Int8(values, scales) => {
                let lengths = values.par_chunks_exact(dim).map(|row| inverse(length_squared(row)));
                let given = |row: usize| scales[if scales.len() == 1 { 0 } else { row }];
                // A scale of zero makes a row of zeros, and one that is no number unknown scores.
                let units = lengths.enumerate().map(|(row, inverse)| match given(row) {
                    0.0 => 0.0,
                    scale if scale.is_finite() => (inverse as f32).copysign(scale),
                    _ => f32::NAN,
                });
                Values::Int8(values, units.collect())
            }
            RowValues::Binary(bits) => Values::Binary(bits),
        };
        Self { values, dim }
    }

    /// The same for `[len, dim]` values that are given away.
    ///
    /// # Errors
    /// [`Error::Length`] where there are no columns or `values` are not whole rows.
    pub fn from_f32(mut values: Vec<f32>, dim: usize) -> Result<Self, Error> {
        Rows::f32(&values, dim)?;
        values.par_chunks_exact_mut(dim).for_each(|row| {
            let inverse = inverse(length_squared(row));
            for x in row {
                *x = (f64::from(*x) * inverse) as f32;
            }
        });
        Ok(Self { values: Values::Floats(values), dim })
    }

    /// The rows.
    ///
    /// # Errors
    /// None that the rows they were made from did not have.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        match &self.values {
            Values::Floats(values) => Rows::f32(values, self.dim),
            Values::Int8(values, scales) => Rows::int8(values, scales, self.dim),
            Values::Binary(bits) => Rows::binary(bits, self.dim),
        }
    }

    /// Their values, `[len, dim]`, where they are of floating point.
    #[must_use]
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            _ => None,
        }
    }
}

fn unit<T: Copy + Into<f64> + Sync>(values: &[T], dim: usize) -> Vec<f32> {
    let mut unit = vec![0.0; values.len()];
    let rows = values.par_chunks_exact(dim).zip(unit.par_chunks_exact_mut(dim));
    rows.for_each(|(row, unit)| {
        let inverse = inverse(length_squared(row));
        for (&x, unit) in row.iter().zip(unit) {
            *unit = (x.into() * inverse) as f32;
        }
    });
    unit
}

/// The factor that brings a row to length one.
fn inverse(length_squared: f64) -> f64 {
    if length_squared > 0.0 { length_squared.sqrt().recip() } else { 0.0 }
}

/// The sum of squares, in one order whatever the machine: eight partial sums keep its units busy.
fn length_squared<T: Copy + Into<f64>>(row: &[T]) -> f64 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, &x) in sums.iter_mut().zip(eight) {
            let x: f64 = x.into();
            *sum += x * x;
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        let x: f64 = x.into();
        *sum += x * x;
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::super::{CpuExec, Dtype, Isa};
    use super::{Rows, UnitRows};

    /// Cosines of all rows with all, in f64.
    fn cosines(values: &[f64], dim: usize) -> Vec<f64> {
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        let rows: Vec<&[f64]> = values.chunks_exact(dim).collect();
        let pairs = rows.iter().flat_map(|a| rows.iter().map(move |b| (a, b)));
        let cosine = |(a, b): (&&[f64], &&[f64])| {
            let norm = (dot(a, a) * dot(b, b)).sqrt();
            if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
        };
        pairs.map(cosine).collect()
    }

    fn check(rows: Rows<'_>, values: &[f64]) {
        let unit = UnitRows::new(rows);
        let rows = unit.rows().unwrap();
        let mut scores = vec![f32::NAN; rows.len() * rows.len()];
        let exec = CpuExec::with(Isa::detect(), Dtype::F32);
        exec.pairwise(rows, rows, &mut scores).unwrap();
        for (score, cosine) in scores.iter().zip(cosines(values, rows.dim())) {
            assert!((f64::from(*score) - cosine).abs() < 1e-6, "{score} for {cosine}");
        }
    }

    #[test]
    fn scores_of_unit_rows_are_cosines() {
        // Rows of very different lengths, one of zeros, one whose squares leave f32.
        let scales = [1.0, 1e-30, 0.0, 1e30, 37.5];
        for dim in [1, 3, 8, 21] {
            let value = |at: usize| ((at * 7_919 + 13) % 1_009) as f32 / 504.5 - 1.0;
            let floats: Vec<f32> = (0..5 * dim).map(|at| value(at) * scales[at / dim]).collect();
            let widened: Vec<f64> = floats.iter().map(|&x| f64::from(x)).collect();
            check(Rows::f32(&floats, dim).unwrap(), &widened);
            let halves: Vec<f16> = (0..5 * dim).map(|at| f16::from_f32(value(at))).collect();
            let widened: Vec<f64> = halves.iter().map(|x| x.to_f64()).collect();
            check(Rows::f16(&halves, dim).unwrap(), &widened);
            let bytes: Vec<i8> = (0..5 * dim).map(|at| (value(at) * 127.0) as i8).collect();
            let widened = bytes.iter().enumerate();
            let widened = widened.map(|(at, &x)| f64::from(x) * f64::from(scales[at / dim]));
            let widened: Vec<f64> = widened.collect();
            check(Rows::int8(&bytes, &scales, dim).unwrap(), &widened);
        }
        let unit = UnitRows::from_f32(vec![3.0, 4.0, 0.0, 0.0], 2).unwrap();
        assert_eq!(unit.floats().unwrap(), [0.6, 0.8, 0.0, 0.0]);
        assert!(UnitRows::from_f32(vec![0.0; 3], 2).is_err());
    }
}
