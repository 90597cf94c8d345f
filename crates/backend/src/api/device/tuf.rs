use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use envelope::tuf::{Role, Signed};

use crate::{
    extract::Peer,
    metadata::TUF_PREFIX,
    refusal::{Answer, Refusal},
    server::Server,
};

/// For devices and people of the fleet.
pub(super) async fn known(
    State(server): State<Arc<Server>>,
    peer: Peer,
    Path(file): Path<String>,
) -> Answer<Response> {
    let spki = peer.identity.spki;
    let person = server.store.person(spki).await?;
    if person.is_none_or(|person| person.revoked_at.is_some()) {
        server.device_of(spki).await?;
    }
    serve(&server, &file).await
}

/// For whoever is about to enrol: it says nothing secret, and is verified by whoever reads it.
pub(super) async fn unknown(State(server): State<Arc<Server>>, Path(file): Path<String>) -> Answer<Response> {
    serve(&server, &file).await
}

async fn serve(server: &Server, file: &str) -> Answer<Response> {
    let file = file.strip_prefix("targets/").unwrap_or(file);
    let bytes = if file == Role::Timestamp.path(0) {
        server.trust().state.timestamp().map(Signed::raw).map(<[u8]>::to_vec)
    } else {
        server.store.document(format!("{TUF_PREFIX}{file}")).await?.map(|document| document.bytes)
    };
    let bytes = bytes.ok_or_else(|| Refusal::not_found("file"))?;
    let mut response = Bytes::from(bytes).into_response();
    let kind = if file.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
