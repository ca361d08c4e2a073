//! A model with its weights on devices, which runs what it is given at once.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::Error;
use super::batch::plan_batches;
use super::devices::Devices;
use super::document::DocumentPlan;
use super::engine::{Engine, RowSink, Work};
use super::job::{IndexedJob, Job};
use super::model::{Model, Outline};
use super::network::Network;
use super::on_device::Files;
use super::options::ModelOptions;
use super::pace::Pace;
use super::together::{Pick, Rows, compute_rows, encode_together, take_row};
use crate::compute::{self, Batching, ChosenDtype};
use crate::models::Store;

/// A model that is ready to run, on the threads of its callers.
pub struct LoadedModel {
    model: Model,
    devices: Devices,
    network: Box<dyn Network>,
    dtype: ChosenDtype,
    pace: Pace,
    load_time: Duration,
}

impl LoadedModel {
    /// Loads a known model by name, any model of the hub that is on this machine by `owner/name`,
    /// or one by its folder, onto the devices that `options` choose. Never touches the network.
    /// Where the choice of a device is `auto` and none can run the model, the processor does.
    ///
    /// # Errors
    /// When the model is unknown or not on this machine, a file is missing, malformed, corrupted,
    /// pickled or asks for something that is not supported, or a weight is not finite; and those
    /// of the device.
    pub fn load(model: &str, options: &ModelOptions) -> Result<Self, Error> {
        let devices = Devices::open(options)?;
        match Self::load_on(model, options, &devices) {
            Err(Error::Compute(error)) if devices.may_be_replaced(options) => {
                tracing::warn!(%error, "no CUDA device is used, the processor serves");
                Self::load_on(model, options, &Devices::of_host(options))
            }
            loaded => loaded,
        }
    }

    /// The same onto devices that are open, which other models may use too.
    ///
    /// # Errors
    /// As there.
    pub fn load_on(model: &str, options: &ModelOptions, devices: &Devices) -> Result<Self, Error> {
        let start = Instant::now();
        let located = Store::open(&options.places)?.find(model, options.revision.as_deref())?;
        if located.stands_in {
            let (model, path) = (&located.name, located.path().display());
            tracing::warn!(model, %path, "not the registry's revision, what is here serves");
        }
        let outline = Outline::read(&located, options.kind, options.unknown)?;
        let dtype = options.dtype.or(located.spec.as_ref().and_then(|spec| spec.dtype));
        let Outline { folder, directory, family, modules, .. } = &outline;
        let files = Files { folder, directory, family, modules };
        let (network, dtype) = devices.load(options, dtype, files)?;
        let (model, folder) = outline.model(located.name.clone())?;
        // Every file has been read and found to be what it was.
        located.remember(folder.seen());
        let pace = Pace::new(&network.batching(), options.max_batch_tokens);
        let load_time = start.elapsed();
        let devices = devices.clone();
        let loaded = Self { model, devices, network, dtype, pace, load_time };
        tracing::info!(
            model = loaded.model.name(),
            device = loaded.device(),
            dtype = %dtype.dtype,
            dtype_reason = dtype.reason,
            dimensions = loaded.model.dimensions(),
            max_tokens = loaded.model.tokenizer().max_tokens(),
            load_ms = load_time.as_millis() as u64,
            "model loaded"
        );
        Ok(loaded)
    }

    /// What it is, without its weights.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its weights.
    pub(super) fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// How much a batch is to have.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Where its weights are.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Devices and kernels in words.
    #[must_use]
    pub fn device(&self) -> String {
        self.network.describe()
    }

    /// What its dense layers run in, and why.
    #[must_use]
    pub fn dtype(&self) -> ChosenDtype {
        self.dtype
    }

    /// Tokens that run together at most.
    #[must_use]
    pub fn max_batch_tokens(&self) -> usize {
        self.pace.max_tokens()
    }

