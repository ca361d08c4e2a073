//! Jobs run on a model, in batches: each sequence is computed once, and read for what is asked.

use std::panic::resume_unwind;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rayon::prelude::*;

use super::Error;
use super::batch::{Packed, plan_batches};
use super::form::Form;
use super::job::{Forward, Job, Output, Read, Work};
use super::model::Model;
use super::modules::HeadKind;
use super::network::Network;
use crate::compute::{self, Batching, Exec, Span};

/// One executor of a network's.
struct Lane<'a, E: Exec> {
    network: &'a Network<E>,
    exec: &'a E,
}

impl<E: Exec> Clone for Lane<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Exec> Copy for Lane<'_, E> {}

/// What a batch gave for one kind of output: a row for each read.
struct Rows {
    columns: usize,
    reads: Vec<Read>,
    data: Vec<f32>,
}

impl Model {
    /// Runs `jobs` together on every lane, in as few batches as the token budget allows: one result
    /// a job.
    ///
    /// # Errors
    /// Those of the device, for all jobs at once. A job whose own rows are not finite fails alone.
    pub fn run(&self, jobs: &[&Job]) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        match &self.network {
            Form::Cpu(network) => self.run_on(&lanes(slice::from_ref(&**network)), jobs),
            Form::Cuda(networks) => self.run_on(&lanes(networks), jobs),
            Form::Candle(network) => self.run_on(&lanes(slice::from_ref(&**network)), jobs),
        }
    }

    /// [`run`](Self::run) on one of [`lanes`](Self::lanes).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// When there is no such lane.
    pub fn run_on_lane(
        &self,
        jobs: &[&Job],
        lane: usize,
    ) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        match &self.network {
            Form::Cuda(networks) => self.run_on(&lanes(networks)[lane..=lane], jobs),
            Form::Cpu(_) | Form::Candle(_) => self.run(jobs),
        }
    }

    /// The states of all tokens as one batch on one of [`lanes`](Self::lanes), thrown away.
    pub(super) fn run_in_one_batch(&self, packed: &Packed, lane: usize) -> Result<(), Error> {
        let Form::Cuda(networks) = &self.network else { return Ok(()) };
        let Lane { network, exec } = lanes(networks)[lane];
        let hidden = network.hidden(exec, packed)?;
        let spans = [Span { seq: 0, start: 0, end: 1 }];
        network.states(exec, &hidden, &packed.cu_seqlens, &spans)?;
        Ok(())
    }

    /// Gives memory that no batch holds back to the devices.
    pub(super) fn trim(&self) -> Result<(), Error> {
        let Form::Cuda(networks) = &self.network else { return Ok(()) };
        let mut lanes = networks.iter().flat_map(Network::lanes);
        lanes.try_for_each(|exec| Ok(exec.trim()?))
    }

    fn run_on<E: Exec>(
        &self,
        lanes: &[Lane<'_, E>],
        jobs: &[&Job],
    ) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        jobs.iter().try_for_each(|job| self.check_output(job.output))?;
        let work = Work::new(jobs)?;
        let batches = plan_batches(&work.lengths, self.batch_tokens(lanes, &work.lengths));
        let run = |lane: Lane<'_, E>, batch: &Vec<usize>| self.run_batch(lane, jobs, &work, batch);
        let done = match *lanes {
            [lane] => on_threads(lane, &batches, run),
            _ => on_lanes(lanes, &batches, run),
        }?;
        let mut results: Vec<Vec<f32>> =
            jobs.iter().map(|job| vec![0.0; job.spans.len() * self.columns(job.output)]).collect();
        for Rows { columns, reads, data } in done.into_iter().flatten() {
            for (read, row) in reads.iter().zip(data.chunks_exact(columns)) {
                results[read.job][read.row * columns..][..columns].copy_from_slice(row);
            }
        }
        let finite = |rows: Vec<f32>| {
            if rows.iter().all(|x| x.is_finite()) { Ok(rows) } else { Err(Error::OutputNotFinite) }
        };
        Ok(results.into_iter().map(finite).collect())
    }

    /// Tokens of a batch: enough for the kernels, no more than the form is best at, a share for each
    /// of those that run at a time.
    fn batch_tokens<E: Exec>(&self, lanes: &[Lane<'_, E>], lengths: &[usize]) -> usize {
        let Some(lane) = lanes.first() else { return self.max_batch_tokens() };
        let Batching { parallel, tokens, .. } = lane.exec.batching();
        let share = lengths.iter().sum::<usize>().div_ceil(parallel * lanes.len());
        share.clamp(*tokens.start(), *tokens.end()).min(self.max_batch_tokens())
    }

    /// Runs sequences of `jobs` together, or in halves where the device has no memory for all.
    fn run_batch<E: Exec>(
        &self,
        lane: Lane<'_, E>,
        jobs: &[&Job],
        work: &Work,
        batch: &[usize],
    ) -> Result<Vec<Rows>, Error> {
        match self.run_whole(lane, jobs, work, batch) {
            Err(Error::Compute(error @ compute::Error::DeviceMemory { .. })) if batch.len() > 1 => {
                tracing::warn!(%error, sequences = batch.len(), "running in halves");
                let (first, second) = batch.split_at(batch.len() / 2);
                let mut rows = self.run_batch(lane, jobs, work, first)?;
                rows.extend(self.run_batch(lane, jobs, work, second)?);
                Ok(rows)
            }
            done => done,
        }
    }

    /// For every kind of output what is read, a row each.
    fn run_whole<E: Exec>(
        &self,
        Lane { network, exec }: Lane<'_, E>,
        jobs: &[&Job],
        work: &Work,
        batch: &[usize],
    ) -> Result<Vec<Rows>, Error> {
        let (packed, mut reads) = work.gather(jobs, batch);
        let hidden = network.hidden(exec, &packed)?;
        let mut results = Vec::new();
        while let Some(first) = reads.first() {
            let output = jobs[first.job].output;
            let (now, later): (Vec<Read>, _) =
                reads.into_iter().partition(|read| jobs[read.job].output == output);
            reads = later;
            let columns = self.columns(output);
            let spans: Vec<Span> = now.iter().map(|read| read.span).collect();
            let cu_seqlens = &packed.cu_seqlens;
            let data = match output {
                Output::Embeddings { .. } | Output::Scores => {
                    network.pooled(exec, &hidden, cu_seqlens, &spans, self.finish(columns))?
                }
                Output::States => network.states(exec, &hidden, cu_seqlens, &spans)?,
                Output::MaxLogits => network.max_logits(exec, &hidden, cu_seqlens, &spans)?,
            };
            results.push(Rows { columns, reads: now, data });
        }
        Ok(results)
    }

    fn columns(&self, output: Output) -> usize {
        match output {
            Output::Embeddings { dimensions } => dimensions,
            Output::States => self.spec().hidden,
            Output::Scores => match self.modules.head {
                HeadKind::Classifier { labels, .. } => labels,
                HeadKind::Dense | HeadKind::MaskedLm { .. } => 0,
            },
            Output::MaxLogits => self.spec().vocabulary,
        }
    }
}

