//! The HTTP service: thin routes over one queue. The only home of tokio.
//!
//! Invariant: every error under `/v1` is OpenAI's error object, and every answer carries an
//! `x-request-id`.

mod chunk;
mod embeddings;
mod error;
mod health;
mod input;
mod layers;
mod models;
mod similarity;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Error;
use crate::chunking::ChunkOptions;
use crate::config::Config;
use crate::embeddings::{
    Cancel, EmbedOptions, LoadedModel, Model, Planned, Queued, ReadRows, Scheduler,
    SchedulerHandle, SchedulerOptions, Submission,
};
use crate::similarity::Device;

/// What the routes share.
struct State {
    loaded: Arc<LoadedModel>,
    scheduler: SchedulerHandle,
    options: EmbedOptions,
    chunk: ChunkOptions,
    /// Where similarities are computed.
    device: Device,
    max_body_bytes: usize,
    request_timeout: Duration,
    /// Unix seconds.
    started: u64,
    draining: AtomicBool,
}

type SharedState = Arc<State>;

impl State {
    fn model(&self) -> &Model {
        self.loaded.model()
    }

    /// The queue for one request, whose work is given up when the guard is dropped.
    fn engine(&self) -> (Queued, CancelOnDrop) {
        let guard = CancelOnDrop::default();
        let deadline = Some(Instant::now() + self.request_timeout);
        let submission = Submission { deadline, cancel: guard.0.clone() };
        (self.scheduler.engine(Arc::clone(&self.loaded), submission), guard)
    }

    /// Queues a job and waits for its answer without holding a thread. Dropping the future takes
    /// what has not started off the queue.
    async fn answer<R: ReadRows>(&self, planned: Planned<R>) -> Result<R::Answer, Error> {
        let (sender, receiver) = oneshot::channel();
        let (engine, _guard) = self.engine();
        planned.submit(&engine, move |answer| {
            // The client may be gone.
            let _ = sender.send(answer);
        })?;
        Ok(receiver.await.unwrap_or(Err(crate::embeddings::Error::Stopped))?)
    }
}

/// Tells the scheduler when nobody waits for work any longer.
#[derive(Default)]
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Serves a model until SIGTERM or SIGINT, then lets requests in flight finish. `listening` is
/// told the address once connections are accepted.
///
/// # Errors
/// When the model gives no vectors, the address cannot be listened on or the system refuses
/// threads.
pub fn serve(
    config: &Config,
    loaded: LoadedModel,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let model = loaded.model();
    // Every route gives vectors.
    model.check_dimensions(None)?;
    let options = SchedulerOptions {
        max_queued_tokens: config.server.max_queued_tokens,
        max_batch: Duration::from_millis(config.server.max_batch_ms),
    };
    let scheduler = Scheduler::start(loaded.devices(), options)?;
    let options = EmbedOptions {
        dimensions: None,
        prompt: model.prompt(None)?,
        truncate: config.embed.truncate,
    };
    let state = Arc::new(State {
        device: loaded.devices().similarity()?,
        loaded: Arc::new(loaded),
        scheduler: scheduler.handle(),
        options,
        chunk: config.chunk,
        max_body_bytes: config.server.max_body_bytes,
        request_timeout: Duration::from_secs(config.server.request_timeout_s),
        started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        draining: AtomicBool::new(false),
    });
    let address = SocketAddr::new(config.server.host, config.server.port);
    let grace = Duration::from_secs(config.server.shutdown_grace_s);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let problem = format!("cannot listen on {address}: {error}");
            std::io::Error::new(error.kind(), problem)
        })?;
        let stop = stop_signal()?;
        listening(listener.local_addr()?);
        run(listener, state, stop, grace).await
    });
    // Blocking tasks of dropped requests may still wait for the scheduler, which ends below.
    runtime.shutdown_background();
    served
}

async fn run(
    listener: TcpListener,
    state: SharedState,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> Result<(), Error> {
    let (stopping, stopped) = oneshot::channel::<()>();
    let draining = Arc::clone(&state);
    let shutdown = async move {
        stop.await;
        draining.draining.store(true, Ordering::Relaxed);
        tracing::info!("stopping: requests in flight may finish");
        // The receiver goes only when serving is over.
        let _ = stopping.send(());
    };
    let service = axum::serve(listener, router(state)).with_graceful_shutdown(shutdown);
    let out_of_time = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = service => Ok(served?),
        () = out_of_time => {
            tracing::warn!(grace_s = grace.as_secs(), "stopped with requests in flight");
            Ok(())
        }
    }
}

fn router(state: SharedState) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/chunk", post(chunk::create))
        .route("/v1/similarity", post(similarity::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(state.max_body_bytes))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), layers::around))
        .with_state(state)
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
