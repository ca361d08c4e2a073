//! Dense layers and what is fused with them.

use super::buffer::Buffers;
use super::dtype::Dtype;
use super::error::{Error, check_len, whole_rows};
use super::pool::Span;

/// How exact a dense layer is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In the form's dtype.
    Working,
    /// Decoders to a vocabulary and Dense modules: in f32 on processors; on CUDA with weights and
    /// input in the form's dtype, sums and result in f32.
    Head,
    /// In f32 whatever the dtype: classifiers, which run once a text.
    Full,
}

impl Precision {
    /// What a layer runs in on a processor where the form's dtype is `working`.
    pub(super) fn dtype(self, working: Dtype) -> Dtype {
        match self {
            Self::Working => working,
            Self::Head | Self::Full => Dtype::F32,
        }
    }
}

/// A dense layer's weights as stored: `weight: [out, in]`, `bias: [out]`.
#[derive(Debug, Clone, Copy)]
pub struct DenseWeights<'a> {
    /// `[out_features, in_features]` f32 row-major.
    pub weight: &'a [f32],
    /// `[out_features]` f32.
    pub bias: Option<&'a [f32]>,
    /// Columns of `weight`.
    pub in_features: usize,
}

impl DenseWeights<'_> {
    /// Input and output features of a layer of these parts, which are some, share their input and
    /// have a bias as long as their output or none.
    pub(super) fn features(parts: &[Self]) -> Result<[usize; 2], Error> {
        let Some(first) = parts.first() else {
            return Err(Error::Length { what: "parts of a dense layer", actual: 0, expected: 1 });
        };
        let mut outputs = 0;
        for part in parts {
            check_len("dense input", part.in_features, first.in_features)?;
            let own = whole_rows("dense weight", part.weight.len(), part.in_features)?;
            if own == 0 {
                let expected = part.in_features;
                return Err(Error::Length { what: "dense weight", actual: 0, expected });
            }
            check_len("dense bias", part.bias.map_or(own, <[f32]>::len), own)?;
            outputs += own;
        }
        Ok([first.in_features, outputs])
    }

    /// The biases of these parts side by side, zeros for those without; none where no part has any.
    pub(super) fn biases(parts: &[Self]) -> Option<Vec<f32>> {
        let has_bias = parts.iter().any(|part| part.bias.is_some());
        let own = |part: &Self| match part.bias {
            Some(bias) => bias.to_vec(),
            None => vec![0.0; part.weight.len() / part.in_features],
        };
        has_bias.then(|| parts.iter().flat_map(own).collect())
    }
}

/// A nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * Phi(x)` with the exact normal distribution function (erf), arXiv 1606.08415.
    Gelu,
    /// Its approximation by tanh: `gelu_new` and `gelu_pytorch_tanh` in configs.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
}

/// What is applied to a dense layer's output while it is still in cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// The output as it is.
    None,
    /// Each value through the nonlinearity.
    Activate(Activation),
    /// A gated linear unit (arXiv 2002.05202): the first half of the columns through the
    /// nonlinearity, times the second half; the output has half the columns.
    Gate(Activation),
}

impl Epilogue {
    /// Columns of the output of a layer of `features`.
    ///
    /// # Errors
    /// When a gated layer's features are odd.
    pub(super) fn columns(self, features: usize) -> Result<usize, Error> {
        match self {
            Self::None | Self::Activate(_) => Ok(features),
            Self::Gate(_) => {
                check_len("gated features beyond pairs", features % 2, 0)?;
                Ok(features / 2)
            }
        }
    }
}

/// Dense layers. How a form packs or quantises their weights is its own affair.
pub trait Dense: Buffers {
    /// A dense layer.
    type Linear: Send + Sync;

    /// Packs dense layers that share their input into one; outputs stand side by side in order.
    ///
    /// # Errors
    /// When a length does not fit `in_features`.
    fn load_linear(
        &self,
        parts: &[DenseWeights<'_>],
        precision: Precision,
    ) -> Result<Self::Linear, Error>;

    /// `epilogue(input x weight^T + bias)`: `[rows, in]` to `[rows, out]`, or to half of `out`
    /// where the epilogue gates.
    ///
    /// # Errors
    /// When the input's columns are not the layer's.
    fn linear(
        &self,
        input: &Self::Buffer,
        linear: &Self::Linear,
        epilogue: Epilogue,
    ) -> Result<Self::Buffer, Error>;

    /// The largest value of each output feature over each span: `[spans, out]`. The product
    /// `[T, out]`, which for a vocabulary would be large, is never whole in memory.
    ///
    /// # Errors
    /// As [`linear`](Self::linear) and [`pool`](super::Pool::pool).
    fn linear_max(
        &self,
        input: &Self::Buffer,
        linear: &Self::Linear,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Self::Buffer, Error>;
}
