//! `GET /v1/models` and `GET /v1/models/{id}`, as OpenAI's.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::SharedState;
use super::error::ApiError;
use crate::Error;
use crate::models::Registry;

#[derive(Serialize)]
pub(super) struct Models {
    object: &'static str,
    data: [ModelObject; 1],
}

#[derive(Serialize)]
pub(super) struct ModelObject {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl ModelObject {
    fn of(state: &SharedState) -> Self {
        let id = state.model().name().to_owned();
        Self { id, object: "model", created: state.started, owned_by: "chunkflow" }
    }
}

pub(super) async fn list(State(state): State<SharedState>) -> Json<Models> {
    Json(Models { object: "list", data: [ModelObject::of(&state)] })
}

pub(super) async fn retrieve(
    State(state): State<SharedState>,
    Path(id): Path<String>,
) -> Result<Json<ModelObject>, ApiError> {
    check_model(&state, Some(&id))?;
    Ok(Json(ModelObject::of(&state)))
}

/// Refuses a request for another model than the one served. Vectors of the wrong model would look
/// right and be useless.
pub(super) fn check_model(state: &SharedState, asked: Option<&str>) -> Result<(), ApiError> {
    let served = state.model().name();
    let Some(asked) = asked.filter(|asked| *asked != served) else { return Ok(()) };
    let registry = Registry::embedded().map_err(Error::from)?;
    if registry.find(asked).is_some_and(|model| model.name == served) {
        return Ok(());
    }
    let message = format!("the model `{asked}` is not served here, this is `{served}`");
    Err(ApiError::new(StatusCode::NOT_FOUND, message).with_code("model_not_found"))
}
