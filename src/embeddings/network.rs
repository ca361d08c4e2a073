//! Everything of a model that runs on a device: encoder, pooling, Dense heads, normalisation.

use super::Error;
use super::batch::Packed;
use super::encoder::{Encoder, EncoderSpec};
use super::folder::Folder;
use super::pooling::{Dense, Modules};
use super::weights::with_checkpoint;
use crate::compute::{DenseWeights, Epilogue, Exec, Finish, Pooling, Span};

/// A model's weights on a device, ready to run.
pub(super) struct Network<E: Exec> {
    exec: E,
    encoder: Encoder<E>,
    heads: Vec<(E::Linear, Epilogue)>,
    pooling: Pooling,
}

impl<E: Exec> Network<E> {
    pub(super) fn load(
        exec: E,
        folder: &Folder,
        spec: EncoderSpec,
        modules: &Modules,
    ) -> Result<Self, Error> {
        let encoder = with_checkpoint(folder, "", "bert.", |checkpoint| {
            Encoder::load(&exec, spec, checkpoint)
        })?;
        let heads = modules.dense.iter().map(|dense| load_head(&exec, folder, dense));
        let heads = heads.collect::<Result<_, _>>()?;
        Ok(Self { encoder, heads, pooling: modules.pooling, exec })
    }

    pub(super) fn describe(&self) -> String {
        self.exec.describe()
    }

    pub(super) fn spec(&self) -> &EncoderSpec {
        self.encoder.spec()
    }

    /// The last hidden states of a batch, `[T, H]`, on the device.
    pub(super) fn hidden(&self, packed: &Packed) -> Result<E::Buffer, Error> {
        self.encoder.forward(&self.exec, packed)
    }

    /// Spans of hidden states, pooled as the model does, as finished vectors.
    pub(super) fn embeddings(
        &self,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        finish: Finish,
    ) -> Result<Vec<f32>, Error> {
        let rows = self.exec.pool(hidden, cu_seqlens, spans, self.pooling)?;
        self.finish(rows, finish)
    }

    /// Mean hidden state of each span, `[spans, H]`, as it is.
    pub(super) fn states(
        &self,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<Vec<f32>, Error> {
        let rows = self.exec.pool(hidden, cu_seqlens, spans, Pooling::Mean)?;
        let finish = Finish { dims: self.spec().hidden, normalize: false };
        Ok(self.exec.finish(rows, finish)?)
    }

    /// Pooled rows `[n, H]` from the host as finished vectors.
    pub(super) fn project(&self, rows: &[f32], finish: Finish) -> Result<Vec<f32>, Error> {
        let rows = self.exec.upload(rows, self.spec().hidden)?;
        self.finish(rows, finish)
    }

    /// See [`Exec::gram`].
    pub(super) fn gram(&self, rows: &[f32], cols: usize, width: usize) -> Result<Vec<f32>, Error> {
        Ok(self.exec.gram(&self.exec.upload(rows, cols)?, width)?)
    }

    fn finish(&self, mut rows: E::Buffer, finish: Finish) -> Result<Vec<f32>, Error> {
        for (linear, activation) in &self.heads {
            rows = self.exec.linear(&rows, linear, *activation)?;
        }
        Ok(self.exec.finish(rows, finish)?)
    }
}

fn load_head<E: Exec>(
    exec: &E,
    folder: &Folder,
    dense: &Dense,
) -> Result<(E::Linear, Epilogue), Error> {
    let linear = with_checkpoint(folder, &dense.directory, "", |checkpoint| {
        let shape = [dense.out_features, dense.in_features];
        let weight = checkpoint.tensor("linear.weight", &shape)?;
        let bias = dense.bias.then(|| checkpoint.tensor("linear.bias", &shape[..1])).transpose()?;
        Ok(exec.load_linear(&[DenseWeights {
            weight: &weight,
            bias: bias.as_deref(),
            in_features: dense.in_features,
        }])?)
    })?;
    Ok((linear, dense.activation))
}
