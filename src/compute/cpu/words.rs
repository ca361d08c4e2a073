//! Which words products read: the micro-kernels by name, and the formats of their operands.

use super::super::dtype::Dtype;
use super::narrow::Format;
use super::simd::Isa;

/// How the words of weights and rows multiply: the micro-kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// f32 with f32.
    F32,
    /// bf16 weights with f32 rows.
    WideBf16,
    /// bf16 with bf16.
    Bf16,
    /// i8 weights with u8 rows.
    I8,
}

impl Words {
    /// The fastest of a dtype's on this processor.
    pub(super) fn of(isa: Isa, dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => unreachable!("no executor on a CPU has f16"),
            Dtype::Bf16 if isa.has_bf16_products() => Self::Bf16,
            Dtype::Bf16 => Self::WideBf16,
            Dtype::Int8 => Self::I8,
        }
    }

    /// How these weights read rows.
    pub(super) fn format(self) -> Format {
        match self {
            Self::F32 | Self::WideBf16 => Format::F32,
            Self::Bf16 => Format::Bf16,
            Self::I8 => Format::U8,
        }
    }

    /// How the weights are narrowed; bytes are then made signed.
    pub(super) fn weight_format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::WideBf16 | Self::Bf16 => Format::Bf16,
            Self::I8 => Format::U8,
        }
    }

    /// Words of `values` weights.
    #[inline]
    pub(super) fn words(self, values: usize) -> usize {
        match self {
            Self::F32 => values,
            Self::WideBf16 | Self::Bf16 => values.div_ceil(2),
            Self::I8 => values.div_ceil(4),
        }
    }
}
