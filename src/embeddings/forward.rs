//! Jobs run on a model, in batches: each sequence is computed once, and read for what is asked.

use rayon::prelude::*;

use super::Error;
use super::batch::plan_batches;
use super::job::{Forward, Job, Output, Read, Work};
use super::model::{Form, Model};
use super::modules::HeadKind;
use super::network::Network;
use crate::compute::{Exec, Span};

/// Tokens of a forward pass that keep a thread's kernels busy, and that leave its activations in
/// the caches.
const MIN_BATCH_TOKENS: usize = 128;
const MAX_BATCH_TOKENS: usize = 512;

/// What a batch gave for one kind of output: a row for each read.
struct Rows {
    columns: usize,
    reads: Vec<Read>,
    data: Vec<f32>,
}

impl Model {
    /// Runs `jobs` together, in as few batches as the token budget allows: one result a job.
    ///
    /// # Errors
    /// Those of the device, for all jobs at once. A job whose own rows are not finite fails alone.
    pub fn run(&self, jobs: &[&Job]) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        match &self.network {
            Form::Cpu(network) => self.run_on(network, jobs),
            Form::Candle(network) => self.run_on(network, jobs),
        }
    }

    fn run_on<E: Exec>(
        &self,
        network: &Network<E>,
        jobs: &[&Job],
    ) -> Result<Vec<Result<Vec<f32>, Error>>, Error> {
        jobs.iter().try_for_each(|job| self.check_output(job.output))?;
        let work = Work::new(jobs)?;
        let batches = plan_batches(&work.lengths, self.batch_tokens(&work.lengths));
        let run = |batch: &Vec<usize>| self.run_batch(network, jobs, &work, batch);
        let done: Vec<Vec<Rows>> = if rayon::current_num_threads() == 1 {
            batches.iter().map(run).collect::<Result<_, _>>()?
        } else {
            // Within the pool, so that what each batch splits further is not handed over again.
            rayon::scope(|_| batches.par_iter().map(run).collect::<Result<_, _>>())?
        };
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

    /// Tokens of a batch: enough for the kernels, few enough for the caches, a share for each thread.
    fn batch_tokens(&self, lengths: &[usize]) -> usize {
        let share = lengths.iter().sum::<usize>().div_ceil(rayon::current_num_threads());
        share.clamp(MIN_BATCH_TOKENS, MAX_BATCH_TOKENS).min(self.max_batch_tokens())
    }

    /// Runs sequences of `jobs` together: for every kind of output what is read, a row each.
    fn run_batch<E: Exec>(
        &self,
        network: &Network<E>,
        jobs: &[&Job],
        work: &Work,
        batch: &[usize],
    ) -> Result<Vec<Rows>, Error> {
        let (packed, mut reads) = work.gather(jobs, batch);
        let hidden = network.hidden(&packed)?;
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
                    network.pooled(&hidden, cu_seqlens, &spans, self.finish(columns))?
                }
                Output::States => network.states(&hidden, cu_seqlens, &spans)?,
                Output::MaxLogits => network.max_logits(&hidden, cu_seqlens, &spans)?,
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

impl Forward for Model {
    fn model(&self) -> &Model {
        self
    }

    fn forward(&self, job: Job) -> Result<Vec<f32>, Error> {
        // One job in, one result out.
        self.run(&[&job])?.pop().unwrap_or(Ok(Vec::new()))
    }
}
