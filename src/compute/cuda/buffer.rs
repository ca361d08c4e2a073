//! What lives on the device: activations, and weights in the layouts of the kernels.

use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaStream, DeviceRepr};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::dtype::Dtype;
use super::super::error::{Error, check_len};
use super::super::operands::{
    BiasWeights, DenseWeights, NormKind, NormWeights, RotaryWeights, TableWeights,
};
use super::memory::Memory;

/// Activations `[rows, cols]`.
pub struct Buffer {
    pub(super) memory: Memory,
    /// The same rows in f32, where `memory` is narrower and they go on as the residual stream.
    pub(super) wide: Option<Memory>,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) dtype: Dtype,
}

impl Buffer {
    pub(super) fn new(memory: Memory, rows: usize, cols: usize, dtype: Dtype) -> Self {
        Self { memory, wide: None, rows, cols, dtype }
    }

    pub(super) fn pointer(&self) -> CUdeviceptr {
        self.memory.pointer()
    }
}

/// A dense layer: `weight: [outputs, inputs]`.
pub struct Linear {
    pub(super) weight: Memory,
    pub(super) bias: Option<LinearBias>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) dtype: Dtype,
}

/// `[outputs]`, for products and for the kernels that follow them.
pub(super) struct LinearBias {
    pub(super) working: Memory,
    pub(super) full: Memory,
}

impl LinearBias {
    /// The bias in an output's dtype, the working one or f32.
    pub(super) fn of(&self, dtype: Dtype) -> &Memory {
        if dtype == Dtype::F32 { &self.full } else { &self.working }
    }
}

impl Linear {
    pub(super) fn new(
        stream: &Arc<CudaStream>,
        dtype: Dtype,
        parts: &[DenseWeights<'_>],
    ) -> Result<Self, Error> {
        let inputs = parts.first().map_or(0, |part| part.in_features);
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for part in parts {
            check_len("input features", part.in_features, inputs)?;
            check_len("weights beyond whole rows", part.weight.len() % inputs.max(1), 0)?;
            let outputs = part.weight.len() / inputs.max(1);
            weight.extend_from_slice(part.weight);
            match part.bias {
                Some(values) => {
                    check_len("dense bias", values.len(), outputs)?;
                    bias.extend_from_slice(values);
                }
                None => bias.resize(bias.len() + outputs, 0.0),
            }
        }
        let has_bias = parts.iter().any(|part| part.bias.is_some());
        let bias = has_bias.then(|| {
            let working = holding_as(stream, dtype, &bias)?;
            Ok::<_, Error>(LinearBias { working, full: Memory::holding(stream, &bias)? })
        });
        Ok(Self {
            weight: holding_as(stream, dtype, &weight)?,
            outputs: weight.len() / inputs.max(1),
            bias: bias.transpose()?,
            inputs,
            dtype,
        })
    }
}

/// A norm over `[len]`.
pub struct Norm {
    weight: Memory,
    bias: Option<Memory>,
    kind: NormKind,
    eps: f32,
    pub(super) len: usize,
}

/// `Norm` of `kernels/values.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct NormArgument {
    weight: CUdeviceptr,
    bias: CUdeviceptr,
    eps: f32,
    kind: u32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for NormArgument {}

impl NormArgument {
    /// No norm.
    pub(super) const NONE: Self = Self { weight: 0, bias: 0, eps: 0.0, kind: 0 };
}

impl Norm {
    pub(super) fn new(stream: &Arc<CudaStream>, weights: NormWeights<'_>) -> Result<Self, Error> {
        let NormWeights { kind, weight, bias, eps } = weights;
        if let Some(bias) = bias {
            check_len("norm bias", bias.len(), weight.len())?;
        }
        let bias = bias.map(|bias| Memory::holding(stream, bias)).transpose()?;
        Ok(Self { weight: Memory::holding(stream, weight)?, bias, kind, eps, len: weight.len() })
    }

    pub(super) fn argument(&self) -> NormArgument {
        NormArgument {
            weight: self.weight.pointer(),
            bias: self.bias.as_ref().map_or(0, Memory::pointer),
            eps: self.eps,
            kind: match self.kind {
                NormKind::Layer => 0,
                NormKind::Rms => 1,
            },
        }
    }
}

/// A bias by distance.
pub struct Bias {
    pub(super) values: Memory,
    pub(super) heads: usize,
    /// Of a table; slopes have none.
    pub(super) radius: Option<usize>,
}

impl Bias {
    pub(super) fn new(stream: &Arc<CudaStream>, weights: BiasWeights<'_>) -> Result<Self, Error> {
        weights.check()?;
        let (values, heads, radius) = match weights {
            BiasWeights::Slopes(slopes) => (slopes, slopes.len(), None),
            BiasWeights::Table { values, radius } => {
                (values, values.len() / (2 * radius + 1), Some(radius))
            }
        };
        Ok(Self { values: Memory::holding(stream, values)?, heads, radius })
    }
}

/// Cosines and sines, `[positions, pairs]` f32 each.
pub struct Rotary {
    pub(super) cos: Memory,
    pub(super) sin: Memory,
    pub(super) positions: usize,
    pub(super) pairs: usize,
}

impl Rotary {
    pub(super) fn new(stream: &Arc<CudaStream>, weights: RotaryWeights<'_>) -> Result<Self, Error> {
        let (cos, sin) = weights.tables();
        Ok(Self {
            cos: Memory::holding(stream, &cos)?,
            sin: Memory::holding(stream, &sin)?,
            positions: weights.positions,
            pairs: weights.frequencies.len(),
        })
    }
}

/// Embedding tables, `[entries, hidden]` each.
pub struct Tables {
    pub(super) word: Table,
    pub(super) position: Option<Table>,
    pub(super) token_type: Option<Table>,
    pub(super) hidden: usize,
}

/// `[entries, hidden]` in the working dtype.
pub(super) struct Table {
    pub(super) values: Memory,
    pub(super) entries: usize,
}

impl Tables {
    pub(super) fn new(
        stream: &Arc<CudaStream>,
        dtype: Dtype,
        weights: TableWeights<'_>,
    ) -> Result<Self, Error> {
        let hidden = weights.hidden;
        let table = |values: &[f32]| {
            check_len("values beyond whole rows", values.len() % hidden.max(1), 0)?;
            let entries = values.len() / hidden.max(1);
            Ok::<_, Error>(Table { values: holding_as(stream, dtype, values)?, entries })
        };
        Ok(Self {
            word: table(weights.word)?,
            position: weights.position.map(table).transpose()?,
            token_type: weights.token_type.map(table).transpose()?,
            hidden,
        })
    }
}

/// `values` on the device, rounded to `dtype`.
pub(super) fn holding_as(
    stream: &Arc<CudaStream>,
    dtype: Dtype,
    values: &[f32],
) -> Result<Memory, Error> {
    fn rounded<H: Copy + Default>(values: &[f32]) -> Vec<H>
    where
        [H]: HalfFloatSliceExt,
    {
        let mut narrow = vec![H::default(); values.len()];
        narrow.convert_from_f32_slice(values);
        narrow
    }
    match dtype {
        Dtype::F32 | Dtype::Int8 => Memory::holding(stream, values),
        Dtype::F16 => Memory::holding(stream, &rounded::<f16>(values)),
        Dtype::Bf16 => Memory::holding(stream, &rounded::<bf16>(values)),
    }
}
