//! The operations on every device: checks what devices do not, and names what they find.

use super::{Band, Device, Error};
use crate::compute::{Pairs, Rows};

/// Rows that indices of 32 bits can name.
const MAX_ROWS: usize = u32::MAX as usize;

/// A row that was found, and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Index of the row.
    pub row: u32,
    /// Its score with the row that it was found for.
    pub score: f32,
}

/// Two rows and their score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Index of the row of the first operand.
    pub first: u32,
    /// Index of the row of the second operand.
    pub second: u32,
    /// Their score.
    pub score: f32,
}

/// The scores of each row with itself and the `width - 1` rows after it. A score's bits depend on
/// its two rows alone.
///
/// # Errors
/// Those of the device.
pub fn band(device: &Device, rows: Rows<'_>, width: usize) -> Result<Band, Error> {
    let mut data = vec![0.0; rows.len() * width];
    match device {
        Device::Cpu(exec) => exec.band(rows, width, &mut data)?,
        Device::Cuda(device) => device.band(rows, width, &mut data)?,
    }
    Ok(Band::new(data, width))
}

/// Writes the scores of all rows of `a: [m, dim]` with all rows of `b: [n, dim]` to `output`:
/// `[m, n]` f32. Where `a` and `b` are the same rows, half of them are computed.
///
/// # Errors
/// When the columns or formats of `a` and `b` do not go together or `output` has another size.
pub fn pairwise(
    device: &Device,
    a: Rows<'_>,
    b: Rows<'_>,
    output: &mut [f32],
) -> Result<(), Error> {
    match device {
        Device::Cpu(exec) => exec.pairwise(a, b, output)?,
        Device::Cuda(device) => device.pairwise(a, b, output)?,
    }
    Ok(())
}

/// For each row of `a` the `k` rows of `b` with the largest scores, the largest first, of equal
/// ones the smaller row. Where `b` has fewer rows, all of them. `exclude_self` leaves out row `i` of
/// `b` for row `i` of `a`. NaN is never among the best. No matrix of scores is stored.
///
/// # Errors
/// When the columns or formats of `a` and `b` do not go together, or there are too many rows.
pub fn top_k(
    device: &Device,
    a: Rows<'_>,
    b: Rows<'_>,
    k: usize,
    exclude_self: bool,
) -> Result<Vec<Vec<Neighbour>>, Error> {
    check_rows(a)?;
    check_rows(b)?;
    Ok(neighbours(match device {
        Device::Cpu(exec) => exec.top_k(a, b, k, exclude_self)?,
        Device::Cuda(device) => device.top_k(a, b, k, exclude_self)?,
    }))
}

/// A threshold of cosines for [`threshold`] and [`duplicates`](super::duplicates()): -1 finds all
/// scores but NaN, as sums are rounded and that of two opposite rows may be a little below.
#[must_use]
pub fn min_cosine(min_score: f32) -> f32 {
    if min_score <= -1.0 { f32::NEG_INFINITY } else { min_score }
}

/// All pairs of rows of `a` and `b` among `pairs` with a score of at least `least`, sorted by their
/// rows. No matrix of scores is stored.
///
/// # Errors
/// As [`top_k`].
pub fn threshold(
    device: &Device,
    a: Rows<'_>,
    b: Rows<'_>,
    min_score: f32,
    pairs: Pairs,
) -> Result<Vec<Pair>, Error> {
    check_rows(a)?;
    check_rows(b)?;
    let found = match device {
        Device::Cpu(exec) => exec.threshold(a, b, min_score, pairs)?,
        Device::Cuda(device) => device.threshold(a, b, min_score, pairs)?,
    };
    Ok(found.into_iter().map(|(first, second, score)| Pair { first, second, score }).collect())
}

/// As [`top_k`] for a few `queries`, in one pass over `rows` in order, which may be mapped from a
/// file.
///
/// # Errors
/// As [`top_k`].
pub fn scan(
    device: &Device,
    queries: Rows<'_>,
    rows: Rows<'_>,
    k: usize,
) -> Result<Vec<Vec<Neighbour>>, Error> {
    check_rows(rows)?;
    Ok(neighbours(match device {
        Device::Cpu(exec) => exec.scan(queries, rows, k)?,
        Device::Cuda(device) => device.scan(queries, rows, k)?,
    }))
}

fn neighbours(found: Vec<Vec<(u32, f32)>>) -> Vec<Vec<Neighbour>> {
    let named = |row: Vec<(u32, f32)>| {
        row.into_iter().map(|(row, score)| Neighbour { row, score }).collect()
    };
    found.into_iter().map(named).collect()
}

pub(super) fn check_rows(rows: Rows<'_>) -> Result<(), Error> {
    if rows.len() > MAX_ROWS {
        return Err(Error::TooManyRows { rows: rows.len(), limit: MAX_ROWS });
    }
    Ok(())
}
