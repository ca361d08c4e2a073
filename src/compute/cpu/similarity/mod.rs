//! Inner products of rows with rows, of which only what is asked for is kept.

use super::super::exec::{Error, check_len};
use super::super::operands::Pairs;
use super::super::rows::{RowValues, Rows};
use super::CpuExec;

impl CpuExec {
    /// Writes the banded Gram matrix of `rows`, `[n, width]` f32: element `(i, d)` is the score of
    /// rows `i` and `i + d`, zero past the last row. A value's bits depend on its two rows alone.
    ///
    /// # Errors
    /// [`Error::Length`] where `output` has another size.
    pub fn band(&self, rows: Rows<'_>, width: usize, output: &mut [f32]) -> Result<(), Error> {
        check_len("band", output.len(), rows.len() * width)?;
        let (n, widened) = (rows.len(), widen(rows));
        for (i, scores) in output.chunks_exact_mut(width.max(1)).enumerate() {
            for (d, score) in scores.iter_mut().enumerate() {
                *score =
                    if i + d < n { dot(&widened, &widened, i, i + d, rows.dim()) } else { 0.0 };
            }
        }
        Ok(())
    }

    /// Writes the scores of all rows of `a` with all rows of `b`: `[m, n]` f32.
    ///
    /// # Errors
    /// [`Error::Length`] where the columns differ or `output` has another size,
    /// [`Error::Formats`] where rows of the two formats have no scores.
    pub fn pairwise(&self, a: Rows<'_>, b: Rows<'_>, output: &mut [f32]) -> Result<(), Error> {
        check(a, b)?;
        check_len("matrix of scores", output.len(), a.len() * b.len())?;
        let (dim, left, right) = (a.dim(), widen(a), widen(b));
        for (i, scores) in output.chunks_exact_mut(b.len().max(1)).enumerate() {
            for (j, score) in scores.iter_mut().enumerate() {
                *score = dot(&left, &right, i, j, dim);
            }
        }
        Ok(())
    }

    /// For each row of `a` the `k` rows of `b` with the largest scores, as `(row of b, score)`, the
    /// largest first, of equal ones the smaller row. Where `b` has fewer rows, all of them.
    /// `exclude_self` leaves out row `i` of `b` for row `i` of `a`. NaN is never among the best.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn top_k(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        k: usize,
        exclude_self: bool,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        let mut scores = vec![0.0; a.len() * b.len()];
        self.pairwise(a, b, &mut scores)?;
        let best = |i: usize| {
            let row = scores[i * b.len()..(i + 1) * b.len()].iter().enumerate();
            let row = row.filter(|&(j, score)| !score.is_nan() && !(exclude_self && i == j));
            let mut row: Vec<(u32, f32)> = row.map(|(j, &score)| (j as u32, score)).collect();
            row.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
            row.truncate(k);
            row
        };
        Ok((0..a.len()).map(best).collect())
    }

    /// All `(i, j, score)` with a score of at least `least` among `pairs` of rows of `a` and `b`,
    /// sorted by `i` and `j`.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn threshold(
        &self,
        a: Rows<'_>,
        b: Rows<'_>,
        least: f32,
        pairs: Pairs,
    ) -> Result<Vec<(u32, u32, f32)>, Error> {
        let mut scores = vec![0.0; a.len() * b.len()];
        self.pairwise(a, b, &mut scores)?;
        let all = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j)));
        let wanted = all.filter(|&(i, j)| pairs.contain(i, j));
        let scored = wanted.map(|(i, j)| (i as u32, j as u32, scores[i * b.len() + j]));
        Ok(scored.filter(|&(_, _, score)| score >= least).collect())
    }

    /// The `k` best rows for each of a few `queries`, as [`top_k`](Self::top_k) gives them, in one
    /// pass over `rows` in order, which may be mapped from a file.
    ///
    /// # Errors
    /// As [`pairwise`](Self::pairwise).
    pub fn scan(
        &self,
        queries: Rows<'_>,
        rows: Rows<'_>,
        k: usize,
    ) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        self.top_k(queries, rows, k, false)
    }
}

fn check(a: Rows<'_>, b: Rows<'_>) -> Result<(), Error> {
    if !a.format().compares_with(b.format()) {
        return Err(Error::Formats { a: a.format(), b: b.format() });
    }
    check_len("a row to compare with", b.dim(), a.dim())
}

fn widen(rows: Rows<'_>) -> Vec<f32> {
    match rows.values() {
        RowValues::F32(values) => values.to_vec(),
        RowValues::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
        RowValues::Bf16(values) => values.iter().map(|x| x.to_f32()).collect(),
        RowValues::Int8(values, scales) => {
            let scale = |i: usize| scales[if scales.len() == 1 { 0 } else { i / rows.dim() }];
            values.iter().enumerate().map(|(i, &x)| f32::from(x) * scale(i)).collect()
        }
        RowValues::Binary(bits) => {
            let dim = rows.dim();
            let unit = 1.0 / (dim as f32).sqrt();
            let bit =
                |i: usize| bits[i / dim * dim.div_ceil(8) + i % dim / 8] >> (7 - i % dim % 8) & 1;
            (0..rows.len() * dim).map(|i| if bit(i) == 1 { unit } else { -unit }).collect()
        }
    }
}

fn dot(a: &[f32], b: &[f32], i: usize, j: usize, dim: usize) -> f32 {
    let pairs = a[i * dim..(i + 1) * dim].iter().zip(&b[j * dim..(j + 1) * dim]);
    pairs.map(|(x, y)| x * y).sum()
}
