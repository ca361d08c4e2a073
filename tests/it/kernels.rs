//! Every kernel that this processor can run, in every dtype, against oracles in f64 and i64, and
//! against the scalar one.
//!
//! Activations that are held for dense layers alone are read through an identity, which gives each
//! value as it is held: exactly in bf16, and as a multiple of its row's scale in int8.

mod activations;
mod attention;
mod not_finite;
mod products;

use chunkflow::compute::{
    Buffers, CpuExec, Dense, DenseWeights, Dtype, Epilogue, Isa, Pool, Precision, Projection,
};

use crate::exec::host;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::Int8];

/// Half the distance from 1 to the next f32: what rounding costs at most.
const ROUNDING: f64 = 1.0 / (1_u64 << 24) as f64;

/// Every instruction set in every dtype.
fn kernels() -> impl Iterator<Item = (Isa, Dtype)> {
    Isa::available().flat_map(|isa| DTYPES.map(|dtype| (isa, dtype)))
}

/// Whether activations of this form are in a format that only dense layers read.
fn is_narrow(isa: Isa, dtype: Dtype) -> bool {
    match dtype {
        Dtype::F32 | Dtype::F16 => false,
        Dtype::Bf16 => isa.has_bf16_products(),
        Dtype::Int8 => true,
    }
}

type Buffer = <CpuExec as Buffers>::Buffer;
type Linear = <CpuExec as Dense>::Linear;

/// A dense layer in working precision.
fn load(exec: &CpuExec, weight: &[f32], bias: Option<&[f32]>, in_features: usize) -> Linear {
    let weights = DenseWeights { weight, bias, in_features };
    exec.load_linear(&[weights], Precision::Working).unwrap()
}

fn identity(exec: &CpuExec, cols: usize) -> Linear {
    let weight: Vec<f32> =
        (0..cols * cols).map(|i| if i / cols == i % cols { 1.0 } else { 0.0 }).collect();
    load(exec, &weight, None, cols)
}

/// Activations as they are held.
fn held(exec: &CpuExec, buffer: &Buffer, cols: usize) -> Vec<f32> {
    let output = exec.linear(buffer, &identity(exec, cols), Epilogue::None).unwrap();
    host(exec, output, cols)
}

/// Whether only dense layers read the buffer.
fn is_refused(exec: &CpuExec, buffer: Buffer) -> bool {
    exec.finish(buffer, Projection { dims: 1, normalize: false }).is_err()
}
