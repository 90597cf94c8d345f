//! What became of links, from the events that their ends left.

use model::{DeviceId, Serial, UnixTime};
use rusqlite::{Connection, Row, params};
use serde::Deserialize;

use super::sql::{Sql, blob, json, maybe, text, time, uint};
use crate::{LinkEvent, LinkFate, Page, PageRequest, Result};

/// What the writer of the event knew of the link.
#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default)]
    issued_at: Option<UnixTime>,
    #[serde(default)]
    expires_at: Option<UnixTime>,
    #[serde(default)]
    last_expired_at: Option<UnixTime>,
    #[serde(default)]
    count: Option<u32>,
}

/// Each kind has a part of one index, newest last: the newest of each are read, and the newest of those told.
pub(super) fn page(db: &Connection, fate: Option<LinkFate>, page: &PageRequest) -> Result<Page<LinkEvent>> {
    let before = page.number(i64::MAX)?;
    let mut found: Vec<(i64, LinkEvent)> = Vec::new();
    for fate in LinkFate::ALL.into_iter().filter(|one| fate.is_none_or(|asked| asked == *one)) {
        let kind = fate.kind();
        found.extend(db.all(
            &format!(
                "SELECT e.n, e.at, r.id, d.id, d.serial, e.detail, s.length_bytes
                 FROM event e INDEXED BY event_link JOIN rollout r ON r.n = e.rollout
                    LEFT JOIN device d ON d.n = e.device LEFT JOIN deployment p ON p.n = e.deployment
                    LEFT JOIN sealed s ON s.n = p.artifact
                 WHERE e.kind = '{kind}' AND e.kind >= 'link' AND e.kind < 'linl' AND e.n < ? ORDER BY e.n DESC LIMIT ?"
            ),
            params![before, page.look()],
            |row| Ok((row.get(0)?, event(row, fate)?)),
        )?);
    }
    found.sort_unstable_by_key(|(n, _)| std::cmp::Reverse(*n));
    Ok(page.page(found))
}

fn event(row: &Row<'_>, fate: LinkFate) -> Result<LinkEvent> {
    let detail: Detail = maybe(row, 5, json)?.unwrap_or_default();
    let device: Option<DeviceId> = maybe(row, 3, blob)?;
    let serial: Option<Serial> = maybe(row, 4, text)?;
    Ok(LinkEvent {
        fate,
        at: time(row, 1)?,
        count: detail.count.unwrap_or(1),
        rollout: blob(row, 2)?,
        device: device.zip(serial),
        issued_at: detail.issued_at,
        expires_at: match fate {
            LinkFate::Reissued => detail.last_expired_at,
            LinkFate::Consumed | LinkFate::Revoked | LinkFate::Expired => detail.expires_at,
        },
        length_bytes: maybe(row, 6, uint)?,
    })
}
