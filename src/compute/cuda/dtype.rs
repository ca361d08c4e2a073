//! What a dtype is on the device: the size of its values and the names of its kernels.

use super::super::dtype::Dtype;

/// Bytes of a value on the device.
pub(super) fn bytes_of(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F16 | Dtype::Bf16 => 2,
        Dtype::F32 | Dtype::Int8 => 4,
    }
}

/// How kernels' names end.
pub(super) fn suffix(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "f16",
        Dtype::Bf16 => "bf16",
        Dtype::F32 | Dtype::Int8 => "f32",
    }
}
