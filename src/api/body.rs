//! Bodies of requests: admitted before they are read, within limits of size and time.
//!
//! Invariant: large bodies in flight never have more bytes than the service has permits for. Small
//! ones need none, so that they are read whatever large ones are in flight: requests in flight are
//! counted, and so their bytes are bounded too.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::failure::{Failure, Kind};
use super::service::{Service, SharedService};

/// The largest body that needs no permits.
const SMALL_BYTES: usize = 64 << 10;
/// Room that is made at least for a body that does not say its size.
const MIN_ROOM: usize = 4 << 10;

/// A body of JSON that was admitted. Its share of the bytes in flight is given back when it is
/// dropped.
#[derive(Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    /// For each byte of the buffer of a large body.
    permits: Option<OwnedSemaphorePermit>,
}

impl FromRequest<SharedService> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, service: &SharedService) -> Result<Self, Failure> {
        let mut body = Self::default();
        // A body that says its size need not be sent to be refused.
        let size = request.body().size_hint().lower();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        body.check_size(size, service)?;
        if !is_json(request.headers()) {
            let message = "Expected request with `Content-Type: application/json`";
            return Err(Failure::new(Kind::MediaType, message));
        }
        check_encoding(request.headers())?;
        body.make_room(size, service)?;
        let mut rest = request.into_body();
        while let Some(data) = next_data(&mut rest, service.settings.body_timeout_s).await? {
            body.check_size(data.len(), service)?;
            let needed = body.bytes.len() + data.len();
            if needed > body.bytes.capacity() {
                let room = needed.max(2 * body.bytes.capacity()).max(MIN_ROOM);
                body.make_room(room.min(service.settings.max_body_bytes), service)?;
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(body)
    }
}

impl Body {
    /// Refuses `more` bytes that are too many with those that are here.
    fn check_size(&self, more: usize, service: &Service) -> Result<(), Failure> {
        let limit = service.settings.max_body_bytes;
        if more <= limit - self.bytes.len() {
            return Ok(());
        }
        Err(Failure::new(Kind::TooLarge, format!("the body is larger than {limit} bytes")))
    }

    /// Makes room for `size` bytes in all, if there are permits for them.
    fn make_room(&mut self, size: usize, service: &Service) -> Result<(), Failure> {
        let held = self.permits.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if size > SMALL_BYTES && size > held {
            let free = &service.body_bytes;
            // At most the largest body, which is far below 4 GiB.
            let more = Arc::clone(free).try_acquire_many_owned((size - held) as u32);
            let more = more.map_err(|_| {
                let limit = service.settings.max_bytes_in_flight;
                let others = limit - free.available_permits();
                Failure::overloaded(format!(
                    "large bodies in flight have {others} bytes, {} more are above the limit of \
                     {limit}",
                    size - held
                ))
            })?;
            match &mut self.permits {
                Some(permits) => permits.merge(more),
                none => *none = Some(more),
            }
        }
        self.bytes.reserve_exact(size - self.bytes.len());
        Ok(())
    }

    /// Its first bytes.
    pub(super) fn start(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(SMALL_BYTES)]
    }

    /// What the body says, read where this is called: large ones not on the threads that answer.
    ///
    /// # Errors
    /// When it is no JSON, or says something else.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        let mut json = serde_json::Deserializer::from_slice(&self.bytes);
        // Structs would be read from the items of a list, too.
        if first == Some(&b'[') {
            IgnoredAny::deserialize(&mut json).map_err(|error| not_json(&error))?;
            json.end().map_err(|error| not_json(&error))?;
            let message = "the body must be a JSON object, found a list";
            return Err(Failure::new(Kind::Invalid, message));
        }
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            if error.inner().classify() != Category::Data {
                return not_json(&error);
            }
            let message =
                format!("Failed to deserialize the JSON body into the target type: {error}");
            Failure { field: field_of(&error), ..Failure::new(Kind::Invalid, message) }
        })?;
        json.end().map_err(|error| not_json(&error))?;
        Ok(value)
    }
}

/// The request's field that an error is about: where it stands, or what is missing or unknown.
fn field_of(error: &serde_path_to_error::Error<serde_json::Error>) -> Option<Cow<'static, str>> {
    let path = error.path().to_string();
    let text = error.inner().to_string();
    let named = ["missing field `", "unknown field `"].into_iter().find_map(|start| {
        let (name, _) = text.strip_prefix(start)?.split_once('`')?;
        Some(name.to_owned())
    });
    match (path.as_str(), named) {
        ("." | "?", named) => named.map(Cow::Owned),
        (_, Some(named)) if !path.ends_with(&named) => Some(format!("{path}.{named}").into()),
        _ => Some(path.into()),
    }
}

/// The next bytes of a body; `None` at its end.
async fn next_data(body: &mut axum::body::Body, limit_s: u64) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match timeout(Duration::from_secs(limit_s), frame).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing to us.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(error))) => {
                let message = format!("Failed to buffer the request body: {error}");
                return Err(Failure::new(Kind::Invalid, message));
            }
            Err(_) => {
                let message = format!("the body made no progress for {limit_s} s");
                return Err(Failure::new(Kind::SlowBody, message));
            }
        }
    }
}

/// What is told of a body, or a part of it, that is no JSON.
pub(super) fn not_json(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Malformed, format!("Failed to parse the request body as JSON: {error}"))
}

/// Refuses a body in a coding that is not undone here: its bytes would be taken for bad JSON.
fn check_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let codings = String::from_utf8_lossy(value.as_bytes());
        let codings = codings.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        if let Some(coding) = codings.into_iter().find(|c| !c.eq_ignore_ascii_case("identity")) {
            let coding = coding.escape_debug();
            let message = format!("Content-Encoding `{coding}` is unknown, expected identity");
            return Err(Failure::new(Kind::MediaType, message));
        }
    }
    Ok(())
}

/// Whether the headers say `application/json`, or a type that is written in JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/");
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}
