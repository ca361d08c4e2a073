//! What every route shares: the models that are served, the queue, and what may be in flight.
//!
//! Invariant: work that may block runs on the pool for it, and work that nobody waits for any
//! longer is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, oneshot};

use super::failure::{Failure, Kind};
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::config::{Config, ServerSettings};
use crate::embeddings::{
    self, Cancel, EmbedOptions, LoadedModel, Model, Planned, Queued, ReadRows, SchedulerHandle,
    Submission, Truncate,
};
use crate::models::{ModelSpec, Store, Task};
use crate::similarity::Device;

/// Threads that may wait for the queue: fewer than there are for blocking work, so that the others
/// tokenise and write answers meanwhile.
const WAITING: usize = 8;

/// A model that is served.
pub(super) struct Served {
    loaded: Arc<LoadedModel>,
    options: EmbedOptions,
}

impl Served {
    pub(super) fn model(&self) -> &Model {
        self.loaded.model()
    }

    /// Dimensions that the model may have, as they were sent where it may not.
    fn dimensions(&self, asked: i64) -> Result<usize, Failure> {
        let limit = self.model().dimensions();
        usize::try_from(asked).ok().filter(|asked| (1..=limit).contains(asked)).ok_or_else(|| {
            let message = format!("dimensions is {asked}, this model allows 1 to {limit}");
            Failure::invalid("dimensions", message)
        })
    }

    /// The first of these names that the model has a prompt of.
    pub(super) fn prompt_of(&self, names: &'static [&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.model().has_prompt(name))
    }

    pub(super) fn loaded(&self) -> &LoadedModel {
        &self.loaded
    }

    /// What it runs on, in a word of a header: `cpu`, `cuda`.
    pub(super) fn device(&self) -> &'static str {
        if self.loaded.devices().are_cuda() { "cuda" } else { "cpu" }
    }

    /// How texts are embedded for a request.
    ///
    /// # Errors
    /// When the model has no such prompt.
    pub(super) fn options(&self, asked: Asked<'_>) -> Result<EmbedOptions, Failure> {
        let dimensions = asked.dimensions.map(|asked| self.dimensions(asked)).transpose()?;
        let prompt = match asked.prompt {
            Some(name) => self.model().prompt(Some(name))?,
            None => self.options.prompt.clone(),
        };
        let truncate = asked.truncate.unwrap_or(self.options.truncate);
        Ok(EmbedOptions { dimensions, normalize: asked.normalize, prompt, truncate })
    }
}

/// What a request says of how its texts are embedded; what it does not say is as the settings and
/// the model have it.
#[derive(Default, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) dimensions: Option<i64>,
    pub(super) normalize: Option<bool>,
    /// The name of a prompt of the model's.
    pub(super) prompt: Option<&'a str>,
    pub(super) truncate: Option<Truncate>,
}

impl Asked<'_> {
    /// Of requests that say nothing else.
    pub(super) fn of_dimensions(dimensions: Option<i64>) -> Self {
        Self { dimensions, ..Self::default() }
    }
}

/// The models that are served, by every name that they may be asked for.
pub(super) struct Models {
    /// At least one; the first is meant by requests that name none.
    served: Vec<Arc<Served>>,
    by_name: BTreeMap<String, Arc<Served>>,
}

