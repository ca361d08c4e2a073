//! Everything of a model that runs on a device: encoder, pooling, heads, normalisation.

use super::Error;
use super::batch::Packed;
use super::encoder::{Encoder, EncoderSpec, Family, Head, MaskedLm};
use super::modules::{Dense, HeadKind, Modules};
use super::weights::with_checkpoint;
use crate::compute::{DenseWeights, Epilogue, Exec, Finish, Pooling, Precision, Span};
use crate::models::Folder;

/// A model's weights on a device, ready to run.
pub(super) struct Network<E: Exec> {
    /// Executors of the device, whose work may overlap; the first has loaded the weights.
    lanes: Vec<E>,
    encoder: Encoder<E>,
    pooling: Pooling,
    /// From pooled states to vectors or scores.
    head: Head<E>,
    masked_lm: Option<MaskedLm<E>>,
}

impl<E: Exec> Network<E> {
    pub(super) fn load(
        exec: E,
        folder: &Folder,
        family: &Family,
        modules: &Modules,
    ) -> Result<Self, Error> {
        let prefix = family.names.prefix;
        let (encoder, classifier, masked_lm) = with_checkpoint(folder, "", prefix, |checkpoint| {
            let (mut classifier, mut masked_lm) = (None, None);
            match modules.head {
                HeadKind::Dense => {}
                HeadKind::Classifier { labels, .. } => {
                    classifier = Some(Head::classifier(&exec, family, checkpoint, labels)?);
                }
                HeadKind::MaskedLm { .. } => {
                    masked_lm = Some(MaskedLm::load(&exec, family, checkpoint)?);
                }
            }
            Ok((Encoder::load(&exec, family, checkpoint)?, classifier, masked_lm))
        })?;
        let dense = modules.dense.iter().map(|dense| load_dense(&exec, folder, dense));
        let dense = dense.collect::<Result<_, _>>()?;
        let head = classifier.unwrap_or_else(|| Head::from_dense(dense));
        let mut lanes = exec.lanes()?;
        lanes.insert(0, exec);
        Ok(Self { encoder, pooling: modules.pooling, head, masked_lm, lanes })
    }

    pub(super) fn describe(&self) -> String {
        self.lane(0).describe()
    }

    pub(super) fn lanes(&self) -> &[E] {
        &self.lanes
    }

    pub(super) fn lane(&self, index: usize) -> &E {
        &self.lanes[index]
    }

    pub(super) fn spec(&self) -> &EncoderSpec {
        self.encoder.spec()
    }

    /// The last hidden states of a batch, `[T, H]`, on the device.
    pub(super) fn hidden(&self, exec: &E, packed: &Packed) -> Result<E::Buffer, Error> {
        self.encoder.forward(exec, packed)
    }

    /// Spans of hidden states, pooled as the model does, through its head.
    pub(super) fn pooled(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        finish: Finish,
    ) -> Result<Vec<f32>, Error> {
        if self.head.is_empty() {
            return Ok(exec.pool_finish(hidden, cu_seqlens, spans, self.pooling, finish)?);
        }
        self.finish(exec, exec.pool(hidden, cu_seqlens, spans, self.pooling)?, finish)
    }

    /// Mean hidden state of each span, `[spans, H]`, as it is.
    pub(super) fn states(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Vec<f32>, Error> {
        let finish = Finish { dims: self.spec().hidden, normalize: false };
        Ok(exec.pool_finish(hidden, cu_seqlens, spans, Pooling::Mean, finish)?)
    }

    /// The largest logit of every vocabulary entry over each span, `[spans, vocabulary]`; none
    /// where the model has no masked-LM head.
    pub(super) fn max_logits(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Vec<f32>, Error> {
        let Some(masked_lm) = &self.masked_lm else { return Ok(Vec::new()) };
        let rows = masked_lm.max_logits(exec, hidden, cu_seqlens, spans)?;
        let finish = Finish { dims: self.spec().vocabulary, normalize: false };
        Ok(exec.finish(rows, finish)?)
    }

    /// Pooled rows `[n, H]` from the host as finished vectors.
    pub(super) fn project(&self, rows: &[f32], finish: Finish) -> Result<Vec<f32>, Error> {
        let exec = self.lane(0);
        self.finish(exec, exec.upload(rows, self.spec().hidden)?, finish)
    }

    /// See [`Exec::gram`].
    pub(super) fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        let exec = self.lane(0);
        Ok(exec.gram(&exec.upload(rows, cols)?, width)?)
    }

    fn finish(&self, exec: &E, rows: E::Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        Ok(exec.finish(self.head.apply(exec, rows)?, finish)?)
    }
}

fn load_dense<E: Exec>(
    exec: &E,
    folder: &Folder,
    dense: &Dense,
) -> Result<(E::Linear, Epilogue), Error> {
    let linear = with_checkpoint(folder, &dense.directory, "", |checkpoint| {
        let shape = [dense.out_features, dense.in_features];
        let weight = checkpoint.tensor("linear.weight", &shape)?;
        let bias = dense.bias.then(|| checkpoint.tensor("linear.bias", &shape[..1])).transpose()?;
        let in_features = dense.in_features;
        let weights = DenseWeights { weight: &weight, bias: bias.as_deref(), in_features };
        Ok(exec.load_linear(&[weights], Precision::Full)?)
    })?;
    Ok((linear, dense.activation))
}
