//! The port: listening, signals, and the end of serving.
//!
//! Invariant: after a signal readiness is gone at once, the port closes after its delay, and serving
//! ends within the grace, or at a second signal at once.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::connection;
use super::connections::{Connections, Limits, within_files};
use super::service::SharedService;
use crate::Error;
use crate::config::ServerSettings;

/// How long nothing is accepted after the system refused a connection.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Threads that wait for a place to tokenise, cut or write answers.
const BLOCKING_THREADS: usize = 16;

/// Where the service listens.
#[derive(Debug, Clone)]
pub enum Listening {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A socket of the file system.
    Unix(PathBuf),
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Serves `routes` until SIGTERM or SIGINT, then lets requests in flight finish. `reload` is called
/// at SIGHUP.
///
/// # Errors
/// When the address cannot be listened on or the system refuses threads.
pub(super) fn run(
    service: &SharedService,
    routes: Router,
    listening: impl FnOnce(&Listening),
    reload: impl Fn() + Send + 'static,
) -> Result<(), Error> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let served = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let listener = Listener::bind(&service.settings).await?;
        listening(&listener.place()?);
        tokio::spawn(reload_at(signal(SignalKind::hangup())?, reload));
        serve(service, routes, listener, &mut signals).await;
        Ok(())
    });
    // Blocking work of dropped requests is not waited for.
    runtime.shutdown_background();
    served
}

async fn serve(service: &SharedService, routes: Router, listener: Listener, signals: &mut Signals) {
    let settings = &service.settings;
    let connections = Connections::new(limits(settings));
    let (stop, stopping) = watch::channel(false);
    tokio::select! {
        () = accept(&listener, &connections, &routes, &stopping) => {}
        () = signals.stop() => {}
    }
    service.draining.store(true, Ordering::Relaxed);
    tracing::info!("stopping: requests in flight may finish");
    let delay = Duration::from_secs(settings.drain_delay_s);
    tokio::select! {
        () = accept(&listener, &connections, &routes, &stopping) => {}
        () = tokio::time::sleep(delay) => {}
        () = signals.stop() => return tell_dropped(&connections),
    }
    drop(listener);
    stop.send_replace(true);
    connections.close_waiting();
    tokio::select! {
        () = connections.all_ended() => {}
        () = tokio::time::sleep(Duration::from_secs(settings.shutdown_grace_s)) => {
            tell_dropped(&connections);
        }
        () = signals.stop() => tell_dropped(&connections),
    }
}

fn tell_dropped(connections: &Connections) {
    let requests = connections.len();
    if requests > 0 {
        tracing::warn!(requests, "stopped with requests in flight");
    }
}

fn limits(settings: &ServerSettings) -> Limits {
    Limits {
        connections: within_files(settings.max_connections),
        per_peer: settings.max_connections_per_peer,
        header: Duration::from_secs(settings.header_timeout_s),
        idle: Duration::from_secs(settings.idle_timeout_s),
        write: Duration::from_secs(settings.write_timeout_s),
    }
}

/// Accepts connections for ever.
async fn accept(
    listener: &Listener,
    connections: &Arc<Connections>,
    routes: &Router,
    stopping: &watch::Receiver<bool>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(connection) = connections.admit(peer) else {
                    let limit = connections.limits().connections;
                    tracing::warn!(limit, "a connection is refused: all that there may be answer");
                    continue;
                };
                let (routes, stopping) = (routes.clone(), stopping.clone());
                tokio::spawn(connection::serve(stream, connection, routes, stopping));
            }
            // The client was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted, one that waits is closed");
                connections.close_oldest();
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// What is read and written.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, Socket),
}

/// The file of a socket, removed at the end.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    async fn bind(settings: &ServerSettings) -> Result<Self, Error> {
        if let Some(path) = &settings.unix_socket {
            return Ok(Self::Unix(bind_unix(path)?, Socket(path.clone())));
        }
        let addresses = settings.addresses()?;
        let bound = TcpListener::bind(addresses.as_slice()).await.map_err(|error| {
            let places: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let problem = format!("cannot listen on {}: {error}", places.join(" or "));
            io::Error::new(error.kind(), problem)
        })?;
        Ok(Self::Tcp(bound))
    }

    fn place(&self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(listener) => Listening::Tcp(listener.local_addr()?),
            Self::Unix(_, Socket(path)) => Listening::Unix(path.clone()),
        })
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole: waiting for more would only delay them.
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(peer.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), None))
            }
        }
    }
}

/// Listens on a socket of the file system; one that nobody listens on any longer is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let told = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()))
    };
    let is_left = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_left {
        std::fs::remove_file(path).map_err(told)?;
    }
    UnixListener::bind(path).map_err(told)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn reload_at(mut hangup: Signal, reload: impl Fn()) {
    while hangup.recv().await.is_some() {
        reload();
    }
}
