//! The two APIs. Each handler checks what it is given and calls the part that does it.

pub(crate) mod device;
pub(crate) mod operator;

use axum::http::Method;
use protocol::ErrorCode;

use crate::refusal::Refusal;

/// The answer where nothing else answers.
pub(crate) async fn nothing_here() -> Refusal {
    Refusal::not_found("address")
}

/// The answer to a method that an address does not have.
pub(crate) async fn wrong_method(method: Method) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, format!("This address does not take {method}."))
}
