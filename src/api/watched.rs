//! A stream that tells when something comes, gives up on a client that does not read, and gives
//! hyper's own refusals the headers of every answer.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use uuid::Uuid;

use super::connections::Connection;

/// How hyper's answers to what is no HTTP begin.
const REFUSAL: &[u8] = b"HTTP/1.1 4";
/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

pub(super) struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    limit: Duration,
    /// Runs while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written before all else.
    pending: Vec<u8>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        let limit = connection.limits().write;
        Self { stream, connection, limit, stalled: None, pending: Vec::new() }
    }

    /// An attempt to write; too late where none succeeded for too long.
    fn timed<T>(&mut self, context: &mut Context<'_>, tried: Poll<Result<T>>) -> Poll<Result<T>> {
        if tried.is_ready() {
            self.stalled = None;
            return tried;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        if stalled.deadline() <= Instant::now() || stalled.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read")));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Writes what is pending.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.pending.is_empty() {
            let tried = Pin::new(&mut self.stream).poll_write(context, &self.pending);
            let written = ready!(self.timed(context, tried))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.pending.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// A refusal of hyper's own with the headers that every answer has; `None` for other bytes.
fn completed(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(REFUSAL) {
        return None;
    }
    let end = bytes.windows(END.len()).position(|window| window == END)?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    if head.contains("\r\nx-request-id:") {
        return None;
    }
    let more = format!("\r\nx-request-id: {}\r\nx-content-type-options: nosniff", Uuid::now_v7());
    Some([&bytes[..end], more.as_bytes(), &bytes[end..]].concat())
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.connection.heard();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        ready!(self.poll_pending(context))?;
        if let Some(refusal) = completed(bytes) {
            self.pending = refusal;
            let _ = self.poll_pending(context)?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, tried)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_pending(context))?;
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.timed(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::completed;

    #[test]
    fn refusals_of_hyper_alone_get_headers() {
        let own = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let completed_own = completed(own).unwrap();
        let text = String::from_utf8(completed_own).unwrap();
        assert!(text.contains("\r\nx-request-id: "), "{text}");
        assert!(text.ends_with("\r\nx-content-type-options: nosniff\r\n\r\n"), "{text}");
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\nX-Request-Id: a\r\n\r\n",
            b"HTTP/1.1 4",
            b"{\"a\": 1}\r\n\r\n",
        ] {
            assert_eq!(completed(other), None);
        }
    }
}
