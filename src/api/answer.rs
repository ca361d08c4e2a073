//! What the answers of several families are made of.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::failure::{Failure, Kind};

/// Texts that were cut which are named one by one.
const MAX_NAMED_CUTS: usize = 100;

/// Tokens of a request.
#[derive(Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    pub(super) fn new(tokens: usize) -> Self {
        Self { prompt_tokens: tokens, total_tokens: tokens }
    }
}

/// An answer as JSON, which is written where this is called: large ones not on the threads that
/// answer.
pub(super) fn json(body: &impl Serialize) -> Result<Response, Failure> {
    let json = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer is no JSON");
        Failure::new(Kind::Internal, "internal error")
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// An answer with another status, which is small.
pub(super) fn json_with(status: StatusCode, body: &impl Serialize) -> Response {
    match json(body) {
        Ok(mut response) => {
            *response.status_mut() = status;
            response
        }
        Err(failure) => failure.kind.status().into_response(),
    }
}

/// `x-truncated-inputs: 0,3` where texts were cut: never silently. `truncated` has the length of
/// each that was.
pub(super) fn header_of_cuts(truncated: &[Option<usize>]) -> HeaderMap {
    header_of_names(cuts(truncated).map(|(index, _)| index.to_string()))
}

/// The texts that were cut, with the length of each in tokens as far as it was read.
pub(super) fn cuts(truncated: &[Option<usize>]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let lengths = truncated.iter().enumerate();
    lengths.filter_map(|(index, length)| length.map(|length| (index, length)))
}

/// The same of texts with names. What is beyond [`MAX_NAMED_CUTS`] is counted, as in `..,99,+1800`:
/// clients refuse long headers.
pub(super) fn header_of_names(mut cut: impl Iterator<Item = String>) -> HeaderMap {
    let mut named: Vec<String> = cut.by_ref().take(MAX_NAMED_CUTS).collect();
    let more = cut.count();
    if more > 0 {
        named.push(format!("+{more}"));
    }
    let mut headers = HeaderMap::new();
    if !named.is_empty()
        && let Ok(value) = named.join(",").parse()
    {
        headers.insert("x-truncated-inputs", value);
    }
    headers
}
