//! The description that an encoder runs from, read from `config.json`.

use serde::Deserialize;

use super::super::Error;
use super::super::folder::Folder;
use super::bert;
use crate::compute::Mask;

/// The feed-forward layer's nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU with the exact normal distribution function (arXiv 1606.08415).
    Gelu,
}

/// Geometry and conventions of a transformer encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSpec {
    /// Rows of the word table.
    pub vocabulary: usize,
    /// Rows of the position table: the longest sequence.
    pub max_positions: usize,
    /// Rows of the segment table.
    pub token_types: usize,
    /// Columns of the hidden state, `H`.
    pub hidden: usize,
    /// Columns within the feed-forward layer.
    pub intermediate: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Visible keys.
    pub mask: Mask,
    /// Nonlinearity of the feed-forward layer.
    pub activation: Activation,
    /// Added to the variance in layer norms.
    pub norm_eps: f32,
}

impl EncoderSpec {
    /// Floating-point operations of a forward pass over one sequence of `tokens`: two for each
    /// multiply-add of the matrix products, nothing else.
    #[must_use]
    pub fn flops(&self, tokens: usize) -> f64 {
        let attention = (self.heads + self.kv_heads) * self.head_dim;
        let projections = 2 * self.hidden * attention;
        let dense = projections + 2 * self.hidden * self.intermediate;
        let scores = 2 * tokens * self.heads * self.head_dim;
        2.0 * self.layers as f64 * tokens as f64 * (dense + scores) as f64
    }
}

#[derive(Deserialize)]
struct Family {
    model_type: String,
}

/// Reads `config.json` by its family.
pub(in super::super) fn read_spec(folder: &Folder) -> Result<EncoderSpec, Error> {
    let family: Family = folder.json("config.json")?;
    match family.model_type.as_str() {
        "bert" => bert::read_spec(folder),
        _ => Err(Error::Unsupported {
            path: folder.path("config.json"),
            field: "model_type",
            value: family.model_type,
            supported: "bert",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Activation, EncoderSpec};
    use crate::compute::Mask;

    #[test]
    fn flops_of_minilm_are_its_products() {
        let spec = EncoderSpec {
            vocabulary: 30_522,
            max_positions: 512,
            token_types: 2,
            hidden: 384,
            intermediate: 1_536,
            layers: 6,
            heads: 12,
            kv_heads: 12,
            head_dim: 32,
            mask: Mask::Full,
            activation: Activation::Gelu,
            norm_eps: 1e-12,
        };
        let (t, h) = (128.0, 384.0);
        let layer = 2.0 * t * (4.0 * h * h + 8.0 * h * h) + 2.0 * 2.0 * t * t * h;
        assert!((spec.flops(128) - 6.0 * layer).abs() < 1.0);
    }
}
