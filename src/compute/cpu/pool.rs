//! What leaves the encoder: pooled spans, normalised rows, the banded Gram matrix.

use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdIterable, SimdOp};
use rten_vecmath::SumSquare;

use super::super::exec::{Error, MIN_NORM};
use super::super::operands::{Finish, Pooling, Span};
use super::arena::{Arena, Buffer};

/// See [`Exec::pool`](super::Exec::pool).
pub(super) fn pool(
    arena: &Arena,
    hidden: &Buffer,
    cu_seqlens: &[u32],
    spans: &[Span],
    pooling: Pooling,
) -> Result<Buffer, Error> {
    let cols = hidden.cols();
    let mut output = arena.take(spans.len(), cols);
    output.par_chunks_mut(cols).zip(spans).try_for_each(|(row, span)| {
        let states = hidden.span(cu_seqlens, *span)?;
        match pooling {
            Pooling::Mean => mean(states, row),
            Pooling::Cls => row.copy_from_slice(&states[..cols]),
            Pooling::LastToken => row.copy_from_slice(&states[states.len() - cols..]),
        }
        Ok::<_, Error>(())
    })?;
    Ok(output)
}

fn mean(states: &[f32], row: &mut [f32]) {
    row.fill(0.0);
    for state in states.chunks_exact(row.len()) {
        for (sum, x) in row.iter_mut().zip(state) {
            *sum += x;
        }
    }
    let count = (states.len() / row.len()) as f32;
    for sum in row {
        *sum /= count;
    }
}

/// See [`Exec::finish`](super::Exec::finish).
pub(super) fn finish(rows: &Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
    let Finish { dims, normalize } = finish;
    if dims == 0 || dims > rows.cols() {
        return Err(Error::Index { what: "dimensions", index: dims, limit: rows.cols() + 1 });
    }
    let mut output = Vec::with_capacity(rows.rows() * dims);
    for row in rows.chunks_exact(rows.cols()) {
        let kept = &row[..dims];
        let norm = if normalize { SumSquare::new(kept).dispatch().sqrt() } else { 1.0 };
        output.extend(kept.iter().map(|x| x / norm.max(MIN_NORM)));
    }
    Ok(output)
}

/// See [`Exec::gram`](super::Exec::gram).
pub(super) fn gram(rows: &Buffer, width: usize) -> Vec<f32> {
    let cols = rows.cols();
    let mut band = vec![0.0; rows.rows() * width];
    band.par_chunks_mut(width.max(1)).enumerate().for_each(|(i, products)| {
        let row = &rows[i * cols..(i + 1) * cols];
        for (product, other) in products.iter_mut().zip(rows[i * cols..].chunks_exact(cols)) {
            *product = Dot { a: row, b: other }.dispatch();
        }
    });
    band
}

/// Inner product of two rows of equal length.
struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl SimdOp for Dot<'_> {
    type Output = f32;

    #[expect(clippy::inline_always, reason = "a call would lose the instruction set of `dispatch`")]
    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> f32 {
        let ops = isa.f32();
        let pairs = self.a.simd_iter_pad(ops).zip(self.b.simd_iter_pad(ops));
        let mut sums = [ops.zero(); 4];
        for (i, (a, b)) in pairs.enumerate() {
            sums[i % 4] = ops.mul_add(a, b, sums[i % 4]);
        }
        ops.sum(ops.add(ops.add(sums[0], sums[1]), ops.add(sums[2], sums[3])))
    }
}
