//! From a checkpoint's named tensors to an encoder on a device.

use super::super::Error;
use super::super::weights::Checkpoint;
use super::families::Family;
use super::names::Names;
use super::spec::{DistanceBias, EncoderSpec, Gate, NormPlacement, NormSpec, Positions};
use super::{Encoder, Layer, Norms};
use crate::compute::{
    Attention, BiasWeights, DenseWeights, Exec, NormWeights, Precision, RotaryWeights, TableWeights,
};

impl<E: Exec> Encoder<E> {
    /// Packs the checkpoint's weights for `exec`; `tied` names the word table where the family's
    /// own name is not there.
    pub(in super::super) fn load(
        exec: &E,
        family: &Family,
        checkpoint: &Checkpoint<'_>,
        tied: Option<&str>,
    ) -> Result<Self, Error> {
        let Family { spec, names, .. } = family;
        let precision = Precision::Working;
        let loader = Loader { exec, checkpoint, norms: &spec.norm, precision };
        let mut kinds: Vec<super::Rotary> = Vec::new();
        for rotary in spec.layers.iter().filter_map(|layer| layer.rotary) {
            if !kinds.contains(&rotary) {
                kinds.push(rotary);
            }
        }
        let tied = tied.filter(|_| !checkpoint.has(names.word));
        let tables = loader.tables(spec, names, tied.unwrap_or(names.word))?;
        checkpoint.release();
        let layers = spec.layers.iter().enumerate().map(|(index, layer)| {
            let attention = Attention {
                heads: spec.attention.heads,
                kv_heads: spec.attention.kv_heads,
                head_dim: spec.attention.head_dim,
                scale: spec.attention.scale,
                mask: layer.mask,
            };
            let rotary = layer.rotary.map(|own| {
                let kind = kinds.iter().position(|kind| *kind == own);
                kind.expect("every layer's kind is among them")
            });
            let layer = loader.layer(spec, names, index, attention, rotary);
            checkpoint.release();
            layer
        });
        let layers = layers.collect::<Result<_, Error>>()?;
        let optional_norm =
            |wanted: bool, name| wanted.then(|| loader.norm(name, spec.hidden)).transpose();
        let has_final = spec.norm.placement != NormPlacement::Post;
        let rotaries = kinds.iter().map(|rotary| {
            let frequencies = rotary.frequencies(spec.attention.head_dim);
            let positions = spec.max_tokens;
            Ok(exec.load_rotary(RotaryWeights { frequencies: &frequencies, positions })?)
        });
        Ok(Self {
            tables,
            embedding_norm: optional_norm(spec.embedding.norm, names.embedding_norm)?,
            bias: loader.bias(spec, names)?,
            rotaries: rotaries.collect::<Result<_, Error>>()?,
            layers,
            final_norm: optional_norm(has_final, names.final_norm)?,
            spec: spec.clone(),
        })
    }
}

/// Moves named tensors from a checkpoint to a device.
pub(super) struct Loader<'a, E: Exec> {
    pub(super) exec: &'a E,
    pub(super) checkpoint: &'a Checkpoint<'a>,
    pub(super) norms: &'a NormSpec,
    /// Of dense layers.
    pub(super) precision: Precision,
}

