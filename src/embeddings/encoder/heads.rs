//! What stands on an encoder for other outputs than its own states: classifiers and masked-LM.

use super::super::Error;
use super::super::config_file::ConfigFile;
use super::super::modules::HeadKind;
use super::super::weights::Checkpoint;
use super::families::Family;
use super::load::{Loader, bias_of, weight_of};
use crate::compute::{self, Activation, DenseWeights, Epilogue, Exec, Precision, Projection, Span};
use crate::models;

/// The heads that models of a family may have.
#[derive(Clone, Copy)]
pub(in super::super) struct Heads {
    /// From the pooled state to labels; empty where the family has none.
    pub(super) classifier: &'static [HeadLayer],
    /// From every token's state to what the decoder reads; empty where the family has none.
    pub(super) masked_lm: &'static [HeadLayer],
    /// Names that the decoder may have. Its weights are the word table's where it has no own.
    pub(super) decoder: &'static [&'static str],
    /// Whether the decoder's weights may be the word table's.
    pub(super) tied: bool,
    /// Refuses a config whose heads are other than these.
    pub(super) check: fn(&ConfigFile) -> Result<(), models::Error>,
}

impl Heads {
    pub(super) const NONE: Self =
        Self { classifier: &[], masked_lm: &[], decoder: &[], tied: true, check: |_| Ok(()) };

    /// Refuses a head that the family does not have.
    pub(in super::super) fn check(
        &self,
        config: &ConfigFile,
        head: HeadKind,
    ) -> Result<(), models::Error> {
        let layers = match head {
            HeadKind::Dense => return Ok(()),
            HeadKind::Classifier { .. } => self.classifier,
            HeadKind::MaskedLm { .. } => self.masked_lm,
        };
        if layers.is_empty() {
            let supported = "an encoder: this model_type has no such head here";
            return Err(config.unsupported("architectures", supported));
        }
        (self.check)(config)
    }
}

