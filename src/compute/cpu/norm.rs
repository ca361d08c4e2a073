//! Norms: alone, and fused with the residual sum.

use super::super::error::{Error, check_len};
use super::super::norm::{NormKind, NormWeights, Norms};
use super::buffer::{Buffer, Rows};
use super::exec::CpuExec;
use super::narrow::Format;
use super::simd::{Op, Simd};

/// Rows of a task: enough work to be worth handing to another thread.
pub(super) const BLOCK_ROWS: usize = 64;

/// A norm over `[H]`.
pub struct Norm {
    kind: NormKind,
    weight: Vec<f32>,
    /// Zeros where the norm has none.
    bias: Vec<f32>,
    eps: f32,
}

impl Norm {
    pub(super) fn check_columns(&self, columns: usize) -> Result<(), Error> {
        check_len("norm weight", self.weight.len(), columns)
    }

    /// Normalises one row in place. Two passes: a one-pass variance loses digits to cancellation.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, row: &mut [f32]) {
        let len = row.len() as f32;
        let mean = match self.kind {
            NormKind::Layer => sum(simd, row, 0.0, |x| x) / len,
            NormKind::Rms => 0.0,
        };
        let shift = simd.splat(mean);
        let squares = sum(simd, row, mean, |x| {
            let deviation = simd.sub(x, shift);
            simd.mul(deviation, deviation)
        });
        let variance = squares / len;
        let factor = simd.splat(1.0 / (variance + self.eps).sqrt());
        for (index, x) in row.chunks_mut(S::LANES).enumerate() {
            let at = index * S::LANES;
            let weight = simd.load_head(&self.weight[at..]);
            let centred = simd.mul(simd.sub(simd.load_head(x), shift), factor);
            let bias = simd.load_head(&self.bias[at..]);
            simd.store_head(x, simd.mul_add(centred, weight, bias));
        }
    }
}

/// The sum of a function of a row's values, in four interleaved parts; the function of `fill` is 0.
#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32], fill: f32, value: impl Fn(S::F32) -> S::F32) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let mut blocks = row.chunks_exact(4 * S::LANES);
    for block in blocks.by_ref() {
        for (part, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add(*sum, value(simd.load_head(&block[part * S::LANES..])));
        }
    }
    for (x, sum) in blocks.remainder().chunks(S::LANES).zip(&mut sums) {
        *sum = simd.add(*sum, value(simd.load_head_or(x, fill)));
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

/// What stands before a norm.
#[derive(Clone, Copy)]
enum Sum<'a> {
    /// Nothing: the row is another buffer's.
    Copy(&'a [f32]),
    /// The row plus another buffer's.
    Add(&'a [f32]),
}

impl Norms for CpuExec {
    type Norm = Norm;

    fn load_norm(&self, weights: NormWeights<'_>) -> Result<Norm, Error> {
        weights.check()?;
        let NormWeights { kind, weight, bias, eps } = weights;
        let bias = bias.map_or_else(|| vec![0.0; weight.len()], <[f32]>::to_vec);
        Ok(Norm { kind, weight: weight.to_vec(), bias, eps })
    }

    fn norm(&self, x: &Buffer, norm: &Norm) -> Result<Buffer, Error> {
        norm.check_columns(x.cols())?;
        let mut output = Buffer::take(&self.arena, x.rows(), x.cols(), self.format());
        let sum = Sum::Copy(x.f32()?);
        output
            .rows_mut()
            .for_each_block(BLOCK_ROWS, &|rows| self.isa.run(Apply { sum, norm, rows }))?;
        Ok(output)
    }

    fn add_norm(
        &self,
        x: Buffer,
        inner: Option<&Norm>,
        residual: &mut Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        let x = match inner {
            Some(inner) => self.norm(&x, inner)?,
            None => x,
        };
        check_shapes(&x, residual, norm)?;
        let addend = x.f32()?;
        residual.renew(&self.arena, Format::F32)?;
        residual.rows_mut().for_each_block(BLOCK_ROWS, &|rows| {
            self.isa.run(Accumulate { addend, rows });
            Ok(())
        })?;
        self.norm(residual, norm)
    }

    fn residual_norm(
        &self,
        mut x: Buffer,
        residual: &Buffer,
        norm: &Norm,
    ) -> Result<Buffer, Error> {
        check_shapes(&x, residual, norm)?;
        x.renew(&self.arena, self.format())?;
        let sum = Sum::Add(residual.f32()?);
        x.rows_mut().for_each_block(BLOCK_ROWS, &|rows| self.isa.run(Apply { sum, norm, rows }))?;
        Ok(x)
    }
}

fn check_shapes(x: &Buffer, residual: &Buffer, norm: &Norm) -> Result<(), Error> {
    check_len("residual", residual.rows(), x.rows())?;
    check_len("residual columns", residual.cols(), x.cols())?;
    norm.check_columns(x.cols())
}

/// Sums and normalises a block of rows.
struct Apply<'a, 'b> {
    sum: Sum<'a>,
    norm: &'a Norm,
    rows: Rows<'b>,
}

impl Op for Apply<'_, '_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> Result<(), Error> {
        let Self { sum, norm, mut rows } = self;
        for index in 0..rows.len {
            let start = (rows.first + index) * rows.cols;
            let other = start..start + rows.cols;
            let row = rows.row(index);
            match sum {
                Sum::Copy(x) => row.copy_from_slice(&x[other]),
                Sum::Add(x) => add(simd, row, &x[other]),
            }
            norm.apply(simd, row);
            rows.narrow(simd, index);
        }
        Ok(())
    }
}

/// Adds another buffer's rows to a block of rows.
struct Accumulate<'a, 'b> {
    addend: &'a [f32],
    rows: Rows<'b>,
}

impl Op for Accumulate<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { addend, rows } = self;
        let start = rows.first * rows.cols;
        let addend = &addend[start..start + rows.len * rows.cols];
        add(simd, rows.into_f32(), addend);
    }
}

/// `row += other`, of equal lengths.
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    assert_eq!(row.len(), other.len(), "values to add");
    for (x, y) in row.chunks_mut(S::LANES).zip(other.chunks(S::LANES)) {
        simd.store_head(x, simd.add(simd.load_head(x), simd.load_head(y)));
    }
}
