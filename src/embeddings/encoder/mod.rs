//! One transformer, described by an [`EncoderSpec`]; it only sequences [`Exec`] calls.

mod bert;
mod spec;

pub use self::spec::{Activation, EncoderSpec};
use super::Error;
use super::batch::Packed;
use super::weights::Checkpoint;
use crate::compute::{Attention, DenseWeights, Epilogue, Exec, NormWeights, TableWeights, Tokens};

pub(super) use self::spec::read_spec;

/// A transformer encoder with its weights on a device.
pub struct Encoder<E: Exec> {
    spec: EncoderSpec,
    tables: E::Tables,
    norm: E::Norm,
    layers: Vec<Layer<E>>,
}

struct Layer<E: Exec> {
    qkv: E::Linear,
    output: E::Linear,
    attention_norm: E::Norm,
    up: E::Linear,
    down: E::Linear,
    norm: E::Norm,
}

impl<E: Exec> Encoder<E> {
    /// Packs the checkpoint's weights for `exec`.
    pub(super) fn load(
        exec: &E,
        spec: EncoderSpec,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<Self, Error> {
        let names = bert::NAMES;
        let loader = Loader { exec, checkpoint, eps: spec.norm_eps };
        let hidden = spec.hidden;
        let word = checkpoint.tensor(names.word, &[spec.vocabulary, hidden])?;
        let position = checkpoint.tensor(names.position, &[spec.max_positions, hidden])?;
        let token_type = checkpoint.tensor(names.token_type, &[spec.token_types, hidden])?;
        let tables = exec.load_tables(TableWeights {
            hidden,
            word: &word,
            position: Some(&position),
            token_type: Some(&token_type),
        })?;
        let layers = (0..spec.layers).map(|layer| {
            let at = |name: &str| format!("{}{layer}.{name}", names.layer);
            let (width, qkv) = (spec.intermediate, names.qkv.map(at));
            Ok(Layer {
                qkv: loader.linear(&qkv, hidden, hidden)?,
                output: loader.linear(&[at(names.output)], hidden, hidden)?,
                attention_norm: loader.norm(&at(names.attention_norm), hidden)?,
                up: loader.linear(&[at(names.up)], hidden, width)?,
                down: loader.linear(&[at(names.down)], width, hidden)?,
                norm: loader.norm(&at(names.layer_norm), hidden)?,
            })
        });
        let layers = layers.collect::<Result<_, Error>>()?;
        Ok(Self { norm: loader.norm(names.norm, hidden)?, spec, tables, layers })
    }

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
        let attention = Attention {
            heads: self.spec.heads,
            kv_heads: self.spec.kv_heads,
            head_dim: self.spec.head_dim,
            scale: 1.0 / (self.spec.head_dim as f32).sqrt(),
            mask: self.spec.mask,
        };
        let activation = match self.spec.activation {
            Activation::Gelu => Epilogue::Gelu,
        };
        let Packed { ids, type_ids, positions, cu_seqlens } = packed;
        let mut hidden =
            exec.embed_norm(&self.tables, &self.norm, Tokens { ids, type_ids, positions })?;
        for layer in &self.layers {
            let qkv = exec.linear(&hidden, &layer.qkv, Epilogue::None)?;
            let context = exec.attention(&qkv, cu_seqlens, &attention)?;
            drop(qkv);
            let output = exec.linear(&context, &layer.output, Epilogue::None)?;
            drop(context);
            let attended = exec.residual_norm(output, &hidden, &layer.attention_norm)?;
            let up = exec.linear(&attended, &layer.up, activation)?;
            let down = exec.linear(&up, &layer.down, Epilogue::None)?;
            drop(up);
            hidden = exec.residual_norm(down, &attended, &layer.norm)?;
        }
        Ok(hidden)
    }
}

/// Moves named tensors from a checkpoint to a device.
pub(super) struct Loader<'a, E: Exec> {
    pub(super) exec: &'a E,
    pub(super) checkpoint: &'a Checkpoint<'a>,
    pub(super) eps: f32,
}

impl<E: Exec> Loader<'_, E> {
    /// Dense layers `names` from `input` to `output` features each, side by side.
    pub(super) fn linear(
        &self,
        names: &[String],
        input: usize,
        output: usize,
    ) -> Result<E::Linear, Error> {
        let mut tensors = Vec::with_capacity(names.len());
        for name in names {
            let weight = self.checkpoint.tensor(&format!("{name}.weight"), &[output, input])?;
            let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[output])?;
            tensors.push((weight, bias));
        }
        let parts: Vec<DenseWeights<'_>> = tensors
            .iter()
            .map(|(weight, bias)| DenseWeights { weight, bias: Some(bias), in_features: input })
            .collect();
        Ok(self.exec.load_linear(&parts)?)
    }

    fn norm(&self, name: &str, hidden: usize) -> Result<E::Norm, Error> {
        let weight = self.checkpoint.tensor(&format!("{name}.weight"), &[hidden])?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[hidden])?;
        Ok(self.exec.load_norm(NormWeights { weight: &weight, bias: &bias, eps: self.eps })?)
    }
}
