//! `GET /api/tags` and `/api/version`, by which programs find out whether this is Ollama.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::super::answer;
use super::super::failure::Failure;
use super::super::service::{Served, SharedService};

#[derive(Serialize)]
struct Tags<'a> {
    models: Vec<Tag<'a>>,
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'a str,
    model: &'a str,
    details: Details,
}

#[derive(Serialize)]
struct Details {
    format: &'static str,
    quantization_level: String,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

pub(super) async fn tags(State(service): State<SharedService>) -> Result<Response, Failure> {
    let tag = |served: &'_ Served| Details {
        format: "safetensors",
        quantization_level: served.loaded().dtype().dtype.to_string().to_uppercase(),
    };
    let models = service.models.iter().map(|served| {
        let name = served.model().name();
        Tag { name, model: name, details: tag(served) }
    });
    answer::json(&Tags { models: models.collect() })
}

pub(super) async fn version() -> Result<Response, Failure> {
    answer::json(&Version { version: env!("CARGO_PKG_VERSION") })
}
