//! What it takes to bring a deployment to its device.

use model::{Deployment, DeploymentId, DeploymentState, DeviceId, LinkId, RolloutId, UnixTime};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore,
    sql::{Sql, blob, kem_id, maybe, secs, text, time, uint, word},
};
use crate::{Delivery, READY_MOST, Result, Ticket, TicketAction};

const COLUMNS: &str = "SELECT p.id, r.id, d.id, p.component, p.phase, p.state, p.attempts, p.changed_at, d.spki, \
    d.kem, s.id, s.ciphertext, s.length_bytes, s.segment_list, s.segments, t.label, t.sealed, t.action, t.seq, \
    t.not_before, t.not_after, l.id, l.not_before";
const REST: &str = "JOIN rollout r ON r.n = p.rollout JOIN sealed s ON s.n = p.artifact \
    LEFT JOIN ticket t ON t.deployment = p.n LEFT JOIN link l ON l.id = p.link";

/// Queued, with a ticket in force, its device served and not busy with another deployment.
const READY: &str = "deployment p INDEXED BY deployment_ready CROSS JOIN device d ON d.n = p.device";
const READY_IF: &str = "p.rollout = ?1 AND p.phase = ?2 AND p.ready_at IS NOT NULL AND p.ticket_end > ?3 \
    AND p.ready_at <= ?3 AND d.state = 'active' AND d.cloned = 0 AND NOT EXISTS ( \
        SELECT 1 FROM deployment o INDEXED BY deployment_open \
        WHERE o.device = p.device AND o.open = 1 AND o.state <> 'queued')";

/// How many deployments of a phase are ready, up to [`READY_MOST`].
pub(super) fn count_ready(db: &Connection, rollout: i64, phase: u32, now: UnixTime) -> Result<u32> {
    let count = db.one(
        &format!("SELECT count(*) FROM (SELECT 1 FROM {READY} WHERE {READY_IF} LIMIT ?4)"),
        params![rollout, phase, secs(now), READY_MOST],
        |row| uint(row, 0),
    )?;
    Ok(count.unwrap_or(0))
}

/// The deployment with this row number, if it is offered or further and has not ended.
pub(super) fn by_number(db: &impl Sql, n: i64, now: UnixTime) -> Result<Option<Delivery>> {
    db.one(
        &format!(
            "{COLUMNS} FROM deployment p JOIN device d ON d.n = p.device {REST} WHERE p.n = ? AND {OFFERED}"
        ),
        [n],
        |row| delivery(row, now),
    )
}

const OFFERED: &str = "p.open = 1 AND p.state <> 'queued'";

impl SqliteStore {
    pub(super) fn read_ready(
        &self,
        rollout: RolloutId,
        phase: u32,
        limit: u32,
        now: UnixTime,
    ) -> crate::Answer<'_, Vec<Delivery>> {
        self.read(move |db| {
            let n = db.one("SELECT n FROM rollout WHERE id = ?", [rollout.as_bytes()], |row| {
                Ok(row.get::<_, i64>(0)?)
            })?;
            db.all(
                &format!("{COLUMNS} FROM {READY} {REST} WHERE {READY_IF} LIMIT ?4"),
                params![n, phase, secs(now), limit.min(READY_MOST)],
                |row| delivery(row, now),
            )
        })
    }

    pub(super) fn read_open(&self, device: DeviceId, now: UnixTime) -> crate::Answer<'_, Vec<Delivery>> {
        self.read(move |db| {
            db.all(
                &format!(
                    "{COLUMNS} FROM device d JOIN deployment p INDEXED BY deployment_open ON p.device = d.n
                     {REST} WHERE d.id = ? AND {OFFERED} ORDER BY p.n"
                ),
                [device.as_bytes()],
                |row| delivery(row, now),
            )
        })
    }

    pub(super) fn read_deliveries(
        &self,
        ids: Vec<DeploymentId>,
        now: UnixTime,
    ) -> crate::Answer<'_, Vec<Delivery>> {
        self.read(move |db| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(db.one(
                    &format!(
                        "{COLUMNS} FROM deployment p JOIN device d ON d.n = p.device {REST}
                         WHERE p.id = ? AND {OFFERED}"
                    ),
                    [id.as_bytes()],
                    |row| delivery(row, now),
                )?);
            }
            Ok(found)
        })
    }
}

fn delivery(row: &Row<'_>, now: UnixTime) -> Result<Delivery> {
    let kem = blob(row, 9)?;
    let link: Option<LinkId> = maybe(row, 21, blob)?;
    let begins = maybe(row, 22, time)?;
    Ok(Delivery {
        deployment: Deployment {
            id: blob(row, 0)?,
            rollout: blob(row, 1)?,
            device: blob(row, 2)?,
            component: text(row, 3)?,
            phase: uint(row, 4)?,
            state: word(row, 5, &DeploymentState::ALL, DeploymentState::as_str)?,
            attempts: uint(row, 6)?,
            changed_at: time(row, 7)?,
        },
        spki: blob(row, 8)?,
        kem,
        kem_id: kem_id(&kem),
        artifact: blob(row, 10)?,
        ciphertext: blob(row, 11)?,
        length_bytes: uint(row, 12)?,
        segment_list: blob(row, 13)?,
        segments: uint(row, 14)?,
        ticket: maybe(row, 15, |row, _| ticket(row))?,
        link: link.filter(|link| link.expires_at() > now).zip(begins),
    })
}

fn ticket(row: &Row<'_>) -> Result<Ticket> {
    Ok(Ticket {
        label: row.get(15)?,
        sealed: row.get(16)?,
        action: word(row, 17, &TicketAction::ALL, TicketAction::as_str)?,
        seq: uint(row, 18)?,
        not_before: time(row, 19)?,
        not_after: time(row, 20)?,
    })
}
