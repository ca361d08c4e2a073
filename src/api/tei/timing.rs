//! The headers in which text-embeddings-inference tells what a request took.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::super::answer::header_of_cuts;

/// What a request took until its texts were planned.
pub(super) struct Planning {
    start: Instant,
    tokenization: Duration,
    characters: usize,
}

impl Planning {
    /// Since `start`, over texts of so many characters.
    pub(super) fn since(start: Instant, characters: usize) -> Self {
        Self { start, tokenization: start.elapsed(), characters }
    }

    /// The headers of an answer, with `x-truncated-inputs` where texts were cut.
    pub(super) fn headers(
        &self,
        device: &str,
        tokens: &[usize],
        truncated: &[Option<usize>],
    ) -> HeaderMap {
        let mut headers = header_of_cuts(truncated);
        let total = self.start.elapsed();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-compute-type", device.to_owned());
        set("x-compute-time", total.as_millis().to_string());
        set("x-compute-characters", self.characters.to_string());
        set("x-compute-tokens", tokens.iter().sum::<usize>().to_string());
        set("x-total-time", total.as_millis().to_string());
        set("x-tokenization-time", self.tokenization.as_millis().to_string());
        headers
    }
}
