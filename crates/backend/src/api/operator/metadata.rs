use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use protocol::{
    ErrorCode,
    operator::{PublishMetadata, SnapshotRequest},
};

use crate::{
    extract::{Caller, Json},
    metadata::Publication,
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

pub(super) async fn publish(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<PublishMetadata>,
) -> Answer<StatusCode> {
    if request.roots.is_empty() && request.targets.is_none() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "There is no metadata in it."));
    }
    let new = Publication {
        roots: request.roots.into_iter().map(|root| root.0).collect(),
        targets: request.targets.map(|targets| targets.0),
        trust_keys: request.trust_keys.map(|keys| keys.0),
        confirm_jump: false,
    };
    let subject =
        new.targets.as_deref().map(envelope::sha256).map_or_else(|| "root".into(), |d| d.to_string());
    server
        .recorded(Record::of(caller.spki, Operation::PublishMetadata, &subject), server.publish(new))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn renew(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<SnapshotRequest>,
) -> Answer<StatusCode> {
    let reason = if request.confirm_jump { "the jump of the version is confirmed" } else { "" };
    let entry = Record::of(caller.spki, Operation::RenewSnapshot, "snapshot").because(reason);
    let renew = async {
        if request.confirm_jump {
            server.confirm_clock().await
        } else {
            server.publish(Publication::default()).await
        }
    };
    server.recorded(entry, renew).await?;
    Ok(StatusCode::NO_CONTENT)
}
