//! What people declared of models.

use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use protocol::{ErrorCode, operator::DeviceModel};
use store::Document;

use crate::{
    extract::{Caller, Json},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// Where models stand among the store's documents.
const PREFIX: &str = "private/model/";

pub(super) async fn list(State(server): State<Arc<Server>>) -> Answer<Reply<Vec<DeviceModel>>> {
    let mut models = Vec::new();
    for info in server.store.documents(PREFIX.to_owned()).await? {
        let Some(document) = server.store.document(info.name).await? else { continue };
        let unreadable = |_| Refusal::new(ErrorCode::Internal, "A model's record cannot be read.");
        models.push(serde_json::from_slice(&document.bytes).map_err(unreadable)?);
    }
    Ok(Reply(models))
}

pub(super) async fn put(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(model): Json<DeviceModel>,
) -> Answer<Reply<DeviceModel>> {
    if model.hardware_revisions.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "A model has at least one hardware revision."));
    }
    let name = format!("{PREFIX}{}", model.model);
    let known = server.store.document(name.clone()).await?;
    let version = known.map_or(1, |known| known.version + 1);
    let bytes = serde_json::to_vec(&model).expect("a structure of names and numbers");
    let reason = String::from_utf8_lossy(&bytes).into_owned();
    let document = Document { name, version, bytes, at: server.now() };
    let entry = Record::of(caller.spki, Operation::PutModel, &model.model).because(&reason);
    server.audited(entry, server.store.put_documents(vec![document])).await?;
    Ok(Reply(model))
}
