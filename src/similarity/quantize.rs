//! From f32 rows to smaller formats.

use super::Error;
use crate::compute::Rows;

/// Rows of i8, each with its scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Rows {
    /// `[len, dim]`.
    pub values: Vec<i8>,
    /// `[len]`.
    pub scales: Vec<f32>,
    dim: usize,
}

impl Int8Rows {
    /// The rows, to be compared.
    ///
    /// # Errors
    /// When there are more columns than sums of 32 bits allow.
    pub fn rows(&self) -> Result<Rows<'_>, Error> {
        Ok(Rows::int8(&self.values, &self.scales, self.dim)?)
    }
}

/// Quantises each of the rows `[len, dim]` symmetrically: to the nearest multiple of its largest
/// magnitude over 127, ties to even. Where a value is not finite, its row's scale is NaN, and so
/// are the row's scores.
///
/// # Errors
/// When `values` are not whole rows.
pub fn int8(values: &[f32], dim: usize) -> Result<Int8Rows, Error> {
    Rows::f32(values, dim)?;
    let mut rows = Int8Rows { values: Vec::with_capacity(values.len()), scales: Vec::new(), dim };
    for row in values.chunks_exact(dim) {
        let is_finite = row.iter().all(|x| x.is_finite());
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        // So small a row counts as zero, as its factor would be infinite.
        let factor = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
        rows.values.extend(row.iter().map(|x| (x * factor).round_ties_even() as i8));
        rows.scales.push(if is_finite { largest / 127.0 } else { f32::NAN });
    }
    Ok(rows)
}

/// A bit for each value of the rows `[len, dim]`, set where it is above 0, the first column in the
/// highest bit of the first byte, as `numpy.packbits` packs them: `[len, dim.div_ceil(8)]`.
///
/// # Errors
/// When `values` are not whole rows.
pub fn bits(values: &[f32], dim: usize) -> Result<Vec<u8>, Error> {
    Rows::f32(values, dim)?;
    Ok(values.chunks_exact(dim).flat_map(row_bits).collect())
}

/// The bytes of one row of [`bits`].
pub(crate) fn row_bits(row: &[f32]) -> impl Iterator<Item = u8> + '_ {
    row.chunks(8).map(|eight| {
        let bits = eight.iter().enumerate();
        bits.fold(0, |byte, (place, &x)| byte | u8::from(x > 0.0) << (7 - place))
    })
}
