//! The HTTP service: families of routes over one queue. The only home of tokio.
//!
//! Invariant: every error is told in the dialect of its route's family, and every answer carries an
//! `x-request-id`.

mod answer;
mod body;
mod cohere;
mod connection;
mod connections;
mod failure;
mod family;
mod health;
mod input;
mod layers;
mod native;
mod ollama;
mod openai;
mod output;
mod ranking;
mod server;
mod service;
mod tei;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};

use self::family::family;
pub use self::server::Listening;
use self::service::{Service, SharedService};
use crate::Error;
use crate::config::Config;
use crate::embeddings::{LoadedModel, Scheduler, SchedulerOptions};

/// Serves a model until SIGTERM or SIGINT, then lets requests in flight finish. `listening` is
/// told the address once connections are accepted; `reload` is called at SIGHUP.
///
/// # Errors
/// When the address cannot be listened on or the system refuses threads.
pub fn serve(
    config: &Config,
    loaded: LoadedModel,
    listening: impl FnOnce(&Listening),
    reload: impl Fn() + Send + 'static,
) -> Result<(), Error> {
    let options = SchedulerOptions {
        max_queued_tokens: config.server.max_queued_tokens,
        max_batch: Duration::from_millis(config.server.max_batch_ms),
    };
    // Ends last: blocking work of dropped requests may still wait for it.
    let scheduler = Scheduler::start(loaded.devices(), options)?;
    let service = Arc::new(Service::new(config, loaded, scheduler.handle())?);
    server::run(&service, router(&service), listening, reload)
}

/// Every family's routes.
fn router(service: &SharedService) -> Router {
    // Probes are answered however many requests are in flight.
    let admitted = |routes: Router<SharedService>| {
        routes.layer(middleware::from_fn_with_state(Arc::clone(service), layers::admit))
    };
    Router::new()
        .merge(family(service, admitted(openai::routes()), openai::render))
        .merge(family(service, admitted(native::routes()), openai::render))
        .merge(family(service, admitted(cohere::rankings()), openai::render))
        .merge(family(service, admitted(tei::routes()), tei::render))
        .merge(family(service, admitted(cohere::routes()), cohere::render))
        .merge(family(service, admitted(ollama::routes()), ollama::render))
        .merge(family(service, health::routes().fallback(failure::not_found), openai::render))
        .layer(middleware::from_fn(layers::observe))
        .with_state(Arc::clone(service))
}
