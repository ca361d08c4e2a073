//! A network on devices: the encoder, pooling, heads and normalisation of a model, in any form of
//! the operations.

use std::ops::Range;

use super::Error;
use super::batch::Packed;
use super::document::{DocumentPlan, Kept};
use super::encoder::{Encoder, Family, Head, HeadLayer, MaskedLm};
use super::job::Output;
use super::modules::{HeadKind, Modules};
use super::network::{Encoded, Network, Reads, Units};
use super::spellings::Spellings;
use super::steps::{Dense, Step};
use super::weights::with_checkpoint;
use crate::compute::{
    Batching, DenseWeights, Exec, NormKind, NormWeights, Pooling, Precision, Projection, Span,
};
use crate::models::Folder;

/// A model's weights on a device, ready to run.
pub(super) struct OnDevice<E: Exec> {
    /// Executors of the device, whose work may overlap; the first has loaded the weights.
    execs: Vec<E>,
    encoder: Encoder<E>,
    pooling: Vec<Pooling>,
    /// Whether vectors are brought to length one.
    normalize: bool,
    /// Columns of a vector, and those that are kept of it once it has its length.
    columns: usize,
    truncate: Option<usize>,
    /// Columns of hidden states, of scores and of logits over the vocabulary.
    hidden: usize,
    labels: usize,
    vocabulary: usize,
    /// From pooled states to vectors or scores.
    head: Head<E>,
    masked_lm: Option<MaskedLm<E>>,
}

impl<E: Exec> OnDevice<E> {
    /// Loads the weights by the first of `execs`.
    pub(super) fn load(execs: Vec<E>, files: Files<'_>) -> Result<Self, Error> {
        let Files { folder, directory, family, modules } = files;
        let exec = &execs[0];
        let spellings = &family.names.spellings;
        let loaded = with_checkpoint(folder, directory, spellings, |checkpoint| {
            let (mut classifier, mut masked_lm, mut tied) = (None, None, None);
            match modules.head {
                HeadKind::Dense => {}
                HeadKind::Classifier { labels, .. } => {
                    classifier = Some(Head::classifier(exec, family, checkpoint, labels)?);
                }
                HeadKind::MaskedLm { .. } => {
                    tied = MaskedLm::<E>::own_table(family, checkpoint);
                    masked_lm = Some(MaskedLm::load(exec, family, checkpoint)?);
                }
            }
            let encoder = Encoder::load(exec, family, checkpoint, tied.as_deref())?;
            Ok((encoder, classifier, masked_lm))
        });
        let (encoder, classifier, masked_lm) = loaded?;
        let mut layers = Vec::with_capacity(modules.steps.len());
        let hidden = family.spec.hidden;
        let mut columns = modules.pooling.len() * hidden;
        for step in &modules.steps {
            layers.push(load_step(exec, folder, step, columns)?);
            columns = step.columns(columns);
        }
        let labels = match modules.head {
            HeadKind::Classifier { labels, .. } => labels,
            HeadKind::Dense | HeadKind::MaskedLm { .. } => 0,
        };
        Ok(Self {
            encoder,
            pooling: modules.pooling.clone(),
            normalize: modules.normalize,
            columns,
            truncate: modules.truncate,
            hidden,
            labels,
            vocabulary: family.spec.vocabulary,
            head: classifier.unwrap_or_else(|| Head::new(layers)),
            masked_lm,
            execs,
        })
    }

    /// Encodes a batch on a lane, whose executor is `exec`, and reads it, see [`Network::encode`].
    fn encode(
        &self,
        lane: usize,
        exec: &E,
        packed: &Packed,
        reads: &Reads<'_>,
    ) -> Result<Encoded, Error> {
        let hidden = self.encoder.forward(exec, packed)?;
        let cu_seqlens = &packed.cu_seqlens;
        let rows = reads
            .rows
            .iter()
            .map(|(output, spans)| self.read(exec, &hidden, cu_seqlens, *output, spans));
        let documents = reads.documents.iter().map(|(document, spans)| {
            let parts = exec.pool(&hidden, cu_seqlens, spans, Pooling::Mean)?;
            self.units(lane, exec, &parts, document)
        });
        let rows = rows.collect::<Result<_, _>>()?;
        Ok(Encoded { rows, documents: documents.collect::<Result<_, _>>()? })
    }

