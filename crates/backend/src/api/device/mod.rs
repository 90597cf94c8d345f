//! The device API.

mod check_in;
mod enrol;
mod link;
mod push;
mod renew;
mod report;
mod tuf;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use protocol::device::path;

pub(super) use self::push::ndjson;
use crate::{
    api::{nothing_here, wrong_method},
    recovery,
    server::Server,
};

/// What devices ask of the normal endpoint.
pub(crate) fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    Router::new()
        .route(path::CHECK_IN, post(check_in::check_in))
        .route(path::PUSH, get(push::push))
        .route(path::REPORTS, post(report::report))
        .route(path::RENEW, post(renew::renew))
        .route(&format!("{}{{id}}", path::LINKS), get(link::content))
        .route(&format!("{}{{id}}/segments", path::LINKS), get(link::segments))
        .route(&format!("{}{{*file}}", path::TUF), get(tuf::known))
        .route_layer(from_fn_with_state(Arc::clone(server), check_unlocked))
}

/// What a device without a certificate in force asks of the enrolment endpoint; there is nothing else
/// there.
pub(crate) fn enrolment_routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    Router::new()
        .route(path::ENROL, post(enrol::enrol))
        .route(path::PROOF, post(enrol::prove))
        .route(path::RENEW, post(renew::renew))
        .route(&format!("{}{{*file}}", path::TUF), get(tuf::unknown))
        .route_layer(from_fn_with_state(Arc::clone(server), check_unlocked))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
}

/// A backend that was restored from a backup serves no device.
async fn check_unlocked(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    if server.lost().is_some() {
        return recovery::restored().into_response();
    }
    next.run(request).await
}