/// The lanes of all networks: the first of each, then the second, so that few batches reach all.
fn lanes<E: Exec>(networks: &[Network<E>]) -> Vec<Lane<'_, E>> {
    let most = networks.iter().map(|network| network.lanes().len()).max().unwrap_or(0);
    let mut lanes = Vec::new();
    for at in 0..most {
        let nth = |network| Some(Lane { network, exec: Network::lanes(network).get(at)? });
        lanes.extend(networks.iter().filter_map(nth));
    }
    lanes
}

/// Runs batches on one lane, from as many threads as it takes.
fn on_threads<E: Exec, R: Send>(
    lane: Lane<'_, E>,
    batches: &[Vec<usize>],
    run: impl Fn(Lane<'_, E>, &Vec<usize>) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    if lane.exec.batching().parallel == 1 {
        return batches.iter().map(|batch| run(lane, batch)).collect();
    }
    // Within the pool, so that what each batch splits further is not handed over again.
    rayon::scope(|_| batches.par_iter().map(|batch| run(lane, batch)).collect())
}

/// Runs batches on lanes, a thread each: while one waits for its batch the others' are queued.
fn on_lanes<E: Exec, R: Send>(
    lanes: &[Lane<'_, E>],
    batches: &[Vec<usize>],
    run: impl Fn(Lane<'_, E>, &Vec<usize>) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let take = |lane: Lane<'_, E>| {
        let mine = std::iter::from_fn(|| batches.get(next.fetch_add(1, Ordering::Relaxed)));
        mine.map(|batch| run(lane, batch)).collect::<Result<Vec<R>, Error>>()
    };
    let Some((first, others)) = lanes.split_first() else { return Ok(Vec::new()) };
    let others = &others[..others.len().min(batches.len().saturating_sub(1))];
    thread::scope(|scope| {
        let take = &take;
        let started: Vec<_> = others.iter().map(|&lane| scope.spawn(move || take(lane))).collect();
        let mut done = take(*first)?;
        for thread in started {
            done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(done)
    })
}

impl Forward for Model {
    fn model(&self) -> &Model {
        self
    }

    fn forward(&self, job: Job) -> Result<Vec<f32>, Error> {
        // One job in, one result out.
        self.run(&[&job])?.pop().unwrap_or(Ok(Vec::new()))
    }
}