    /// Units of a document from the mean states of its parts.
    fn units(
        &self,
        lane: usize,
        exec: &E,
        parts: &E::Buffer,
        document: &DocumentPlan,
    ) -> Result<Units, Error> {
        if self.pooling.len() > 1 {
            return Err(Error::JoinedPooling);
        }
        let DocumentPlan { units, dimensions, .. } = document;
        let (sums, counts) = (exec.sum_runs(parts, &units.sums())?, units.counts());
        let means = exec.sum_runs(&sums, &counts.of_each()?)?;
        let rows = self.head.apply(exec, means)?;
        let finish = Projection { dims: *dimensions, normalize: true };
        let (vectors, band) = match units.width {
            0 => (exec.finish(rows, finish)?, Vec::new()),
            width => exec.finish_gram(rows, finish, width)?,
        };
        Ok(Units { vectors, band, kept: Kept { lane, sums: Box::new(sums), counts } })
    }

    /// See [`Network::means`].
    fn means(
        &self,
        exec: &E,
        kept: &Kept,
        runs: &[Range<usize>],
        finish: Projection,
    ) -> Result<Vec<f32>, Error> {
        let sums = kept.sums.downcast_ref().expect("units are pooled by the model that read them");
        let means = exec.sum_runs(sums, &kept.counts.means(runs.iter().cloned())?)?;
        self.finish(exec, self.head.apply(exec, means)?, finish)
    }

    /// What `output` is of each span of hidden states, a row each.
    fn read(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        output: Output,
        spans: &[Span],
    ) -> Result<Vec<f32>, Error> {
        match output {
            Output::Embeddings { dimensions, normalize } => {
                // As `Modules::normalizes` says.
                let own = self.normalize && self.truncate != Some(dimensions);
                let normalize = normalize.unwrap_or(own);
                let finish = Projection { dims: dimensions, normalize };
                self.pooled(exec, hidden, cu_seqlens, spans, finish)
            }
            Output::Scores => {
                let finish = Projection { dims: self.labels, normalize: false };
                self.pooled(exec, hidden, cu_seqlens, spans, finish)
            }
            Output::MeanStates => {
                let finish = Projection { dims: self.hidden, normalize: false };
                Ok(exec.pool_finish(hidden, cu_seqlens, spans, Pooling::Mean, finish)?)
            }
            Output::MaxLogits => {
                let masked_lm = self.masked_lm.as_ref().expect("asked of models with such a head");
                let rows = masked_lm.max_logits(exec, hidden, cu_seqlens, spans)?;
                let finish = Projection { dims: self.vocabulary, normalize: false };
                Ok(exec.finish(rows, finish)?)
            }
        }
    }

    /// Spans of hidden states, pooled as the model does, through its head.
    fn pooled(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
        finish: Projection,
    ) -> Result<Vec<f32>, Error> {
        if let ([pooling], true, None) = (&self.pooling[..], self.head.is_empty(), self.truncate) {
            return Ok(exec.pool_finish(hidden, cu_seqlens, spans, *pooling, finish)?);
        }
        let rows = match self.pooling[..] {
            [pooling] => exec.pool(hidden, cu_seqlens, spans, pooling)?,
            _ => self.joined(exec, hidden, cu_seqlens, spans)?,
        };
        self.finish(exec, self.head.apply(exec, rows)?, finish)
    }

    /// The rows of every pooling side by side: `[spans, poolings * H]`.
    fn joined(
        &self,
        exec: &E,
        hidden: &E::Buffer,
        cu_seqlens: &[u32],
        spans: &[Span],
    ) -> Result<E::Buffer, Error> {
        let whole = Projection { dims: self.hidden, normalize: false };
        let pool = |pooling: &Pooling| exec.pool_finish(hidden, cu_seqlens, spans, *pooling, whole);
        let parts: Vec<Vec<f32>> = self.pooling.iter().map(pool).collect::<Result<_, _>>()?;
        let columns = self.pooling.len() * self.hidden;
        let mut rows = Vec::with_capacity(spans.len() * columns);
        for span in 0..spans.len() {
            rows.extend(parts.iter().flat_map(|part| &part[span * self.hidden..][..self.hidden]));
        }
        Ok(exec.upload(&rows, columns)?)
    }

    /// Rows behind the head as finished vectors. Where the settings cut vectors, they are cut once
    /// they have their length.
    fn finish(&self, exec: &E, rows: E::Buffer, finish: Projection) -> Result<Vec<f32>, Error> {
        if self.truncate != Some(finish.dims) || finish.normalize {
            return Ok(exec.finish(rows, finish)?);
        }
        let whole = Projection { dims: self.columns, normalize: self.normalize };
        let vectors = exec.finish(rows, whole)?;
        let kept = vectors.chunks_exact(self.columns).flat_map(|row| &row[..finish.dims]);
        Ok(kept.copied().collect())
    }
}

/// What a model's weights are read by.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) folder: &'a Folder,
    /// Of the transformer.
    pub(super) directory: &'a str,
    pub(super) family: &'a Family,
    pub(super) modules: &'a Modules,
}

