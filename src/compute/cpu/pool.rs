//! What leaves the encoder: pooled spans and normalised rows.

use super::super::error::Error;
use super::super::pool::{MIN_NORM, Pool, Pooling, Projection, Span, WeightedRuns};
use super::buffer::Buffer;
use super::exec::CpuExec;
use super::narrow::Format;
use super::simd::{Op, Simd};

impl Pool for CpuExec {
    fn pool(
        &self,
        hidden: &Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        pooling: Pooling,
    ) -> Result<Buffer, Error> {
        let cols = hidden.cols();
        let mut output = Buffer::take(&self.arena, spans.len(), cols, Format::F32);
        output.rows_mut().for_each_block(1, &|rows| {
            let span = spans[rows.first];
            let states = hidden.span(cu_seqlens, span)?;
            let row = rows.into_f32();
            match pooling {
                Pooling::Mean => self.isa.run(Mean { states, row }),
                _ => pooling.reduce(states, span.start as usize, row),
            }
            Ok(())
        })?;
        Ok(output)
    }

    fn sum_runs(&self, rows: &Buffer, runs: &WeightedRuns) -> Result<Buffer, Error> {
        runs.check(rows.rows())?;
        let (cols, from) = (rows.cols(), rows.f32()?);
        let mut output = Buffer::take(&self.arena, runs.runs.len(), cols, Format::F32);
        output.rows_mut().for_each_block(1, &|rows| {
            let (run, divisor) = (runs.runs[rows.first].clone(), runs.divisors[rows.first]);
            let weights = &runs.weights[run.clone()];
            let states = &from[run.start * cols..run.end * cols];
            self.isa.run(WeightedSum { states, weights, divisor, row: rows.into_f32() });
            Ok(())
        })?;
        Ok(output)
    }

    fn finish(&self, rows: Buffer, finish: Projection) -> Result<Vec<f32>, Error> {
        finish.check(rows.cols())?;
        let Projection { dims, normalize } = finish;
        let mut output = Vec::with_capacity(rows.rows() * dims);
        for row in rows.f32()?.chunks_exact(rows.cols()) {
            let kept = &row[..dims];
            let norm = if normalize { self.isa.run(Dot { a: kept, b: kept }).sqrt() } else { 1.0 };
            output.extend(kept.iter().map(|x| x / norm.max(MIN_NORM)));
        }
        Ok(output)
    }
}

/// The mean of rows, a vector of columns at a time.
struct Mean<'a> {
    states: &'a [f32],
    row: &'a mut [f32],
}

impl Op for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { states, row } = self;
        let cols = row.len();
        let factor = simd.splat((states.len() / cols) as f32);
        for (index, to) in row.chunks_mut(S::LANES).enumerate() {
            let columns = index * S::LANES..index * S::LANES + to.len();
            let mut sum = simd.splat(0.0);
            for state in states.chunks_exact(cols) {
                sum = simd.add(sum, simd.load_head(&state[columns.clone()]));
            }
            simd.store_head(to, simd.div(sum, factor));
        }
    }
}

/// The weighted sum of rows, divided, a vector of columns at a time.
struct WeightedSum<'a> {
    states: &'a [f32],
    weights: &'a [f32],
    divisor: f32,
    row: &'a mut [f32],
}

impl Op for WeightedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { states, weights, divisor, row } = self;
        let (cols, divisor) = (row.len(), simd.splat(divisor));
        for (index, to) in row.chunks_mut(S::LANES).enumerate() {
            let columns = index * S::LANES..index * S::LANES + to.len();
            let mut sum = simd.splat(0.0);
            for (state, &weight) in states.chunks_exact(cols).zip(weights) {
                let state = simd.load_head(&state[columns.clone()]);
                sum = simd.add(sum, simd.mul(state, simd.splat(weight)));
            }
            simd.store_head(to, simd.div(sum, divisor));
        }
    }
}

/// Inner product of two rows of equal length.
struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Op for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat(0.0); 4];
        let pairs = self.a.chunks(S::LANES).zip(self.b.chunks(S::LANES));
        for (i, (a, b)) in pairs.enumerate() {
            sums[i % 4] = simd.mul_add(simd.load_head(a), simd.load_head(b), sums[i % 4]);
        }
        simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
    }
}
