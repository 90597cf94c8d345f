use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use axum::{Json as Reply, extract::State, http::StatusCode};
use envelope::{Proof, PublicKey, RevocationList};
use model::{DeploymentState, DeviceId, Seconds, Version};
use pki::DeviceCertificate;
use protocol::{
    Base64, ErrorCode,
    device::ComponentStatus,
    operator::{
        Connectivity, DeviceDetail, DeviceFilter, DeviceRow, DeviceSort, DeviceState as Wire, Hint, Page,
        ProofRecord, RevokeDevice, TimelineEntry,
    },
};
use store::{
    Cursor, DeploymentFilter, Device, DeviceKey, DeviceOrder, DeviceState, Document, PageRequest, Timeline,
};

use super::{PageOf, page};
use crate::{
    extract::{Caller, Json, Name, Params},
    metadata::TUF_PREFIX,
    recovery::REVOKED,
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// How many pages of the store one page of a list may take to fill.
const PAGES_MOST: usize = 20;

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Params(filter): Params<DeviceFilter>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<DeviceRow>>> {
    let Some(stored) = stored_filter(&server, &filter).await? else {
        return Ok(Reply(Page { rows: Vec::new(), next: None }));
    };
    let limit = request.limit as usize;
    let mut devices: Vec<Device> = Vec::new();
    let mut after = request.after;
    for _ in 0..PAGES_MOST {
        let left = u32::try_from(limit - devices.len()).unwrap_or(1);
        let page = PageRequest { after: after.take(), limit: left };
        let found = server.store.devices(stored.clone(), page).await?;
        devices.extend(found.rows.into_iter().filter(|device| fits(device, &filter)));
        after = found.next;
        if after.is_none() || devices.len() >= limit {
            break;
        }
    }
    let next = after.as_ref().map(Cursor::as_str).map(str::to_owned);
    let mut certificates = certificates(&server, &devices).await?;
    let rows = devices.into_iter().map(|device| {
        let certificate = certificates.remove(&device.id).unwrap_or_default();
        row(&server, device, certificate)
    });
    Ok(Reply(Page { rows: rows.collect(), next }))
}

pub(super) async fn show(
    State(server): State<Arc<Server>>,
    Name(id): Name<DeviceId>,
) -> Answer<Reply<DeviceDetail>> {
    let device = server.store.device(id).await?.ok_or_else(|| Refusal::not_found("device"))?;
    let certificate = certificates(&server, std::slice::from_ref(&device)).await?.remove(&id);
    let enrolment = server.store.enrolment_of(id).await?;
    let of_device = DeploymentFilter { device: Some(id), ..DeploymentFilter::default() };
    let deployments = server.store.deployments(of_device, PageRequest::first(PageRequest::MOST)).await?;
    let mut opened = BTreeSet::new();
    for deployment in deployments.rows.iter().map(|row| &row.deployment) {
        if deployment.state != DeploymentState::Queued
            && let Some(rollout) = server.store.rollout(deployment.rollout).await?
        {
            opened.insert(rollout.release);
        }
    }
    let open = deployments.rows.into_iter().map(|row| row.deployment).filter(|d| !d.state.ended());
    Ok(Reply(DeviceDetail {
        station: device.station.clone(),
        spki: device.spki,
        enrolled_at: device.enrolled_at,
        proof: match enrolment {
            Some(enrolment) => proof(&server, &device, enrolment).await?,
            None => None,
        },
        deployments: open.map(|deployment| (deployment.rollout, deployment.id)).collect(),
        opened: opened.into_iter().collect(),
        row: row(&server, device, certificate.unwrap_or_default()),
    }))
}

pub(super) async fn timeline(
    State(server): State<Arc<Server>>,
    Name(id): Name<DeviceId>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<TimelineEntry>>> {
    let events = server.store.events(Timeline::Device(id), request).await?;
    Ok(Reply(page(events, |event| TimelineEntry {
        at: event.at,
        kind: event.kind,
        deployment: event.deployment,
        detail: event.detail.unwrap_or_default(),
    })))
}

/// Ends a device's membership: from here on it is refused, and what was under way for it is taken back.
pub(super) async fn revoke(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<DeviceId>,
    Json(request): Json<RevokeDevice>,
) -> Answer<StatusCode> {
    let to = match request.state {
        Wire::Revoked => DeviceState::Revoked,
        Wire::Retired => DeviceState::Retired,
        Wire::Active | Wire::Replaced | Wire::Cloned => {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "A device is revoked or retired."));
        }
    };
    let now = server.now();
    let device = server.store.device(id).await?.ok_or_else(|| Refusal::not_found("device"))?;
    let list = match &request.revocation_list {
        Some(list) => Some(checked_list(&server, list, &device).await?),
        None => None,
    };
    let entry = Record::of(caller.spki, Operation::RevokeDevice, &id).because(&request.reason);
    let act = server.store.withdraw_devices(vec![id], to, request.reason.clone(), now);
    let withdrawn = server.audited(entry, act).await?;
    server.push.close(id);
    for link in withdrawn.links {
        server.downloads.end(link.deployment);
    }
    if let Some(list) = list {
        server.store.put_documents(vec![list]).await?;
    }
    tracing::info!(device_id = %id, state = to.as_str(), "ended a device's membership");
    server.hint(Hint::Device { device: id });
    server.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn clear_cloned(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<DeviceId>,
) -> Answer<StatusCode> {
    let entry = Record::of(caller.spki, Operation::ClearCloned, &id);
    server.audited(entry, server.store.clear_cloned(id, server.now())).await?;
    server.hint(Hint::Device { device: id });
    Ok(StatusCode::NO_CONTENT)
}

/// A device's proof with the certificate that it is for, which may have been renewed since.
async fn proof(server: &Server, device: &Device, enrolment: store::Enrolment) -> Answer<Option<ProofRecord>> {
    let Some(proof) = enrolment.proof else { return Ok(None) };
    let proves = |der: &Vec<u8>| {
        DeviceCertificate::parse(der).is_ok_and(|certificate| {
            let key = PublicKey::P256(*certificate.certificate().key().sec1());
            Proof::verify_possession(&proof, device.id, envelope::sha256(der), &key).is_ok()
        })
    };
    let mut given = server.store.certificates_of(device.id).await?.into_iter().rev();
    let certificate = given.find(proves).map(Base64).unwrap_or_default();
    Ok(Some(ProofRecord { proof: Base64(proof), certificate, received_at: enrolment.changed_at }))
}

/// The signed list, if it is newer than the one on record and names this device.
async fn checked_list(server: &Server, list: &Base64, device: &Device) -> Answer<Document> {
    let name = format!("{TUF_PREFIX}{REVOKED}");
    let last = server.store.document(name.clone()).await?.map_or(0, |document| document.version);
    let now = server.now();
    let verified = RevocationList::verify(list, server.fleet().id, last + 1, &server.trust().keys, now)?;
    if !verified.revokes(&device.spki) {
        return Err(Refusal::new(ErrorCode::InvalidObject, "The revocation list does not name this device."));
    }
    Ok(Document { name, version: verified.number, bytes: list.0.clone(), at: now })
}

/// The part of a filter that the store knows; none if nothing can fit.
async fn stored_filter(server: &Server, filter: &DeviceFilter) -> Answer<Option<store::DeviceFilter>> {
    let mut stored = store::DeviceFilter {
        model: filter.model.clone(),
        cohort: None,
        state: filter.state.map(|state| match state {
            Wire::Active | Wire::Cloned => DeviceState::Active,
            Wire::Revoked => DeviceState::Revoked,
            Wire::Retired => DeviceState::Retired,
            Wire::Replaced => DeviceState::Replaced,
        }),
        serial_prefix: filter.serial_prefix.clone(),
        version: None,
        engaged: filter.engaged == Some(true),
        order: filter.sort.map(|sort| DeviceOrder {
            by: match sort {
                DeviceSort::Enrolled => DeviceKey::Enrolled,
                DeviceSort::Serial => DeviceKey::Serial,
                DeviceSort::Model => DeviceKey::Model,
            },
            descending: filter.descending == Some(true),
        }),
    };
    if let Some(version) = &filter.version {
        let counts = server.store.device_counts().await?;
        let mut with = counts.by_version.into_iter().filter(|(_, other, n)| other == version && *n > 0);
        match (with.next(), with.next()) {
            (None, _) => return Ok(None),
            (Some((component, version, _)), None) => stored.version = Some((component, version)),
            (Some(_), Some(_)) => {}
        }
    }
    Ok(Some(stored))
}

fn fits(device: &Device, filter: &DeviceFilter) -> bool {
    let runs = |version: &Version| {
        device.versions.iter().any(|installed| installed.confirmed.as_ref() == Some(version))
    };
    let Some(state) = wire_state(device) else { return false };
    filter.state.is_none_or(|asked| asked == state) && filter.version.as_ref().is_none_or(runs)
}

/// None while a device is only reserved.
fn wire_state(device: &Device) -> Option<Wire> {
    match device.state {
        DeviceState::Reserved => None,
        DeviceState::Active if device.cloned => Some(Wire::Cloned),
        DeviceState::Active => Some(Wire::Active),
        DeviceState::Revoked => Some(Wire::Revoked),
        DeviceState::Retired => Some(Wire::Retired),
        DeviceState::Replaced => Some(Wire::Replaced),
    }
}

async fn certificates(server: &Server, devices: &[Device]) -> Answer<HashMap<DeviceId, Vec<u8>>> {
    let ids = devices.iter().map(|device| device.id).collect();
    Ok(server.store.certificates(ids).await?.into_iter().collect())
}

fn row(server: &Server, device: Device, certificate: Vec<u8>) -> DeviceRow {
    let polls_within = Seconds(server.config.poll_after.0.saturating_mul(3));
    let seen_lately = device.last_seen_at.is_some_and(|at| server.now() <= at + polls_within);
    DeviceRow {
        id: device.id,
        state: wire_state(&device).unwrap_or(Wire::Active),
        serial: device.serial,
        model: device.model,
        hardware_revision: device.hardware_revision,
        connectivity: if server.push.is_open(device.id) {
            Connectivity::Online
        } else if seen_lately {
            Connectivity::Polling
        } else {
            Connectivity::Offline
        },
        components: device
            .versions
            .into_iter()
            .map(|installed| ComponentStatus {
                component: installed.component,
                version: installed.confirmed.unwrap_or(installed.reported),
                security_counter: installed.security_counter,
                // The backend does not keep it: who signs goes by their own record and clock.
                seq: 0,
            })
            .collect(),
        enrolled_at: Some(device.enrolled_at),
        last_seen_at: device.last_seen_at,
        certificate: Base64(certificate),
        deployment: device.deployment,
    }
}
