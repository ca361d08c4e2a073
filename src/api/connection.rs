//! One connection: hyper's loop with the times that a client has, and the end of serving.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connections::Connection;
use super::watched::Watched;

/// The largest head of a request, and how much of a body is read at a time.
const BUFFER_BYTES: usize = 128 << 10;

/// Answers requests until the client or its time is at an end, or `stopping` says so: then what is
/// being answered is finished.
pub(super) async fn serve<S>(
    stream: S,
    connection: Arc<Connection>,
    routes: Router,
    mut stopping: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(routes);
    let of_requests = Arc::clone(&connection);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        of_requests.begin();
        let connection = Arc::clone(&of_requests);
        let answer = routes.call(request);
        async move {
            let answer: Response<Body> = answer.await?;
            Ok::<_, Infallible>(answer.map(|body| Told { body, connection }))
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
    let mut http = http1::Builder::new();
    http.max_buf_size(BUFFER_BYTES);
    let mut served = pin!(http.serve_connection(io, service));
    let mut is_stopping = *stopping.borrow();
    loop {
        tokio::select! {
            done = served.as_mut() => {
                if let Err(error) = done {
                    tell(&error);
                }
                return;
            }
            () = connection.expired() => return,
            _ = stopping.changed(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

fn tell(error: &hyper::Error) {
    if error.is_parse() {
        tracing::debug!(%error, "a request that is no HTTP");
    } else if std::error::Error::source(error).is_some_and(|source| {
        source
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    }) {
        tracing::warn!("a client did not read its answer in time: it is dropped");
    } else {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// The body of an answer, at whose end the connection waits again.
struct Told {
    body: Body,
    connection: Arc<Connection>,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.connection.end();
    }
}
