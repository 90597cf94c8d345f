use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use model::{RolloutState, UnixTime};
use pki::ServerCertificate;
use protocol::operator::{BackendIdentity, DeviceCounts, FleetSummary, LinkCounts, PutCertificate};
use store::{DeviceState, PageRequest};

use crate::{
    extract::{Caller, Json},
    fleet::Fleet,
    founding::check_server_certificate,
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

pub(super) async fn summary(
    State(server): State<Arc<Server>>,
    caller: Caller,
) -> Answer<Reply<FleetSummary>> {
    let trust = server.trust();
    let mut open_rollouts = 0;
    for state in [RolloutState::Running, RolloutState::Paused] {
        let page = server.store.rollouts(Some(state), PageRequest::first(PageRequest::MOST)).await?;
        open_rollouts += count(page.rows.len() as u64);
    }
    let alarms = server.store.alarms(true, PageRequest::first(PageRequest::MOST)).await?;
    let roles = &trust.state.root().signed().roles;
    let lapses = |expires: Option<UnixTime>| expires.unwrap_or(UnixTime::EPOCH);
    Ok(Reply(FleetSummary {
        fleet: server.fleet().id,
        server_time: server.now(),
        roles: caller.roles.into_iter().collect(),
        devices: devices(&server).await?,
        links: links(&server).await?,
        open_rollouts,
        open_alarms: count(alarms.rows.len() as u64),
        root_version: trust.state.root().signed().version,
        targets_version: trust.targets.targets_version(),
        no_separation_of_duties: roles.root.threshold == 1 || roles.targets.threshold == 1,
        targets_expire_at: lapses(trust.state.targets().map(|file| file.signed().expires)),
        root_expires_at: trust.state.root().signed().expires,
        server_certificate_expires_at: ServerCertificate::parse(&server.fleet().server_certificate)
            .ok()
            .map(|server| server.certificate().not_after()),
    }))
}

pub(super) async fn backend(State(server): State<Arc<Server>>) -> Answer<Reply<BackendIdentity>> {
    let identity = server.keys.identity(&server.config.origin);
    identity.map(Reply).map_err(|error| Refusal::internal(&error))
}

pub(super) async fn put_ca(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(ca): Json<PutCertificate>,
) -> Answer<StatusCode> {
    let mut fleet = Fleet::clone(&server.fleet());
    if fleet.add_ca(&ca.certificate)? {
        put(&server, &caller, Operation::PutCa, fleet, &ca).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn put_server_certificate(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(certificate): Json<PutCertificate>,
) -> Answer<StatusCode> {
    let mut fleet = Fleet::clone(&server.fleet());
    fleet.server_certificate = certificate.certificate.clone();
    check_server_certificate(&fleet, &server.keys, server.now())?;
    put(&server, &caller, Operation::PutServerCertificate, fleet, &certificate).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn put(
    server: &Server,
    caller: &Caller,
    operation: Operation,
    fleet: Fleet,
    certificate: &PutCertificate,
) -> Answer<()> {
    let subject = envelope::sha256(&certificate.certificate);
    server.recorded(Record::of(caller.spki, operation, &subject), server.put_fleet(fleet)).await
}

pub(super) async fn devices(server: &Server) -> Answer<DeviceCounts> {
    let counts = server.store.device_counts().await?;
    let of = |state| {
        let found = counts.by_state.iter().find(|(other, _)| *other == state);
        found.map_or(0, |(_, n)| count(*n))
    };
    let cloned = count(counts.cloned);
    Ok(DeviceCounts {
        active: of(DeviceState::Active).saturating_sub(cloned),
        revoked: of(DeviceState::Revoked),
        retired: of(DeviceState::Retired),
        replaced: of(DeviceState::Replaced),
        cloned,
        online: count(server.push.count() as u64),
    })
}

pub(super) async fn links(server: &Server) -> Answer<LinkCounts> {
    let counts = server.store.link_counts(None).await?;
    let open = counts.issued + counts.active;
    Ok(LinkCounts {
        issued: open + counts.consumed + counts.expired + counts.revoked,
        reissued: counts.reissued,
        open,
        active: counts.active,
        consumed: counts.consumed,
        expired: counts.expired,
        revoked: counts.revoked,
    })
}

pub(super) fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