impl<E: Exec> Loader<'_, E> {
    fn layer(
        &self,
        spec: &EncoderSpec,
        names: &Names,
        index: usize,
        attention: Attention,
        rotary: Option<usize>,
    ) -> Result<Layer<E>, Error> {
        let at = |name: &str| format!("{}{index}.{name}", names.layer);
        let (hidden, own) = (spec.hidden, &spec.attention);
        let (queries, keys) = (own.heads * own.head_dim, own.kv_heads * own.head_dim);
        let qkv = match *names.qkv {
            [query, key, value] => {
                vec![(at(query), queries), (at(key), keys), (at(value), keys)]
            }
            _ => names.qkv.iter().map(|name| (at(name), queries + 2 * keys)).collect(),
        };
        let norm = |name: &str, columns| self.norm(&at(name), columns);
        let head_norms = if own.head_norms {
            Some([norm(names.query_norm, own.head_dim)?, norm(names.key_norm, own.head_dim)?])
        } else {
            None
        };
        let intermediate = spec.feed_forward.intermediate;
        Ok(Layer {
            attention,
            qkv: self.linear(&qkv, hidden, own.qkv_bias)?,
            rotary,
            head_norms,
            output: self.linear(&[(at(names.output), hidden)], queries, own.output_bias)?,
            up: self.up(spec, names, at)?,
            down: self.linear(
                &[(at(names.down), hidden)],
                intermediate,
                spec.feed_forward.down_bias,
            )?,
            norms: self.norms(spec, names, index)?,
        })
    }

    /// The first product of the feed-forward layer, the activated half first where it is gated.
    fn up(
        &self,
        spec: &EncoderSpec,
        names: &Names,
        at: impl Fn(&str) -> String,
    ) -> Result<E::Linear, Error> {
        let (width, bias) = (spec.feed_forward.intermediate, spec.feed_forward.up_bias);
        let halves = match (spec.feed_forward.gate, names.up.len()) {
            (Gate::None, _) | (_, 2) => {
                let parts: Vec<_> = names.up.iter().map(|name| (at(name), width)).collect();
                return self.linear(&parts, spec.hidden, bias);
            }
            (Gate::ActivatedFirst, _) => [0, 1],
            (Gate::ActivatedLast, _) => [1, 0],
        };
        let name = at(names.up[0]);
        let weight = self.checkpoint.tensor(&weight_of(&name), &[2 * width, spec.hidden])?;
        let bias =
            bias.then(|| self.checkpoint.tensor(&bias_of(&name), &[2 * width])).transpose()?;
        let parts = halves.map(|half| DenseWeights {
            weight: &weight[half * width * spec.hidden..][..width * spec.hidden],
            bias: bias.as_ref().map(|bias| &bias[half * width..][..width]),
            in_features: spec.hidden,
        });
        Ok(self.exec.load_linear(&parts, self.precision)?)
    }

    fn norms(&self, spec: &EncoderSpec, names: &Names, index: usize) -> Result<Norms<E>, Error> {
        let norm = |name: &str| self.norm(&format!("{}{index}.{name}", names.layer), spec.hidden);
        let sandwich = spec.norm.placement == NormPlacement::Sandwich;
        let absent = spec.norm.placement == NormPlacement::Pre { first: false } && index == 0;
        let output = |name: &'static str| sandwich.then(|| norm(name)).transpose();
        Ok(Norms {
            attention: if absent { None } else { Some(norm(names.attention_norm)?) },
            attention_output: output(names.attention_output_norm)?,
            feed_forward: norm(names.feed_forward_norm)?,
            feed_forward_output: output(names.feed_forward_output_norm)?,
        })
    }

    fn tables(&self, spec: &EncoderSpec, names: &Names, word: &str) -> Result<E::Tables, Error> {
        let hidden = spec.hidden;
        let mut word = self.checkpoint.tensor(word, &[spec.vocabulary, hidden])?;
        if spec.embedding.scale.to_bits() != 1.0_f32.to_bits() {
            for x in word.to_mut() {
                *x *= spec.embedding.scale;
            }
        }
        let position = match spec.embedding.positions {
            Positions::None => None,
            Positions::Absolute { rows } | Positions::AfterPadding { rows, .. } => {
                Some(self.checkpoint.tensor(names.position, &[rows, hidden])?)
            }
        };
        let types = spec.embedding.token_types;
        let token_type = (types > 0)
            .then(|| self.checkpoint.tensor(names.token_type, &[types, hidden]))
            .transpose()?;
        Ok(self.exec.load_tables(TableWeights {
            hidden,
            word: &word,
            position: position.as_deref(),
            token_type: token_type.as_deref(),
        })?)
    }

    fn bias(&self, spec: &EncoderSpec, names: &Names) -> Result<Option<E::Bias>, Error> {
        let heads = spec.attention.heads;
        let bias = match spec.attention.bias {
            DistanceBias::None => return Ok(None),
            DistanceBias::Alibi => {
                self.exec.load_bias(BiasWeights::Slopes(&alibi_slopes(heads)))?
            }
            DistanceBias::Buckets { count, max_distance: radius } => {
                let table = self.checkpoint.tensor(names.distance_bias, &[count, heads])?;
                let distances = -(radius as i64)..=radius as i64;
                let buckets: Vec<usize> =
                    distances.map(|distance| bucket(distance, count, radius)).collect();
                let values: Vec<f32> = (0..heads)
                    .flat_map(|head| buckets.iter().map(move |bucket| bucket * heads + head))
                    .map(|at| table[at])
                    .collect();
                self.exec.load_bias(BiasWeights::Table { values: &values, radius })?
            }
        };
        Ok(Some(bias))
    }

    /// Dense layers of these names and outputs from `input` features each, side by side.
    pub(super) fn linear(
        &self,
        layers: &[(String, usize)],
        input: usize,
        bias: bool,
    ) -> Result<E::Linear, Error> {
        let mut tensors = Vec::with_capacity(layers.len());
        for (name, output) in layers {
            let weight = self.checkpoint.tensor(&weight_of(name), &[*output, input])?;
            let bias = bias.then(|| self.checkpoint.tensor(&bias_of(name), &[*output]));
            tensors.push((weight, bias.transpose()?));
        }
        let parts: Vec<DenseWeights<'_>> = tensors
            .iter()
            .map(|(weight, bias)| DenseWeights {
                weight,
                bias: bias.as_deref(),
                in_features: input,
            })
            .collect();
        Ok(self.exec.load_linear(&parts, self.precision)?)
    }

    pub(super) fn norm(&self, name: &str, columns: usize) -> Result<E::Norm, Error> {
        let NormSpec { kind, eps, bias, offset, .. } = *self.norms;
        let mut weight = self.checkpoint.tensor(&weight_of(name), &[columns])?;
        if offset != 0.0 {
            weight.to_mut().iter_mut().for_each(|x| *x += offset);
        }
        let bias = bias.then(|| self.checkpoint.tensor(&bias_of(name), &[columns])).transpose()?;
        let weights = NormWeights { kind, weight: &weight, bias: bias.as_deref(), eps };
        Ok(self.exec.load_norm(weights)?)
    }
}