/// One network a device, all with the same weights.
pub(super) struct OnDevices<E: Exec> {
    devices: Vec<OnDevice<E>>,
    /// Device and executor of each lane: the first of every device, then the second, so that few
    /// batches reach all.
    lanes: Vec<(usize, usize)>,
}

impl<E: Exec> OnDevices<E> {
    /// The lanes of `devices`, of which there is at least one.
    pub(super) fn new(devices: Vec<OnDevice<E>>) -> Self {
        let most = devices.iter().map(|device| device.execs.len()).max().unwrap_or(0);
        let nth = |at: usize| {
            let with_nth = devices.iter().enumerate().filter(move |(_, one)| at < one.execs.len());
            with_nth.map(move |(device, _)| (device, at))
        };
        let lanes = (0..most).flat_map(nth).collect();
        Self { devices, lanes }
    }

    fn lane(&self, lane: usize) -> (&OnDevice<E>, &E) {
        let (device, exec) = self.lanes[lane % self.lanes.len()];
        (&self.devices[device], &self.devices[device].execs[exec])
    }

    fn first(&self) -> &E {
        &self.devices[0].execs[0]
    }
}

impl<E: Exec> Network for OnDevices<E> {
    fn lanes(&self) -> usize {
        self.lanes.len() * self.batching().parallel
    }

    fn is_on_host(&self) -> bool {
        self.batching().parallel > 1
    }

    fn describe(&self) -> String {
        let devices: Vec<String> = self.devices.iter().map(|one| one.execs[0].describe()).collect();
        devices.join("; ")
    }

    fn batching(&self) -> Batching {
        self.first().batching()
    }

    fn encode(&self, lane: usize, packed: &Packed, reads: &Reads<'_>) -> Result<Encoded, Error> {
        let (device, exec) = self.lane(lane);
        if !self.is_on_host() {
            return device.encode(lane, exec, packed, reads);
        }
        // Within the pool, so that what the batch splits further is not handed over again.
        rayon::scope(|_| device.encode(lane, exec, packed, reads))
    }

    fn units(&self, lane: usize, parts: &[f32], document: &DocumentPlan) -> Result<Units, Error> {
        let (device, exec) = self.lane(lane);
        device.units(lane, exec, &exec.upload(parts, device.hidden)?, document)
    }

    fn means(
        &self,
        kept: &Kept,
        runs: &[Range<usize>],
        finish: Projection,
    ) -> Result<Vec<f32>, Error> {
        let (device, exec) = self.lane(kept.lane);
        device.means(exec, kept, runs, finish)
    }

    fn band(
        &self,
        lane: usize,
        rows: &[f32],
        columns: usize,
        width: usize,
    ) -> Result<Vec<f32>, Error> {
        let (_, exec) = self.lane(lane);
        Ok(exec.gram(&exec.upload(rows, columns)?, width)?)
    }

    fn trim(&self) -> Result<(), Error> {
        let mut execs = self.devices.iter().flat_map(|device| &device.execs);
        execs.try_for_each(|exec| Ok(exec.trim()?))
    }
}

/// A module behind one of `columns` outputs.
fn load_step<E: Exec>(
    exec: &E,
    folder: &Folder,
    step: &Step,
    columns: usize,
) -> Result<HeadLayer<E>, Error> {
    match step {
        Step::Dense(dense) => {
            Ok(HeadLayer::Dense(load_dense(exec, folder, dense)?, dense.activation))
        }
        Step::Norm { directory, columns } => {
            let norm = with_checkpoint(folder, directory, &Spellings::PLAIN, |checkpoint| {
                let weight = checkpoint.tensor("norm.weight", &[*columns])?;
                let bias = checkpoint.tensor("norm.bias", &[*columns])?;
                // The default of torch.nn.LayerNorm.
                let eps = 1e-5;
                let kind = NormKind::Layer;
                Ok(exec.load_norm(NormWeights { kind, weight: &weight, bias: Some(&bias), eps })?)
            })?;
            Ok(HeadLayer::Norm(norm))
        }
        Step::Normalize => Ok(HeadLayer::Normalize(columns)),
    }
}

fn load_dense<E: Exec>(exec: &E, folder: &Folder, dense: &Dense) -> Result<E::Linear, Error> {
    with_checkpoint(folder, &dense.directory, &Spellings::PLAIN, |checkpoint| {
        let shape = [dense.out_features, dense.in_features];
        let weight = checkpoint.tensor("linear.weight", &shape)?;
        let bias = dense.bias.then(|| checkpoint.tensor("linear.bias", &shape[..1])).transpose()?;
        let in_features = dense.in_features;
        let weights = DenseWeights { weight: &weight, bias: bias.as_deref(), in_features };
        Ok(exec.load_linear(&[weights], Precision::Head)?)
    })
}
