//! Rotary position embedding, with the norm of query and key heads that precedes it.

use super::attention::Attention;
use super::error::Error;
use super::norm::Norms;

/// Rotary position embedding (RoPE, arXiv 2104.09864): pair `j` of a head, its columns `j` and
/// `j + head_dim / 2`, turns by `position * frequencies[j]`.
#[derive(Debug, Clone, Copy)]
pub struct RotaryWeights<'a> {
    /// `[head_dim / 2]` radians a position.
    pub frequencies: &'a [f32],
    /// Positions that occur are below this.
    pub positions: usize,
}

impl RotaryWeights<'_> {
    /// Cosines and sines, `[positions, head_dim / 2]` each. The angle is a product in f32, as in
    /// transformers: at distant positions its rounding is what models were trained and run with.
    pub(super) fn tables(&self) -> (Vec<f32>, Vec<f32>) {
        let angles = (0..self.positions).flat_map(|position| {
            self.frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip()
    }
}

/// The rotation of queries and keys by their positions.
pub trait Rotate: Norms {
    /// Rotary position embeddings.
    type Rotary: Send + Sync;

    /// Takes rotary position embeddings.
    ///
    /// # Errors
    /// Those of the device.
    fn load_rotary(&self, weights: RotaryWeights<'_>) -> Result<Self::Rotary, Error>;

    /// Rotates the query and key heads of `qkv: [T, qkv_dim]` by their positions, each head
    /// normalised first where there are norms, `[head_dim]` each, for queries and for keys.
    ///
    /// # Errors
    /// When the shapes differ or a position is beyond the table.
    fn rotary(
        &self,
        qkv: Self::Buffer,
        positions: &[u32],
        attention: &Attention,
        norms: Option<&[Self::Norm; 2]>,
        rotary: &Self::Rotary,
    ) -> Result<Self::Buffer, Error>;
}
