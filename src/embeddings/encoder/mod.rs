//! One transformer, described by an [`EncoderSpec`]; it only sequences [`Exec`] calls.

mod families;
mod heads;
mod load;
mod names;
mod spec;

pub use self::spec::{
    AttentionSpec, DistanceBias, EmbeddingSpec, EncoderSpec, FeedForwardSpec, Gate, LayerSpec,
    NormPlacement, NormSpec, Positions, Rotary, RotaryScaling,
};
use super::Error;
use super::batch::Packed;
use crate::compute::{Attention, Epilogue, Exec, Tokens};

pub(super) use self::families::{Family, read as read_family};
pub(super) use self::heads::{Head, Layer as HeadLayer, MaskedLm};

/// A transformer encoder with its weights on a device.
pub struct Encoder<E: Exec> {
    spec: EncoderSpec,
    tables: E::Tables,
    embedding_norm: Option<E::Norm>,
    bias: Option<E::Bias>,
    /// The distinct rotary positions of the layers.
    rotaries: Vec<E::Rotary>,
    layers: Vec<Layer<E>>,
    final_norm: Option<E::Norm>,
}

struct Layer<E: Exec> {
    attention: Attention,
    qkv: E::Linear,
    /// Index into the encoder's `rotaries`.
    rotary: Option<usize>,
    head_norms: Option<[E::Norm; 2]>,
    output: E::Linear,
    up: E::Linear,
    down: E::Linear,
    norms: Norms<E>,
}

/// The norms of a layer, by the sublayer that they stand at.
struct Norms<E: Exec> {
    /// Absent before the first attention of some models.
    attention: Option<E::Norm>,
    attention_output: Option<E::Norm>,
    feed_forward: E::Norm,
    feed_forward_output: Option<E::Norm>,
}

impl<E: Exec> Encoder<E> {
    /// Geometry and conventions of this model.
    #[must_use]
    pub fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    /// The last hidden state of every token: `[T, H]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn forward(&self, exec: &E, packed: &Packed) -> Result<E::Buffer, Error> {
        let counted = self.counted_positions(packed);
        let positions = counted.as_deref().unwrap_or(&packed.positions);
        let tokens = Tokens { ids: &packed.ids, type_ids: &packed.type_ids, positions };
        let hidden = exec.embed_norm(&self.tables, self.embedding_norm.as_ref(), tokens)?;
        match self.spec.norm.placement {
            NormPlacement::Post => self.forward_post(exec, packed, hidden),
            NormPlacement::Pre { .. } | NormPlacement::Sandwich => {
                self.forward_pre(exec, packed, hidden)
            }
        }
    }

    /// Layers whose norms follow the residual sums.
    fn forward_post(
        &self,
        exec: &E,
        packed: &Packed,
        mut hidden: E::Buffer,
    ) -> Result<E::Buffer, Error> {
        for layer in &self.layers {
            let attended = self.attend(exec, packed, layer, &hidden)?;
            let norm = layer.norms.attention.as_ref();
            let norm = norm.expect("a norm that follows its sublayer is never absent");
            hidden = exec.residual_norm(attended, &hidden, norm)?;
            let output = self.feed_forward(exec, layer, &hidden)?;
            hidden = exec.residual_norm(output, &hidden, &layer.norms.feed_forward)?;
        }
        Ok(hidden)
    }

    /// Layers whose norms precede the sublayers: the sums run on beside the normalised states,
    /// each sum fused with the norm that follows it, which may be the next layer's.
    fn forward_pre(
        &self,
        exec: &E,
        packed: &Packed,
        mut sum: E::Buffer,
    ) -> Result<E::Buffer, Error> {
        let first = self.layers.first().and_then(|layer| layer.norms.attention.as_ref());
        let mut normed = first.map(|first| exec.norm(&sum, first)).transpose()?;
        for (index, layer) in self.layers.iter().enumerate() {
            let attended = self.attend(exec, packed, layer, normed.as_ref().unwrap_or(&sum))?;
            drop(normed);
            let inner = layer.norms.attention_output.as_ref();
            let states = exec.add_norm(attended, inner, &mut sum, &layer.norms.feed_forward)?;
            let output = self.feed_forward(exec, layer, &states)?;
            drop(states);
            let inner = layer.norms.feed_forward_output.as_ref();
            let next = self.layers.get(index + 1).and_then(|next| next.norms.attention.as_ref());
            let next = next.or(self.final_norm.as_ref());
            let next = next.expect("norms before all sublayers but the first, and one at the end");
            normed = Some(exec.add_norm(output, inner, &mut sum, next)?);
        }
        Ok(normed.expect("a model has layers"))
    }

    fn attend(
        &self,
        exec: &E,
        packed: &Packed,
        layer: &Layer<E>,
        states: &E::Buffer,
    ) -> Result<E::Buffer, Error> {
        let Layer { attention, head_norms, .. } = layer;
        let mut qkv = exec.linear(states, &layer.qkv, Epilogue::None)?;
        if let Some(rotary) = layer.rotary.map(|index| &self.rotaries[index]) {
            let norms = head_norms.as_ref();
            qkv = exec.rotary(qkv, &packed.positions, attention, norms, rotary)?;
        }
        let context = exec.attention(&qkv, &packed.cu_seqlens, attention, self.bias.as_ref())?;
        drop(qkv);
        Ok(exec.linear(&context, &layer.output, Epilogue::None)?)
    }

    fn feed_forward(
        &self,
        exec: &E,
        layer: &Layer<E>,
        states: &E::Buffer,
    ) -> Result<E::Buffer, Error> {
        let FeedForwardSpec { activation, gate, .. } = self.spec.feed_forward;
        let epilogue = match gate {
            Gate::None => Epilogue::Activate(activation),
            Gate::ActivatedFirst | Gate::ActivatedLast => Epilogue::Gate(activation),
        };
        let up = exec.linear(states, &layer.up, epilogue)?;
        Ok(exec.linear(&up, &layer.down, Epilogue::None)?)
    }

    /// Rows of the position table where the model counts them from its padding token.
    fn counted_positions(&self, packed: &Packed) -> Option<Vec<u32>> {
        let Positions::AfterPadding { padding_id, .. } = self.spec.embedding.positions else {
            return None;
        };
        let mut positions = Vec::with_capacity(packed.tokens());
        for seq in 0..packed.sequences() {
            let mut last = padding_id;
            positions.extend(packed.sequence(seq).iter().map(|&id| {
                if id == padding_id {
                    return padding_id;
                }
                last += 1;
                last
            }));
        }
        Some(positions)
    }
}
