use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use bytes::Bytes;
use envelope::bundle::Bundle;
use model::{DeviceId, Digest};
use protocol::{
    Base64, ErrorCode,
    operator::{Hint, LaidOutBundle, LayOutBundle},
};
use serde::Deserialize;
use serde_json::json;
use store::{NewEvent, PageRequest, Timeline};

use crate::{
    extract::{Caller, Json, Name},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// What an entry in the timeline of a device is called.
const LAID_OUT: &str = "bundle_laid_out";

/// What such an entry says.
#[derive(Deserialize)]
struct Detail {
    bundle: Digest,
}

/// Keeps a bundle for benches on the network. Whether it counts, they decide themselves: here it is only
/// looked at, and what a payload of it is must be there.
pub(super) async fn lay_out(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<LayOutBundle>,
) -> Answer<StatusCode> {
    let raw = request.bundle.0;
    let wrong =
        || Refusal::new(ErrorCode::InvalidObject, "This is no bundle of this fleet, or a lapsed one.");
    let (head, rest) = raw.split_first_chunk::<{ Bundle::HEAD }>().ok_or_else(wrong)?;
    let length = Bundle::index_length(head).map_err(|_| wrong())?;
    let bundle = rest.get(..length).and_then(|index| Bundle::peek(index).ok()).ok_or_else(wrong)?;
    let now = server.now();
    if bundle.fleet != server.fleet().id || bundle.expires < now || request.devices.is_empty() {
        return Err(wrong());
    }
    for payload in bundle.payloads() {
        if server.blobs.get(payload.sha256).await?.is_none() {
            return Err(Refusal::not_found("ciphertext"));
        }
    }
    for device in &request.devices {
        server.store.device(*device).await?.ok_or_else(|| Refusal::not_found("device"))?;
    }
    let kept = server.blobs.put(Bytes::from(raw)).await?;
    let detail = json!({ "bundle": kept, "expires": bundle.expires }).to_string();
    let events = request.devices.iter().map(|device| NewEvent {
        at: now,
        kind: LAID_OUT.to_owned(),
        device: Some(*device),
        rollout: None,
        deployment: None,
        detail: Some(detail.clone()),
        raw: None,
    });
    let entry = Record::of(caller.spki, Operation::LayOutBundle, &kept);
    server.audited(entry, server.store.append_events(events.collect())).await?;
    for device in request.devices {
        server.hint(Hint::Device { device });
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The bundle that was laid out last for a device.
pub(super) async fn of_device(
    State(server): State<Arc<Server>>,
    Name(device): Name<DeviceId>,
) -> Answer<Reply<LaidOutBundle>> {
    let missing = || Refusal::not_found("bundle");
    let events = server.store.events(Timeline::Device(device), PageRequest::first(PageRequest::MOST)).await?;
    let newest = events.rows.into_iter().filter(|event| event.kind == LAID_OUT).max_by_key(|event| event.at);
    let detail = newest.and_then(|event| event.detail).ok_or_else(missing)?;
    let detail: Detail = serde_json::from_str(&detail).map_err(|_| missing())?;
    let blob = server.blobs.get(detail.bundle).await?.ok_or_else(missing)?;
    let bytes = blob.slice(0..blob.length_bytes()).ok_or_else(missing)?;
    Ok(Reply(LaidOutBundle { bundle: Base64(bytes.to_vec()) }))
}
