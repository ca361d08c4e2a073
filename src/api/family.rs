//! A family of routes: those that speak the dialect of one API.
//!
//! Invariant: whatever goes wrong behind its edge, a panic and a timeout too, is told in its dialect.

use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use axum::{Router, middleware};

use super::failure::{self, Failure};
use super::layers;
use super::service::SharedService;

/// Writes a failure in the words of a family.
pub(super) type Render = fn(&Failure) -> Response;

/// Routes with the edge of their family around them.
pub(super) fn family(
    service: &SharedService,
    routes: Router<SharedService>,
    render: Render,
) -> Router<SharedService> {
    routes
        .method_not_allowed_fallback(failure::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(service), layers::bound))
        .layer(middleware::from_fn(layers::check_host))
        .layer(middleware::map_response(move |response| async move { told(response, render) }))
}

/// A response whose failure, if it carries one, has a body.
fn told(mut response: Response, render: Render) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    let mut told = render(&failure);
    if let Some(seconds) = failure.retry_after_s {
        told.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    told
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};

    use super::super::failure::{Failure, Kind};
    use super::super::layers::caught;
    use super::told;

    fn shout(failure: &Failure) -> Response {
        (StatusCode::IM_A_TEAPOT, failure.message.to_uppercase()).into_response()
    }

    #[test]
    fn a_panic_is_told_in_the_dialect_of_the_family() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let response = runtime.block_on(caught(async { panic!("a fault") }));
        let failure = response.unwrap_err();
        assert_eq!(failure.kind, Kind::Internal);
        let response = told(failure.into_response(), shout);
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        let body = runtime.block_on(axum::body::to_bytes(response.into_body(), 64)).unwrap();
        assert_eq!(body, "INTERNAL ERROR");
    }

    #[test]
    fn answers_pass_and_overloads_say_when_to_try_again() {
        let response = told((StatusCode::OK, "fine").into_response(), shout);
        assert_eq!(response.status(), StatusCode::OK);
        let response = told(Failure::overloaded("busy").into_response(), shout);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
