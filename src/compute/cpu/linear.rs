//! Dense layers: packed weights, and the epilogue applied to each block while it is in cache.

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdUnaryOp;
use rten_tensor::NdTensorView;
use rten_vecmath::{ApproxGelu, Gelu, Silu, Tanh};

use super::super::exec::{Error, check_len};
use super::super::operands::{Activation, DenseWeights, Epilogue, Span};
use super::arena::{Arena, Buffer};

/// Rows of a block: its outputs (64 x 1536 f32 in MiniLM) stay in L2 for the epilogue.
const BLOCK_ROWS: usize = 64;

/// A dense layer `[out, in]`, packed for the micro-kernel.
pub struct Linear {
    packed: PackedBMatrix<f32>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    pub(super) fn pack(parts: &[DenseWeights<'_>]) -> Result<Self, Error> {
        let in_features = parts.first().map_or(0, |part| part.in_features);
        let mut weight = Vec::with_capacity(parts.iter().map(|part| part.weight.len()).sum());
        let mut bias = Vec::new();
        for part in parts {
            let out = part.weight.len().checked_div(in_features).unwrap_or(0);
            check_len("dense input", part.in_features, in_features)?;
            check_len("dense weight", part.weight.len(), out * in_features)?;
            weight.extend_from_slice(part.weight);
            match part.bias {
                Some(values) => {
                    check_len("dense bias", values.len(), out)?;
                    bias.extend_from_slice(values);
                }
                None => bias.resize(bias.len() + out, 0.0),
            }
        }
        let out = bias.len();
        let view = NdTensorView::from_data([out, in_features], &weight[..]);
        let has_bias = parts.iter().any(|part| part.bias.is_some());
        Ok(Self {
            packed: GemmExecutor::new().prepack_b(view.transposed()),
            bias: has_bias.then_some(bias),
        })
    }
}

/// See [`Exec::linear`](super::Exec::linear). One block of rows a task: the order in which an
/// element's products are added depends on the inner size alone.
pub(super) fn linear(
    arena: &Arena,
    input: &Buffer,
    linear: &Linear,
    epilogue: Epilogue,
) -> Result<Buffer, Error> {
    let in_cols = linear.packed.rows();
    check_len("dense input", input.cols(), in_cols)?;
    let out_cols = epilogue.columns(linear.packed.cols())?;
    let mut output = arena.take(input.rows(), out_cols);
    output
        .par_chunks_mut(BLOCK_ROWS * out_cols)
        .zip(input.par_chunks(BLOCK_ROWS * in_cols))
        .try_for_each_init(Vec::new, |whole, (out, rows)| {
            let Epilogue::Gate(activation) = epilogue else {
                linear.product(rows, out)?;
                if let Epilogue::Activate(activation) = epilogue {
                    activate(activation, out);
                }
                return Ok(());
            };
            whole.resize(2 * out.len(), 0.0);
            linear.product(rows, whole)?;
            for (out, row) in out.chunks_exact_mut(out_cols).zip(whole.chunks_exact(2 * out_cols)) {
                let (gate, up) = row.split_at(out_cols);
                out.copy_from_slice(gate);
                activate(activation, out);
                out.iter_mut().zip(up).for_each(|(x, up)| *x *= up);
            }
            Ok::<_, Error>(())
        })?;
    Ok(output)
}

/// See [`Exec::linear_max`](super::Exec::linear_max). One span a task, a block of rows at a time.
pub(super) fn linear_max(
    arena: &Arena,
    input: &Buffer,
    linear: &Linear,
    cu_seqlens: &[u32],
    spans: &[Span],
) -> Result<Buffer, Error> {
    let (in_cols, out_cols) = (linear.packed.rows(), linear.packed.cols());
    check_len("dense input", input.cols(), in_cols)?;
    let mut output = arena.take(spans.len(), out_cols);
    output.par_chunks_mut(out_cols).zip(spans).try_for_each_init(
        Vec::new,
        |block, (row, span)| {
            let states = input.span(cu_seqlens, *span)?;
            row.fill(f32::NEG_INFINITY);
            for rows in states.chunks(BLOCK_ROWS * in_cols) {
                block.resize(rows.len() / in_cols * out_cols, 0.0);
                linear.product(rows, block)?;
                for values in block.chunks_exact(out_cols) {
                    row.iter_mut().zip(values).for_each(|(max, &x)| *max = max.max(x));
                }
            }
            Ok::<_, Error>(())
        },
    )?;
    Ok(output)
}

impl Linear {
    /// `rows x weight^T + bias`.
    fn product(&self, rows: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let in_cols = self.packed.rows();
        let view = NdTensorView::from_data([rows.len() / in_cols, in_cols], rows);
        let bias = self.bias.as_deref().map(BiasVector::Row);
        let (a, b) = (GemmInputA::Unpacked(view), GemmInputB::Packed(&self.packed));
        // Choosing the kernel again costs two loads of cached processor features.
        GemmExecutor::new()
            .gemm(out, a, b, GemmOptions { bias, ..GemmOptions::default() })
            .map_err(Error::Product)
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Gelu => Gelu {}.map_mut(values),
        Activation::GeluTanh => ApproxGelu {}.map_mut(values),
        Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::Silu => Silu {}.map_mut(values),
        Activation::Tanh => Tanh {}.map_mut(values),
    }
}
