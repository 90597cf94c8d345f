use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use protocol::operator::{AlarmKind, AlarmRow, Hint, Page};

use super::{PageOf, page};
use crate::{
    extract::{Caller, Name},
    refusal::Answer,
    roles::Operation,
    server::{Record, Server},
    upkeep::alarm_word,
};

const KINDS: [AlarmKind; 10] = [
    AlarmKind::KeySeen,
    AlarmKind::TokenReused,
    AlarmKind::DeviceCloned,
    AlarmKind::RevokedDevice,
    AlarmKind::ForeignLink,
    AlarmKind::RolloutPaused,
    AlarmKind::MetadataExpiring,
    AlarmKind::Storage,
    AlarmKind::LogForked,
    AlarmKind::BackendRestored,
];

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<AlarmRow>>> {
    let alarms = server.store.alarms(false, request).await?;
    Ok(Reply(page(alarms, row)))
}

pub(super) async fn acknowledge(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(number): Name<u64>,
) -> Answer<StatusCode> {
    let entry = Record::of(caller.spki, Operation::AcknowledgeAlarm, &number);
    let act = server.store.acknowledge_alarm(number, caller.spki, server.now());
    server.audited(entry, act).await?;
    server.hint(Hint::Alarm);
    Ok(StatusCode::NO_CONTENT)
}

fn row(alarm: store::Alarm) -> AlarmRow {
    let kind = KINDS.into_iter().find(|kind| alarm_word(*kind) == alarm.kind);
    AlarmRow {
        number: alarm.seq,
        // Every kind that the store or this backend raises is among them.
        kind: kind.unwrap_or(AlarmKind::Storage),
        device: alarm.device,
        detail: alarm.detail,
        at: alarm.at,
        count: alarm.count,
        acknowledged: alarm.acknowledged.is_some(),
    }
}
