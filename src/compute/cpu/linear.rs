//! Dense layers: packed weights, and the epilogue applied to each block while it is in cache.

use rayon::prelude::*;
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdUnaryOp;
use rten_tensor::NdTensorView;
use rten_vecmath::{Gelu, Tanh};

use super::super::exec::{DenseWeights, Epilogue, Error, check_len};
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
    let (in_cols, out_cols) = (linear.packed.rows(), linear.packed.cols());
    check_len("dense input", input.cols(), in_cols)?;
    // Choosing the kernel again costs two loads of cached processor features.
    let gemm = GemmExecutor::new();
    let mut output = arena.take(input.rows(), out_cols);
    output
        .par_chunks_mut(BLOCK_ROWS * out_cols)
        .zip(input.par_chunks(BLOCK_ROWS * in_cols))
        .try_for_each(|(out, rows)| {
            let view = NdTensorView::from_data([rows.len() / in_cols, in_cols], rows);
            let bias = linear.bias.as_deref().map(BiasVector::Row);
            gemm.gemm(
                out,
                GemmInputA::Unpacked(view),
                GemmInputB::Packed(&linear.packed),
                GemmOptions { bias, ..GemmOptions::default() },
            )
            .map_err(Error::Product)?;
            apply(epilogue, out);
            Ok::<_, Error>(())
        })?;
    Ok(output)
}

fn apply(epilogue: Epilogue, values: &mut [f32]) {
    match epilogue {
        Epilogue::None => {}
        Epilogue::Gelu => Gelu {}.map_mut(values),
        Epilogue::Tanh => Tanh {}.map_mut(values),
    }
}
