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
    routing::{get, post},
};
use protocol::device::path;

pub(super) use self::push::ndjson;
use crate::{
    api::{nothing_here, wrong_method},
    server::Server,
};

/// What devices ask of the normal endpoint.
pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(path::CHECK_IN, post(check_in::check_in))
        .route(path::PUSH, get(push::push))
        .route(path::REPORTS, post(report::report))
        .route(path::RENEW, post(renew::renew))
        .route(&format!("{}{{id}}", path::LINKS), get(link::content))
        .route(&format!("{}{{id}}/segments", path::LINKS), get(link::segments))
        .route(&format!("{}{{*file}}", path::TUF), get(tuf::known))
}

/// What a device without a certificate in force asks of the enrolment endpoint; there is nothing else
/// there.
pub(crate) fn enrolment_routes() -> Router<Arc<Server>> {
    Router::new()
        .route(path::ENROL, post(enrol::enrol))
        .route(path::PROOF, post(enrol::prove))
        .route(path::RENEW, post(renew::renew))
        .route(&format!("{}{{*file}}", path::TUF), get(tuf::unknown))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
}
