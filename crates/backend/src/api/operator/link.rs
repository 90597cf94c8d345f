use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use model::{DeviceId, LinkId, LinkState, RolloutId, UnixTime};
use protocol::{
    ErrorCode,
    operator::{Hint, LinkEvent, LinkFate, LinkRow, Page},
};
use serde::Deserialize;
use store::{LinkChoice, LinkFilter};

use super::{PageOf, page};
use crate::{
    extract::{Caller, Name, Params},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    state: Option<LinkState>,
    #[serde(default)]
    rollout: Option<RolloutId>,
    #[serde(default)]
    device: Option<DeviceId>,
    #[serde(default)]
    expires_before: Option<UnixTime>,
    #[serde(default)]
    descending: bool,
}

#[derive(Deserialize)]
pub(super) struct Fate {
    #[serde(default)]
    fate: Option<LinkFate>,
}

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Params(filter): Params<Filter>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<LinkRow>>> {
    // Links that are gone leave counters and events, no rows.
    if filter.state.is_some_and(|state| !state.open()) {
        return Ok(Reply(Page { rows: Vec::new(), next: None }));
    }
    let filter = LinkFilter {
        state: filter.state,
        rollout: filter.rollout,
        device: filter.device,
        expires_before: filter.expires_before,
        descending: filter.descending,
    };
    let links = server.store.links(filter, server.now(), request).await?;
    Ok(Reply(page(links, row)))
}

/// What became of links that are gone.
pub(super) async fn events(
    State(server): State<Arc<Server>>,
    Params(Fate { fate }): Params<Fate>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<LinkEvent>>> {
    let fate = fate.map(|fate| match fate {
        LinkFate::Consumed => store::LinkFate::Consumed,
        LinkFate::Revoked => store::LinkFate::Revoked,
        LinkFate::Reissued => store::LinkFate::Reissued,
        LinkFate::Expired => store::LinkFate::Expired,
    });
    let events = server.store.link_events(fate, request).await?;
    Ok(Reply(page(events, |event| {
        let (device, serial) = event.device.unzip();
        LinkEvent {
            fate: match event.fate {
                store::LinkFate::Consumed => LinkFate::Consumed,
                store::LinkFate::Revoked => LinkFate::Revoked,
                store::LinkFate::Reissued => LinkFate::Reissued,
                store::LinkFate::Expired => LinkFate::Expired,
            },
            at: event.at,
            count: event.count,
            rollout: event.rollout,
            device,
            serial,
            issued_at: event.issued_at,
            expires_at: event.expires_at,
            total_bytes: event.length_bytes,
        }
    })))
}

pub(super) async fn revoke(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<LinkId>,
) -> Answer<StatusCode> {
    end(&server, &caller, id, Operation::RevokeLink).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the link back and makes another one in its place.
pub(super) async fn reissue(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<LinkId>,
) -> Answer<StatusCode> {
    let deployment = end(&server, &caller, id, Operation::ReissueLink).await?;
    let deliveries = server.store.deliveries(vec![deployment], server.now()).await?;
    server.deliver(deliveries).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(
    server: &Arc<Server>,
    caller: &Caller,
    id: LinkId,
    operation: Operation,
) -> Answer<model::DeploymentId> {
    let gone = || Refusal::new(ErrorCode::LinkGone, "This link is gone already.");
    let link = server.store.link(id, server.now()).await?.ok_or_else(gone)?;
    let entry = Record::of(caller.spki, operation, &link.deployment);
    let act = server.store.revoke_links(LinkChoice::These(vec![id]), server.now());
    let ended = server.audited(entry, act).await?;
    server.downloads.end(link.deployment);
    server.hint(Hint::Rollout { rollout: link.rollout });
    if ended.is_empty() { Err(gone()) } else { Ok(link.deployment) }
}

fn row(row: store::LinkRow) -> LinkRow {
    LinkRow {
        id: row.link.id,
        device: row.link.device,
        serial: row.serial,
        deployment: row.link.deployment,
        state: row.state,
        issued_at: row.link.not_before,
        expires_at: row.link.id.expires_at(),
        issue: row.attempts,
        served_bytes: row.served_bytes,
        total_bytes: row.link.length_bytes,
    }
}
