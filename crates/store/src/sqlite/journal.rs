use model::{DeviceId, SpkiDigest, UnixTime};
use rusqlite::{Row, params};

use super::{
    SqliteStore, Tx,
    sql::{Sql, blob, int, maybe, secs, time, uint},
};
use crate::{Alarm, Answer, Error, Event, Journal, NewEvent, Page, PageRequest, Result, Timeline};

/// An event by row numbers, as the store writes it.
#[derive(Default)]
pub(super) struct Line<'a> {
    pub(super) device: Option<i64>,
    pub(super) rollout: Option<i64>,
    pub(super) deployment: Option<i64>,
    pub(super) detail: Option<&'a str>,
    pub(super) raw: Option<&'a [u8]>,
}

/// Appends an event.
pub(super) fn append(tx: &Tx<'_>, kind: &str, at: UnixTime, line: &Line<'_>) -> Result<()> {
    tx.run(
        "INSERT INTO event (at, kind, device, rollout, deployment, detail, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![secs(at), kind, line.device, line.rollout, line.deployment, line.detail, line.raw],
    )?;
    Ok(())
}

/// Raises an alarm, or counts the open one up.
pub(super) fn raise(tx: &Tx<'_>, kind: &str, device: Option<i64>, detail: &str, at: UnixTime) -> Result<()> {
    let counted = tx.run(
        "UPDATE alarm SET count = count + 1, last_at = max(last_at, ?), detail = ?
         WHERE kind = ? AND device IS ? AND acknowledged_at IS NULL",
        params![secs(at), detail, kind, device],
    )?;
    if counted == 0 {
        tx.run(
            "INSERT INTO alarm (kind, device, detail, at, last_at, count) VALUES (?1, ?2, ?3, ?4, ?4, 1)",
            params![kind, device, detail, secs(at)],
        )?;
    }
    Ok(())
}

impl Journal for SqliteStore {
    fn append_events(&self, events: Vec<NewEvent>) -> Answer<'_, ()> {
        self.write(move |tx| {
            for event in &events {
                tx.run(
                    "INSERT INTO event (at, kind, device, rollout, deployment, detail, raw) VALUES (?, ?,
                        (SELECT n FROM device WHERE id = ?), (SELECT n FROM rollout WHERE id = ?),
                        (SELECT n FROM deployment WHERE id = ?), ?, ?)",
                    params![
                        secs(event.at),
                        event.kind,
                        event.device.map(|id| *id.as_bytes()),
                        event.rollout.map(|id| *id.as_bytes()),
                        event.deployment.map(|id| *id.as_bytes()),
                        event.detail,
                        event.raw,
                    ],
                )?;
            }
            Ok(())
        })
    }

    fn events(&self, whose: Timeline, page: PageRequest) -> Answer<'_, Page<Event>> {
        self.read(move |db| {
            let (of_whom, id) = match whose {
                Timeline::Fleet => ("?3 IS NULL", None),
                Timeline::Device(id) => {
                    ("e.device = (SELECT n FROM device WHERE id = ?3)", Some(*id.as_bytes()))
                }
                Timeline::Rollout(id) => {
                    ("e.rollout = (SELECT n FROM rollout WHERE id = ?3)", Some(*id.as_bytes()))
                }
            };
            let rows = db.all(
                &format!(
                    "SELECT e.n, e.at, e.kind, d.id, r.id, p.id, e.detail, e.raw FROM event e
                     LEFT JOIN device d ON d.n = e.device LEFT JOIN rollout r ON r.n = e.rollout
                     LEFT JOIN deployment p ON p.n = e.deployment
                     WHERE {of_whom} AND e.n < ?1 ORDER BY e.n DESC LIMIT ?2"
                ),
                params![page.number(i64::MAX)?, page.look(), id],
                |row| Ok((row.get::<_, i64>(0)?, event(row)?)),
            )?;
            Ok(page.page(rows))
        })
    }

    fn raise_alarm(
        &self,
        kind: String,
        device: Option<DeviceId>,
        detail: String,
        at: UnixTime,
    ) -> Answer<'_, ()> {
        self.write(move |tx| {
            let device = match device {
                Some(id) => {
                    tx.one("SELECT n FROM device WHERE id = ?", [id.as_bytes()], |row| Ok(row.get(0)?))?
                }
                None => None,
            };
            raise(tx, &kind, device, &detail, at)
        })
    }

    fn alarms(&self, open_only: bool, page: PageRequest) -> Answer<'_, Page<Alarm>> {
        self.read(move |db| {
            let open = if open_only { "a.acknowledged_at IS NULL AND" } else { "" };
            let rows = db.all(
                &format!(
                    "SELECT a.n, a.kind, d.id, a.detail, a.at, a.last_at, a.count, a.acknowledged_by,
                        a.acknowledged_at
                     FROM alarm a LEFT JOIN device d ON d.n = a.device
                     WHERE {open} a.n < ?1 ORDER BY a.n DESC LIMIT ?2"
                ),
                params![page.number(i64::MAX)?, page.look()],
                |row| Ok((row.get::<_, i64>(0)?, alarm(row)?)),
            )?;
            Ok(page.page(rows))
        })
    }

    fn acknowledge_alarm(&self, seq: u64, by: SpkiDigest, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| {
            let found = tx.run(
                "UPDATE alarm SET acknowledged_by = coalesce(acknowledged_by, ?),
                    acknowledged_at = coalesce(acknowledged_at, ?) WHERE n = ?",
                params![by.as_bytes(), secs(at), int(seq, "alarm number")?],
            )?;
            if found == 0 { Err(Error::NotFound { what: "alarm" }) } else { Ok(()) }
        })
    }
}

fn event(row: &Row<'_>) -> Result<Event> {
    Ok(Event {
        seq: uint(row, 0)?,
        at: time(row, 1)?,
        kind: row.get(2)?,
        device: maybe(row, 3, blob)?,
        rollout: maybe(row, 4, blob)?,
        deployment: maybe(row, 5, blob)?,
        detail: row.get(6)?,
        raw: row.get(7)?,
    })
}

fn alarm(row: &Row<'_>) -> Result<Alarm> {
    let by = maybe(row, 7, blob)?;
    let at = maybe(row, 8, time)?;
    Ok(Alarm {
        seq: uint(row, 0)?,
        kind: row.get(1)?,
        device: maybe(row, 2, blob)?,
        detail: row.get(3)?,
        at: time(row, 4)?,
        last_at: time(row, 5)?,
        count: uint(row, 6)?,
        acknowledged: by.zip(at),
    })
}