impl Models {
    fn new(served: Served, names: Vec<String>) -> Self {
        let served = Arc::new(served);
        let by_name = names.into_iter().map(|name| (name, Arc::clone(&served))).collect();
        Self { served: vec![served], by_name }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Served> {
        self.served.iter().map(Arc::as_ref)
    }

    /// What is meant by requests that name none.
    pub(super) fn first(&self) -> &Arc<Served> {
        &self.served[0]
    }

    /// The first that does `task`, or else the first, which then says that it does not.
    pub(super) fn of_task(&self, task: Task) -> &Arc<Served> {
        let found = self.served.iter().find(|served| served.model().kind() == task);
        found.unwrap_or_else(|| self.first())
    }

    /// The model that a request asks for. Vectors of another one would look right and be useless.
    ///
    /// # Errors
    /// When no model that is served is called so.
    pub(super) fn find(&self, asked: Option<&str>) -> Result<&Arc<Served>, Failure> {
        let Some(asked) = asked else { return Ok(self.first()) };
        self.by_name.get(asked).ok_or_else(|| {
            let names: Vec<String> =
                self.iter().map(|served| format!("`{}`", served.model().name())).collect();
            let names = names.join(", ");
            let message = format!("the model `{asked}` is not served here, this is {names}");
            Failure::new(Kind::NotFound, message).with_code("model_not_found")
        })
    }
}

/// What the routes share.
pub(super) struct Service {
    pub(super) models: Models,
    pub(super) scheduler: SchedulerHandle,
    pub(super) settings: ServerSettings,
    /// How documents are cut where a request does not say.
    pub(super) chunk: ChunkOptions,
    /// Where similarities are computed.
    pub(super) device: Device,
    /// A permit for each piece of work that may hold a thread while it waits for the queue.
    waiting: Semaphore,
    /// A permit for each request that may still be in flight.
    pub(super) requests: Semaphore,
    /// A permit for each byte that large bodies in flight may still have.
    pub(super) body_bytes: Arc<Semaphore>,
    /// Unix seconds.
    pub(super) started: u64,
    pub(super) draining: AtomicBool,
}

pub(super) type SharedService = Arc<Service>;

/// A planned job and where it runs.
pub(super) struct Plan<R, T> {
    pub(super) served: Arc<Served>,
    pub(super) planned: Planned<R>,
    /// What else the answer is made of.
    pub(super) rest: T,
}

impl Service {
    /// # Errors
    /// When the model's default prompt is none, its device gives no similarities or the user's
    /// registry cannot be read.
    pub(super) fn new(
        config: &Config,
        loaded: LoadedModel,
        scheduler: SchedulerHandle,
    ) -> Result<Self, Error> {
        let settings = config.server.clone();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let names = names_of(loaded.model(), &Store::open(&config.places())?);
        let device = loaded.devices().similarity()?;
        let options = EmbedOptions {
            dimensions: None,
            normalize: None,
            prompt: loaded.model().prompt(None)?,
            truncate: config.embed.truncate,
        };
        let served = Served { loaded: Arc::new(loaded), options };
        Ok(Self {
            models: Models::new(served, names),
            scheduler,
            chunk: config.chunk,
            device,
            waiting: Semaphore::new(WAITING),
            requests: Semaphore::new(settings.max_requests),
            body_bytes: Arc::new(Semaphore::new(settings.max_bytes_in_flight)),
            settings,
            started: since_epoch.map_or(0, |since| since.as_secs()),
            draining: AtomicBool::new(false),
        })
    }

    /// The queue as an engine of a model.
    pub(super) fn engine(&self, served: &Served, submission: Submission) -> Queued {
        self.scheduler.engine(Arc::clone(&served.loaded), submission)
    }

    /// What a request submits, which is given up when the guard is dropped.
    fn submission(&self) -> (Submission, CancelOnDrop) {
        let guard = CancelOnDrop::default();
        let timeout = Duration::from_secs(self.settings.request_timeout_s);
        let deadline = Some(Instant::now() + timeout);
        (Submission { deadline, cancel: guard.0.clone() }, guard)
    }

    /// Runs `work`, which may wait for the queue, on the pool for blocking work; what is more than
    /// may wait there has its turn later. Dropping the future gives up what it has submitted.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, Submission) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (submission, _guard) = self.submission();
        let service = Arc::clone(self);
        let Ok(_turn) = self.waiting.acquire().await else {
            return Err(embeddings::Error::Stopped.into());
        };
        blocking(move || {
            check_wanted(&submission)?;
            work(&service, submission)
        })
        .await
    }

    /// Plans a job on the pool for blocking work, since reading and tokenising take their time, and
    /// waits for its answer without holding a thread. Dropping the future takes what has not
    /// started off the queue.
    pub(super) async fn answer<R: ReadRows, T: Send + 'static>(
        self: &Arc<Self>,
        plan: impl FnOnce(&Self) -> Result<Plan<R, T>, Failure> + Send + 'static,
    ) -> Result<(R::Answer, T), Failure> {
        let (submission, _guard) = self.submission();
        let service = Arc::clone(self);
        let (sender, receiver) = oneshot::channel();
        let rest = blocking(move || {
            check_wanted(&submission)?;
            let Plan { served, planned, rest } = plan(&service)?;
            check_wanted(&submission)?;
            planned.submit(&service.engine(&served, submission), move |answer| {
                // The client may be gone.
                let _ = sender.send(answer);
            })?;
            Ok(rest)
        });
        let rest = rest.await?;
        let answer = receiver.await.unwrap_or(Err(embeddings::Error::Stopped))?;
        Ok((answer, rest))
    }
}

/// Ends work that nobody waits for any longer, before more of it is done.
fn check_wanted(submission: &Submission) -> Result<(), Failure> {
    if submission.cancel.is_cancelled() {
        return Err(embeddings::Error::Cancelled.into());
    }
    Ok(())
}

/// Tells the scheduler when nobody waits for work any longer.
#[derive(Default)]
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on the pool for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The model's own name, and those by which the registry knows it.
fn names_of(model: &Model, store: &Store) -> Vec<String> {
    let own = model.name();
    let known = store.spec(own).filter(|spec| spec.name == own);
    let others = known.into_iter().flat_map(ModelSpec::names);
    std::iter::once(own).chain(others).map(str::to_owned).collect()
}
