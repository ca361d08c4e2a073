//! The port: listening, signals, and the end of serving.
//!
//! Invariant: after a signal no connection is accepted, and serving ends within its grace.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::service::SharedService;
use crate::Error;

/// Serves `routes` until SIGTERM or SIGINT, then lets requests in flight finish.
///
/// # Errors
/// When the address cannot be listened on or the system refuses threads.
pub(super) fn run(
    service: &SharedService,
    routes: Router,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let addresses = service.settings.addresses()?;
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(|error| {
            let places: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let problem = format!("cannot listen on {}: {error}", places.join(" or "));
            std::io::Error::new(error.kind(), problem)
        })?;
        let stop = stop_signal()?;
        listening(listener.local_addr()?);
        serve_until(stop, listener, service, routes).await
    });
    // Blocking work of dropped requests is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve_until(
    stop: impl Future<Output = ()> + Send + 'static,
    listener: TcpListener,
    service: &SharedService,
    routes: Router,
) -> Result<(), Error> {
    let grace = Duration::from_secs(service.settings.shutdown_grace_s);
    let (stopping, stopped) = oneshot::channel::<()>();
    let draining = Arc::clone(service);
    let shutdown = async move {
        stop.await;
        draining.draining.store(true, Ordering::Relaxed);
        tracing::info!("stopping: requests in flight may finish");
        // The receiver goes only when serving is over.
        let _ = stopping.send(());
    };
    let serving = axum::serve(listener, routes).with_graceful_shutdown(shutdown);
    let out_of_time = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = out_of_time => {
            tracing::warn!(grace_s = grace.as_secs(), "stopped with requests in flight");
            Ok(())
        }
    }
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
