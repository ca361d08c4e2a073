//! `GET /v1/models` and `GET /v1/models/{id}`, as OpenAI's.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;

use super::super::answer;
use super::super::failure::Failure;
use super::super::service::{Served, Service, SharedService};

#[derive(Serialize)]
struct Models<'a> {
    object: &'static str,
    data: Vec<ModelObject<'a>>,
}

#[derive(Serialize)]
struct ModelObject<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> ModelObject<'a> {
    fn of(served: &'a Served, service: &Service) -> Self {
        let (id, created) = (served.model().name(), service.started);
        Self { id, object: "model", created, owned_by: "chunkflow" }
    }
}

pub(super) async fn list(State(service): State<SharedService>) -> Result<Response, Failure> {
    let data = service.models.iter().map(|served| ModelObject::of(served, &service)).collect();
    answer::json(&Models { object: "list", data })
}

pub(super) async fn retrieve(
    State(service): State<SharedService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    answer::json(&ModelObject::of(service.models.find(Some(&id))?, &service))
}