    /// How long loading took.
    #[must_use]
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Runs all of a job, in batches on every lane; the rows of each go to `sink` as they come.
    fn run_job(&self, job: Job, sink: &mut dyn RowSink) -> Result<(), Error> {
        self.model.check_output(job.output)?;
        let job = IndexedJob::new(job)?;
        let batches = self.batches(&job.job);
        let sink = Mutex::new(sink);
        let run = |lane: usize, batch: &[usize]| {
            let picks: Vec<Pick> = batch.iter().map(|&part| Pick { job: 0, part }).collect();
            let done = encode_together(self.network(), lane, &[&job], &picks)?;
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            take_all(&done, &mut **sink)
        };
        match self.network.lanes() {
            1 => batches.iter().try_for_each(|batch| run(0, batch)),
            // Within the pool, so that what each batch splits further is not handed over again.
            _ if self.network.is_on_host() => {
                rayon::scope(|_| batches.par_iter().try_for_each(|batch| run(0, batch)))
            }
            lanes => on_lanes(lanes, &batches, run),
        }
    }

    /// Runs a document in one batch.
    fn run_document(&self, job: Job, document: DocumentPlan) -> Result<Vec<Rows>, Error> {
        let job = IndexedJob::of_document(job, document)?;
        let all = [Pick { job: 0, part: 0 }];
        self.on_any_lane(|lane| encode_together(self.network(), lane, &[&job], &all))
    }

    /// Runs on the first lane whose device is not lost.
    fn on_any_lane<T>(&self, run: impl Fn(usize) -> Result<T, Error>) -> Result<T, Error> {
        let is_lost = |done: &Result<T, Error>| {
            matches!(done, Err(Error::Compute(compute::Error::DeviceLost { .. })))
        };
        let mut done = run(0);
        for lane in 1..self.network.lanes() {
            if !is_lost(&done) {
                break;
            }
            done = run(lane);
        }
        done
    }

    /// The batches of a job.
    fn batches(&self, job: &Job) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = job.packed.lengths().collect();
        plan_batches(&lengths, self.batch_tokens(&lengths))
    }

    /// Tokens of a batch: enough for the kernels, no more than the form is best at, a share for
    /// each of those that run at a time: nobody else waits.
    fn batch_tokens(&self, lengths: &[usize]) -> usize {
        let Batching { tokens, .. } = self.network.batching();
        let share = lengths.iter().sum::<usize>().div_ceil(self.network.lanes());
        share.clamp(*tokens.start(), *tokens.end()).min(self.max_batch_tokens())
    }
}

impl Engine for LoadedModel {
    fn model(&self) -> &Model {
        &self.model
    }

    fn is_one_batch(&self, job: &Job) -> bool {
        self.batches(job).len() == 1
    }

    fn submit(&self, work: Work, mut sink: Box<dyn RowSink>) -> Result<(), Error> {
        let done = match work {
            Work::Encode(job) => self.run_job(job, &mut *sink),
            Work::Document { job, document } => {
                self.run_document(job, document).and_then(|rows| take_all(&rows, &mut *sink))
            }
            Work::Rows(work) => self
                .on_any_lane(|lane| compute_rows(self.network(), lane, &work))
                .and_then(|rows| take_all(&rows, &mut *sink)),
        };
        sink.done(done);
        Ok(())
    }
}

/// Hands all rows of one job to its sink.
fn take_all(rows: &[Rows], sink: &mut dyn RowSink) -> Result<(), Error> {
    let mut rows = rows.iter().flat_map(Rows::iter);
    rows.try_for_each(|(_, row, values)| take_row(sink, row, values))
}

/// Runs batches on lanes, a thread each: while one waits for its batch the others' are queued.
fn on_lanes(
    lanes: usize,
    batches: &[Vec<usize>],
    run: impl Fn(usize, &[usize]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let take = |lane: usize| {
        let mut mine = std::iter::from_fn(|| batches.get(next.fetch_add(1, Ordering::Relaxed)));
        let done = mine.try_for_each(|batch| run(lane, batch));
        if done.is_err() {
            // Nobody will read what the others would still run.
            next.store(batches.len(), Ordering::Relaxed);
        }
        done
    };
    thread::scope(|scope| {
        let take = &take;
        let others = 1..lanes.min(batches.len());
        let started: Vec<_> = others.map(|lane| scope.spawn(move || take(lane))).collect();
        let mut done = take(0);
        for thread in started {
            done = done.and(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}