pub(super) fn weight_of(name: &str) -> String {
    format!("{name}.weight")
}

pub(super) fn bias_of(name: &str) -> String {
    format!("{name}.bias")
}

/// The slopes of ALiBi (arXiv 2108.12409): powers of one ratio for a power of two of heads;
/// otherwise those of the power above, first every second one from the second on, then the rest.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let powers = heads.next_power_of_two();
    let slope = |index: usize| 2.0_f32.powf(-((8 * index) as f32 / powers as f32));
    if powers == heads {
        return (1..=heads).map(slope).collect();
    }
    let every_second = (2..=powers).step_by(2).chain((1..=powers).step_by(2));
    every_second.take(heads).map(slope).collect()
}

/// The bucket of a distance from query to key, as in T5: half of the `count` buckets for keys
/// after the query; within a half, single distances first and then ever wider ranges up to `max`.
fn bucket(distance: i64, count: usize, max: usize) -> usize {
    let half = count / 2;
    let single = half / 2;
    let side = if distance > 0 { half } else { 0 };
    let distance = distance.unsigned_abs() as usize;
    if distance < single {
        return side + distance;
    }
    let share = (distance as f32 / single as f32).ln() / (max as f32 / single as f32).ln();
    side + (single + (share * (half - single) as f32) as usize).min(half - 1)
}
