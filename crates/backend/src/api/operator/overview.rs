//! What the fleet and a rollout are doing, from counters.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json as Reply, extract::State};
use model::{RolloutId, RolloutState, Seconds, UnixTime};
use pki::Certificate;
use protocol::operator::{
    CertificateEnd, DeviceState as Wire, EXPIRING_MOST, FailureCluster, FleetOverview, ModelCount,
    ProgressPoint, RolloutProgress, VersionCount,
};
use store::{DeviceState, PageRequest};

use super::{fleet, rollout};
use crate::{extract::Name, refusal::Answer, server::Server};

/// So many open rollouts are shown.
const ROLLOUTS_MOST: u32 = 100;
/// What lapses within this time is soon for a link ...
const LINK_SOON: Seconds = Seconds::days(1);
/// ... what lapses within this asks for a look ...
const LINK_ENDING: Seconds = Seconds(600);
/// ... and for a certificate.
const CERTIFICATE_SOON: Seconds = Seconds::days(30);
/// So much of a rollout's past is shown.
const PAST: Seconds = Seconds::days(7);

pub(super) async fn fleet(State(server): State<Arc<Server>>) -> Answer<Reply<FleetOverview>> {
    let store = &server.store;
    let now = server.now();
    let counts = store.device_counts().await?;
    let mut rollouts = Vec::new();
    let mut causes: BTreeMap<String, u32> = BTreeMap::new();
    for state in [RolloutState::Running, RolloutState::Paused] {
        for found in store.rollouts(Some(state), PageRequest::first(ROLLOUTS_MOST)).await?.rows {
            for cluster in store.failure_clusters(found.id).await? {
                let count = causes.entry(cluster.code).or_default();
                *count = count.saturating_add(cluster.count);
            }
            rollouts.push(rollout::row(&found)?);
        }
    }
    rollouts.sort_by_key(|row| std::cmp::Reverse(row.created_at));
    rollouts.truncate(ROLLOUTS_MOST as usize);
    let mut failures: Vec<_> =
        causes.into_iter().map(|(code, count)| FailureCluster { code, count }).collect();
    failures.sort_by_key(|cluster| std::cmp::Reverse(cluster.count));
    let alarms = store.alarms(true, PageRequest::first(PageRequest::MOST)).await?;
    let model =
        |(model, state, n)| Some(ModelCount { model, state: wire_state(state)?, count: fleet::count(n) });
    let version = |(component, version, n)| VersionCount { component, version, count: fleet::count(n) };
    Ok(Reply(FleetOverview {
        server_time: now,
        devices: fleet::devices(&server).await?,
        models: counts.by_model.into_iter().filter_map(model).collect(),
        versions: counts.by_version.into_iter().map(version).collect(),
        rollouts,
        failures,
        links: fleet::links(&server).await?,
        links_expiring: store.links_expiring(now + LINK_SOON, now, EXPIRING_MOST).await?,
        links_ending: store.links_expiring(now + LINK_ENDING, now, EXPIRING_MOST).await?,
        served: server.served.minutes(now),
        certificates_expiring: certificates(&server, now + CERTIFICATE_SOON).await?,
        open_alarms: fleet::count(alarms.rows.len() as u64),
    }))
}

pub(super) async fn rollout(
    State(server): State<Arc<Server>>,
    Name(id): Name<RolloutId>,
) -> Answer<Reply<RolloutProgress>> {
    rollout::known(&server, id).await?;
    let since = UnixTime::from_secs(server.now().as_secs().saturating_sub(PAST.0));
    let points = server.store.progress(id, since).await?;
    let failures = server.store.failure_clusters(id).await?;
    Ok(Reply(RolloutProgress {
        points: points
            .into_iter()
            .map(|minute| ProgressPoint { at: minute.at, succeeded: minute.succeeded, failed: minute.failed })
            .collect(),
        failures: failures
            .into_iter()
            .map(|cluster| FailureCluster { code: cluster.code, count: cluster.count })
            .collect(),
    }))
}

/// Those of people who still have access, and the backend's own, that end before this instant.
async fn certificates(server: &Server, before: UnixTime) -> Answer<Vec<CertificateEnd>> {
    let people = server.store.people().await?;
    let people = people.into_iter().filter(|person| person.revoked_at.is_none());
    let people = people.map(|person| (Some(person.name.clone()), person.certificate.clone()));
    let own = (None, server.fleet().server_certificate.0.clone());
    let mut ends = Vec::new();
    for (person, der) in people.chain([own]) {
        let not_after = Certificate::parse(&der)?.not_after();
        if not_after < before {
            ends.push(CertificateEnd { person, not_after });
        }
    }
    ends.sort_by_key(|end| end.not_after);
    Ok(ends)
}

/// None for one that is only reserved.
fn wire_state(state: DeviceState) -> Option<Wire> {
    match state {
        DeviceState::Reserved => None,
        DeviceState::Active => Some(Wire::Active),
        DeviceState::Revoked => Some(Wire::Revoked),
        DeviceState::Retired => Some(Wire::Retired),
        DeviceState::Replaced => Some(Wire::Replaced),
    }
}
