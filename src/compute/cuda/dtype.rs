//! What a dtype is on the device: the size of its values and the names of its kernels.

use super::super::dtype::Dtype;

/// Why int8 does not occur.
pub(super) const NO_INT8: &str = "no executor on CUDA has int8";

/// Bytes of a value on the device.
pub(super) fn bytes_of(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F16 | Dtype::Bf16 => 2,
        Dtype::F32 => 4,
        Dtype::Int8 => unreachable!("{NO_INT8}"),
    }
}

/// How kernels' names end.
pub(super) fn suffix(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "f16",
        Dtype::Bf16 => "bf16",
        Dtype::F32 => "f32",
        Dtype::Int8 => unreachable!("{NO_INT8}"),
    }
}
