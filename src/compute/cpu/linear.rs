//! Dense layers: packed weights, and the epilogue applied to each tile while it is in cache.

use super::super::error::{Error, check_len};
use super::super::linear::{Dense, DenseWeights, Epilogue, Precision};
use super::super::pool::Span;
use super::buffer::{Buffer, Rows};
use super::exec::CpuExec;
use super::math::activate;
use super::multiply::{Multiply, rows_of};
use super::narrow::Format;
use super::packed::Packed;
use super::simd::{Op, Simd};

/// Bytes of f32 outputs that stay in the second-level cache until they are gated or narrowed.
const OUTPUT_BYTES: usize = 384 << 10;

impl Dense for CpuExec {
    type Linear = Packed;

    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Packed, Error> {
        Packed::new(self, precision.dtype(self.dtype), parts)
    }

    /// The order in which an element's products are added depends on the inner size alone.
    fn linear(&self, input: &Buffer, packed: &Packed, epilogue: Epilogue) -> Result<Buffer, Error> {
        check_len("dense input", input.cols(), packed.in_features)?;
        let (rows, cols) = (input.rows(), epilogue.columns(packed.out_features)?);
        let mut room = None;
        let format = packed.format();
        let operand = input.operand(self.isa, &self.arena, format, &mut room)?;
        let activation = match epilogue {
            Epilogue::None | Epilogue::Gate(_) => None,
            Epilogue::Activate(activation) => Some(activation),
        };
        let product = Multiply::new(packed.panels(), operand, rows, activation);
        if epilogue == Epilogue::None || (format == Format::F32 && activation.is_some()) {
            let mut output = Buffer::take(&self.arena, rows, cols, Format::F32);
            product.run(self, output.rows_mut().into_f32());
            return Ok(output);
        }
        let mut output = Buffer::take_only(&self.arena, rows, cols, format);
        let out_features = packed.out_features;
        let block = rows_of(OUTPUT_BYTES, out_features);
        output.rows_mut().for_each_block(block, &|rows: Rows<'_>| {
            let mut whole = self.arena.take(rows.len * out_features);
            product.rows(rows.first..rows.first + rows.len).run(self, &mut whole);
            self.isa.run(Compress { whole: &mut whole, out_features, epilogue, rows });
            Ok(())
        })?;
        Ok(output)
    }

    /// One span a task, a block of rows at a time.
    fn linear_max(
        &self,
        input: &Buffer,
        packed: &Packed,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Buffer, Error> {
        let (in_cols, cols) = (packed.in_features, packed.out_features);
        check_len("dense input", input.cols(), in_cols)?;
        let mut room = None;
        let operand = input.operand(self.isa, &self.arena, packed.format(), &mut room)?;
        let product = Multiply::new(packed.panels(), operand, input.rows(), None);
        let mut output = Buffer::take(&self.arena, spans.len(), cols, Format::F32);
        let block = rows_of(OUTPUT_BYTES, cols);
        output.rows_mut().for_each_block(1, &|rows: Rows<'_>| {
            let tokens = spans[rows.first].rows(cu_seqlens, input.rows())?;
            let mut values = self.arena.take(block.min(tokens.len()) * cols);
            let largest = rows.into_f32();
            largest.fill(f32::NEG_INFINITY);
            for first in tokens.clone().step_by(block) {
                let rows = first..tokens.end.min(first + block);
                let values = &mut values[..rows.len() * cols];
                product.rows(rows).run(self, values);
                for row in values.chunks_exact(cols) {
                    for (max, &x) in largest.iter_mut().zip(row) {
                        // Unlike `f32::max`, keeps NaN.
                        *max = if x > *max || x.is_nan() { x } else { *max };
                    }
                }
            }
            Ok(())
        })?;
        Ok(output)
    }
}

/// From a layer's whole f32 outputs to what is kept of them: gated, narrowed, or both.
struct Compress<'a, 'b> {
    /// `[rows, out_features]`.
    whole: &'a mut [f32],
    out_features: usize,
    epilogue: Epilogue,
    rows: Rows<'b>,
}

impl Op for Compress<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Self { whole, out_features, epilogue, mut rows } = self;
        let cols = rows.cols;
        for (index, row) in whole.chunks_exact_mut(out_features).enumerate() {
            let (kept, up) = row.split_at_mut(cols);
            if let Epilogue::Gate(activation) = epilogue {
                for (x, up) in kept.chunks_mut(S::LANES).zip(up.chunks(S::LANES)) {
                    let activated = activate(simd, activation, simd.load_head(x));
                    simd.store_head(x, simd.mul(activated, simd.load_head(up)));
                }
            }
            if let Some(f32) = &mut rows.f32 {
                f32[index * cols..(index + 1) * cols].copy_from_slice(kept);
            }
            if let Some(narrow) = &mut rows.narrow {
                narrow.write_row(simd, index, kept);
            }
        }
    }
}