/// A layer of a head.
#[derive(Clone, Copy)]
pub(super) enum HeadLayer {
    /// `[H, H]`, its nonlinearity the feed-forward layers' where `None`.
    Dense { name: &'static str, activation: Option<Activation>, bias: bool },
    /// As the encoder's norms.
    Norm { name: &'static str },
    /// `[labels, H]`, the last of a classifier.
    Labels { name: &'static str },
}

/// A head's layers on a device.
pub(in super::super) struct Head<E: Exec> {
    layers: Vec<Layer<E>>,
}

/// A layer on a device.
pub(in super::super) enum Layer<E: Exec> {
    Dense(E::Linear, Epilogue),
    Norm(E::Norm),
    /// Divides rows of so many columns by their L2 norm.
    Normalize(usize),
}

impl<E: Exec> Head<E> {
    pub(in super::super) fn new(layers: Vec<Layer<E>>) -> Self {
        Self { layers }
    }

    /// The family's classifier of `labels` outputs.
    pub(in super::super) fn classifier(
        exec: &E,
        family: &Family,
        checkpoint: &Checkpoint<'_>,
        labels: usize,
    ) -> Result<Self, Error> {
        let layers = family.heads.classifier;
        Self::load(exec, family, checkpoint, (layers, Precision::Full), labels)
    }

    fn load(
        exec: &E,
        family: &Family,
        checkpoint: &Checkpoint<'_>,
        (layers, precision): (&[HeadLayer], Precision),
        labels: usize,
    ) -> Result<Self, Error> {
        let norms = &family.spec.norm;
        let loader = Loader { exec, checkpoint, norms, precision };
        let hidden = family.spec.hidden;
        let own = family.spec.feed_forward.activation;
        let layers = layers.iter().map(|layer| match *layer {
            HeadLayer::Dense { name, activation, bias } => {
                let linear = loader.linear(&[(name.to_owned(), hidden)], hidden, bias)?;
                let activation = activation.unwrap_or(own);
                Ok(Layer::Dense(linear, Epilogue::Activate(activation)))
            }
            HeadLayer::Labels { name } => {
                let linear = loader.linear(&[(name.to_owned(), labels)], hidden, true)?;
                Ok(Layer::Dense(linear, Epilogue::None))
            }
            HeadLayer::Norm { name } => Ok(Layer::Norm(loader.norm(name, hidden)?)),
        });
        Ok(Self { layers: layers.collect::<Result<_, Error>>()? })
    }

    /// Whether rows pass through as they are.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Runs the layers over `[rows, H]`.
    pub(in super::super) fn apply(&self, exec: &E, rows: E::Buffer) -> Result<E::Buffer, Error> {
        self.layers.iter().try_fold(rows, |rows, layer| match *layer {
            Layer::Normalize(columns) => {
                let finish = Projection { dims: columns, normalize: true };
                Ok(exec.upload(&exec.finish(rows, finish)?, columns)?)
            }
            Layer::Dense(..) | Layer::Norm(_) => Ok(layer.apply(exec, &rows)?),
        })
    }
}

impl<E: Exec> Layer<E> {
    fn apply(&self, exec: &E, rows: &E::Buffer) -> Result<E::Buffer, compute::Error> {
        match self {
            Self::Dense(linear, epilogue) => exec.linear(rows, linear, *epilogue),
            Self::Norm(norm) => exec.norm(rows, norm),
            Self::Normalize(_) => unreachable!("no family's head has one"),
        }
    }
}

/// A masked-LM head: from token states to the vocabulary.
pub(in super::super) struct MaskedLm<E: Exec> {
    transform: Head<E>,
    decoder: E::Linear,
}

impl<E: Exec> MaskedLm<E> {
    pub(in super::super) fn load(
        exec: &E,
        family: &Family,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<Self, Error> {
        let (spec, heads) = (&family.spec, &family.heads);
        let layers = (heads.masked_lm, Precision::Head);
        let transform = Head::load(exec, family, checkpoint, layers, 0)?;
        // The first, to be reported as missing, where there is none.
        let first = heads.decoder.first().expect("a family with such a head names its decoder");
        let untied = (!heads.tied).then(|| weight_of(first));
        let own = Self::own_table(family, checkpoint).or(untied);
        let name = own.as_deref().unwrap_or(family.names.word);
        let weight = checkpoint.tensor(name, &[spec.vocabulary, spec.hidden])?;
        let mut biases = heads.decoder.iter().map(|name| bias_of(name));
        let name = biases.find(|name| checkpoint.has(name)).unwrap_or_else(|| bias_of(first));
        let bias = checkpoint.tensor(&name, &[spec.vocabulary])?;
        let in_features = spec.hidden;
        let weights = DenseWeights { weight: &weight, bias: Some(&bias), in_features };
        Ok(Self { transform, decoder: exec.load_linear(&[weights], Precision::Head)? })
    }

    /// The decoder's own table, where the checkpoint has one. It is the word table's too where
    /// that is missing.
    pub(in super::super) fn own_table(
        family: &Family,
        checkpoint: &Checkpoint<'_>,
    ) -> Option<String> {
        let mut names = family.heads.decoder.iter().map(|name| weight_of(name));
        names.find(|name| checkpoint.has(name))
    }

    /// The largest logit of every vocabulary entry over each span: `[spans, vocabulary]`.
    pub(in super::super) fn max_logits(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<E::Buffer, Error> {
        // The hidden states are read by others too, so the first layer must not consume them.
        let Some((first, rest)) = self.transform.layers.split_first() else {
            return Ok(exec.linear_max(hidden, &self.decoder, cu_seqlens, spans)?);
        };
        let states = first.apply(exec, hidden)?;
        let states = rest.iter().try_fold(states, |states, layer| layer.apply(exec, &states))?;
        Ok(exec.linear_max(&states, &self.decoder, cu_seqlens, spans)?)
    }
}
