use std::{collections::BTreeMap, sync::Arc};

use model::{DeploymentState, LinkEnd, LinkId, LinkState, RolloutId, RolloutState, Seconds, UnixTime};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, Tx, delivery, journal, link_events,
    memory::Effect,
    rollouts,
    sql::{Sql, blob, int, secs, taken, text, time, uint},
    steps::{self, Standing},
};
use crate::{
    Answer, CONFIRM_WITHIN, Delivery, EndedLink, Error, Link, LinkChoice, LinkCounts, LinkEvent, LinkFate,
    LinkFilter, LinkRow, Links, Offer, Page, PageRequest, Result, Served, ServedRange, coverage::Coverage,
};

const LINK: &str = "SELECT l.id, l.device_id, d.spki, l.deployment_id, r.id, s.id, s.ciphertext, s.length_bytes, \
    s.segment_list, s.segments, l.not_before, d.serial, l.active, \
    coalesce((SELECT bytes FROM served WHERE deployment = p.n), 0), p.attempts FROM link l";
const WHOSE: &str = "JOIN deployment p ON p.n = l.deployment JOIN device d ON d.n = p.device \
    JOIN sealed s ON s.n = p.artifact JOIN rollout r ON r.n = l.rollout";

/// Removes an open link and writes that down; what was removed. The deployment's own row is the
/// caller's.
pub(super) fn end(
    tx: &mut Tx<'_>,
    from: &Standing,
    link: LinkId,
    end: LinkEnd,
    at: UnixTime,
) -> Result<Option<EndedLink>> {
    let found = tx.one("SELECT active, not_before FROM link WHERE id = ?", [link.as_bytes()], |row| {
        Ok((row.get::<_, bool>(0)?, time(row, 1)?))
    })?;
    let Some((active, issued_at)) = found else {
        return Ok(None);
    };
    tx.run("DELETE FROM link WHERE id = ?", [link.as_bytes()])?;
    count(tx, from.rollout, open_column(active), -1)?;
    count(tx, from.rollout, end_column(end), 1)?;
    let kind = match end {
        LinkEnd::Consumed => Some("link_consumed"),
        LinkEnd::Revoked => Some("link_revoked"),
        // Whoever removes a lapsed link makes another one, and says so.
        LinkEnd::Expired => None,
    };
    if let Some(kind) = kind {
        let detail =
            serde_json::json!({ "issued_at": issued_at, "expires_at": link.expires_at() }).to_string();
        let line = journal::Line {
            detail: Some(&detail),
            device: Some(from.device),
            rollout: Some(from.rollout),
            deployment: Some(from.n),
            ..Default::default()
        };
        journal::append(tx, kind, at, &line)?;
    }
    tx.then(Effect::LinksGone(vec![link]));
    Ok(Some(EndedLink { link, deployment: from.id, device: from.device_id, end }))
}

/// Adds a link to a deployment; the deployment's own row is the caller's. It is remembered at once, for
/// its device is about to come with it.
pub(super) fn issue(tx: &mut Tx<'_>, to: &Standing, offer: &Offer) -> Result<()> {
    let added = tx.run(
        "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, 0)",
        params![
            offer.link.as_bytes(),
            to.n,
            to.id.as_bytes(),
            to.device_id.as_bytes(),
            to.rollout,
            secs(offer.not_before)
        ],
    );
    taken(added, "link id")?;
    if let Some(link) = tx.one(&format!("{LINK} {WHOSE} WHERE l.id = ?"), [offer.link.as_bytes()], link)? {
        tx.then(Effect::LinkMade(Arc::new(link)));
    }
    count(tx, to.rollout, "issued", 1)
}

impl Links for SqliteStore {
    fn link(&self, id: LinkId, now: UnixTime) -> Answer<'_, Option<Arc<Link>>> {
        Box::pin(async move {
            if id.expires_at() <= now {
                return Ok(None);
            }
            let found = match self.memory.link(&id) {
                Ok(link) => Some(link),
                Err(stamp) => {
                    let read = self
                        .readers
                        .read(move |db| {
                            db.one(&format!("{LINK} {WHOSE} WHERE l.id = ?"), [id.as_bytes()], link)
                        })
                        .await?;
                    read.map(|link| {
                        let link = Arc::new(link);
                        self.memory.remember_link(&link, stamp);
                        link
                    })
                }
            };
            Ok(found.filter(|link| link.not_before <= now))
        })
    }

    fn links(&self, filter: LinkFilter, now: UnixTime, page: PageRequest) -> Answer<'_, Page<LinkRow>> {
        self.read(move |db| list(db, &filter, now, &page))
    }

    fn link_events(&self, fate: Option<LinkFate>, page: PageRequest) -> Answer<'_, Page<LinkEvent>> {
        self.read(move |db| link_events::page(db, fate, &page))
    }

    fn links_expiring(&self, before: UnixTime, now: UnixTime, most: u32) -> Answer<'_, u32> {
        self.read(move |db| {
            // A link's id begins with the instant at which it lapses: this reads one range of one key.
            let range = [LinkId::floor(now + Seconds(1)), LinkId::floor(before)];
            let count = db.one(
                "SELECT count(*) FROM (SELECT 1 FROM link WHERE id >= ? AND id < ? LIMIT ?)",
                (range[0].as_bytes(), range[1].as_bytes(), most),
                |row| Ok(row.get(0)?),
            )?;
            Ok(count.unwrap_or(0))
        })
    }

    fn link_counts(&self, rollout: Option<RolloutId>) -> Answer<'_, LinkCounts> {
        self.read(move |db| {
            let of = if rollout.is_some() {
                "rollout = (SELECT n FROM rollout WHERE id = ?)"
            } else {
                "?1 IS NULL"
            };
            let counts = db.one(
                &format!(
                    "SELECT coalesce(sum(issued), 0), coalesce(sum(active), 0), coalesce(sum(consumed), 0),
                        coalesce(sum(expired), 0), coalesce(sum(revoked), 0), coalesce(sum(reissued), 0)
                     FROM link_count WHERE {of}"
                ),
                [rollout.map(|id| *id.as_bytes())],
                |row| {
                    Ok(LinkCounts {
                        issued: uint(row, 0)?,
                        active: uint(row, 1)?,
                        consumed: uint(row, 2)?,
                        expired: uint(row, 3)?,
                        revoked: uint(row, 4)?,
                        reissued: uint(row, 5)?,
                    })
                },
            )?;
            Ok(counts.unwrap_or_default())
        })
    }

    fn note_served(&self, ranges: Vec<ServedRange>, at: UnixTime) -> Answer<'_, Vec<Served>> {
        self.write(move |tx| ranges.iter().map(|range| note_served(tx, range, at)).collect())
    }

    fn consume(&self, links: Vec<LinkId>, at: UnixTime) -> Answer<'_, Vec<bool>> {
        self.write(move |tx| links.iter().map(|link| consume(tx, *link, at)).collect())
    }

    fn reissue(&self, offers: Vec<Offer>, at: UnixTime) -> Answer<'_, Vec<bool>> {
        self.write(move |tx| offers.iter().map(|offer| reissue(tx, offer, at)).collect())
    }

    fn take_unlinked(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<Delivery>> {
        self.write(move |tx| {
            let numbers = tx.all(
                "SELECT n FROM deployment INDEXED BY deployment_unlinked
                 WHERE unlinked_at IS NOT NULL AND unlinked_at <= ? ORDER BY unlinked_at LIMIT ?",
                params![secs(now), limit],
                |row| Ok(row.get::<_, i64>(0)?),
            )?;
            let mut taken = Vec::with_capacity(numbers.len());
            for n in numbers {
                tx.run("UPDATE deployment SET unlinked_at = NULL WHERE n = ?", [n])?;
                taken.extend(delivery::by_number(tx, n, now)?);
            }
            Ok(taken)
        })
    }

    fn sweep(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<EndedLink>> {
        self.write(move |tx| sweep(tx, now, limit))
    }

    fn revoke_links(&self, which: LinkChoice, at: UnixTime) -> Answer<'_, Vec<EndedLink>> {
        self.write(move |tx| {
            let ids: Vec<LinkId> = match &which {
                LinkChoice::These(ids) => ids.clone(),
                LinkChoice::Device(id) => tx.all(
                    "SELECT p.link FROM deployment p JOIN device d ON d.n = p.device
                     WHERE d.id = ? AND p.open = 1 AND p.link IS NOT NULL",
                    [id.as_bytes()],
                    |row| blob(row, 0),
                )?,
                LinkChoice::Rollout(id) => tx.all(
                    "SELECT link FROM deployment INDEXED BY deployment_link
                     WHERE rollout = (SELECT n FROM rollout WHERE id = ?) AND link IS NOT NULL",
                    [id.as_bytes()],
                    |row| blob(row, 0),
                )?,
                LinkChoice::All => tx.all("SELECT id FROM link", [], |row| blob(row, 0))?,
            };
            let mut revoked = Vec::new();
            for id in ids {
                if let Some(from) = deployment_of(tx, id)? {
                    revoked.extend(end(tx, &from, id, LinkEnd::Revoked, at)?);
                    tx.run("UPDATE deployment SET link = NULL, unlinked_at = NULL WHERE n = ?", [from.n])?;
                }
            }
            Ok(revoked)
        })
    }
}

fn note_served(tx: &mut Tx<'_>, range: &ServedRange, at: UnixTime) -> Result<Served> {
    let found = tx.one(
        "SELECT l.deployment, l.rollout, l.active, s.length_bytes, v.ranges
         FROM link l JOIN deployment p ON p.n = l.deployment JOIN sealed s ON s.n = p.artifact
            LEFT JOIN served v ON v.deployment = l.deployment
         WHERE l.id = ?",
        [range.link.as_bytes()],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, bool>(2)?,
                uint::<u64>(row, 3)?,
                row.get::<_, Option<Vec<u8>>>(4)?,
            ))
        },
    )?;
    let Some((deployment, rollout, active, length, ranges)) = found else {
        return Ok(Served::Gone);
    };
    let mut coverage = ranges.map_or_else(Coverage::default, |bytes| Coverage::from_bytes(&bytes));
    coverage.add(range.from, range.to.min(length));
    let bytes = coverage.bytes();
    if bytes >= length {
        return Ok(if consume(tx, range.link, at)? { Served::Consumed } else { Served::Gone });
    }
    tx.run(
        "INSERT OR REPLACE INTO served VALUES (?, ?, ?)",
        params![deployment, coverage.to_bytes(), int(bytes, "length")?],
    )?;
    if !active {
        tx.run("UPDATE link SET active = 1 WHERE id = ?", [range.link.as_bytes()])?;
        count(tx, rollout, "issued", -1)?;
        count(tx, rollout, "active", 1)?;
    }
    Ok(Served::Counted { bytes })
}

fn consume(tx: &mut Tx<'_>, link: LinkId, at: UnixTime) -> Result<bool> {
    let Some(from) = deployment_of(tx, link)? else {
        return Ok(false);
    };
    if end(tx, &from, link, LinkEnd::Consumed, at)?.is_none() {
        return Ok(false);
    }
    // What was served counted for this link: should another one be needed, all of it is.
    tx.run("DELETE FROM served WHERE deployment = ?", [from.n])?;
    let wants = matches!(from.state, DeploymentState::Offered | DeploymentState::Downloading);
    tx.run(
        "UPDATE deployment SET link = NULL, unlinked_at = ? WHERE n = ?",
        params![wants.then(|| secs(at + CONFIRM_WITHIN)), from.n],
    )?;
    Ok(true)
}

fn reissue(tx: &mut Tx<'_>, offer: &Offer, at: UnixTime) -> Result<bool> {
    let Some(to) = steps::find(tx, &offer.deployment)? else {
        return Ok(false);
    };
    let wants = matches!(to.state, DeploymentState::Offered | DeploymentState::Downloading);
    if !wants || !to.served || rollouts::standing(tx, to.rollout)?.state != RolloutState::Running {
        return Ok(false);
    }
    let before = match to.link {
        Some(link) if link.expires_at() > at && is_open(tx, link)? => return Ok(false),
        Some(link) => {
            end(tx, &to, link, LinkEnd::Expired, at)?;
            Some(link.expires_at())
        }
        None => None,
    };
    issue(tx, &to, offer)?;
    count(tx, to.rollout, "reissued", 1)?;
    tx.run(
        "UPDATE deployment SET link = ?, unlinked_at = NULL WHERE n = ?",
        params![offer.link.as_bytes(), to.n],
    )?;
    let detail = serde_json::json!({ "expires_at": offer.link.expires_at(), "last_expired_at": before });
    let detail = detail.to_string();
    let line = journal::Line {
        device: Some(to.device),
        rollout: Some(to.rollout),
        deployment: Some(to.n),
        detail: Some(&detail),
        raw: None,
    };
    journal::append(tx, "link_reissued", at, &line)?;
    Ok(true)
}

/// Removes lapsed links in the order of the table. Deployments keep a dangling link: touching each of
/// their rows would cost ten times the sweep.
fn sweep(tx: &mut Tx<'_>, now: UnixTime, limit: u32) -> Result<Vec<EndedLink>> {
    let floor = LinkId::floor(now + Seconds(1));
    let last: Option<LinkId> = tx.one(
        "SELECT id FROM link WHERE id < ? ORDER BY id LIMIT 1 OFFSET ?",
        params![floor.as_bytes(), limit],
        |row| blob(row, 0),
    )?;
    let floor = last.unwrap_or(floor);
    let mut by_rollout: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    // Read, then deleted: `RETURNING` would copy each row into a table of its own first.
    let swept = tx.all(
        "SELECT id, deployment_id, device_id, rollout, active FROM link WHERE id < ?",
        [floor.as_bytes()],
        |row| {
            let counts = by_rollout.entry(row.get(3)?).or_default();
            if row.get(4)? {
                counts.1 += 1;
            } else {
                counts.0 += 1;
            }
            Ok(EndedLink {
                link: blob(row, 0)?,
                deployment: blob(row, 1)?,
                device: blob(row, 2)?,
                end: LinkEnd::Expired,
            })
        },
    )?;
    tx.run("DELETE FROM link WHERE id < ?", [floor.as_bytes()])?;
    for (rollout, (issued, active)) in by_rollout {
        count(tx, rollout, "issued", -issued)?;
        count(tx, rollout, "active", -active)?;
        count(tx, rollout, "expired", issued + active)?;
        let detail = serde_json::json!({ "count": issued + active }).to_string();
        let line = journal::Line { rollout: Some(rollout), detail: Some(&detail), ..Default::default() };
        journal::append(tx, "links_expired", now, &line)?;
    }
    tx.then(Effect::LinksGone(swept.iter().map(|ended| ended.link).collect()));
    Ok(swept)
}

fn list(db: &Connection, filter: &LinkFilter, now: UnixTime, page: &PageRequest) -> Result<Page<LinkRow>> {
    let floor = LinkId::floor(now + Seconds(1));
    let after: Option<LinkId> = page
        .after
        .as_ref()
        .map(|cursor| cursor.as_str().parse().map_err(|_| Error::Invalid { what: "cursor" }))
        .transpose()?;
    let (least, most) = if filter.descending {
        (floor, after)
    } else {
        (after.map_or(floor, |after| after.max(floor)), None)
    };
    let mut values = vec![Value::from(least.as_bytes().to_vec())];
    let mut holds = String::new();
    if let Some(most) = most {
        values.push(Value::from(most.as_bytes().to_vec()));
        holds.push_str(" AND key < ?");
    }
    if let Some(before) = filter.expires_before {
        values.push(Value::from(LinkId::floor(before).as_bytes().to_vec()));
        holds.push_str(" AND key < ?");
    }
    if let Some(state) = filter.state {
        values.push(Value::from(i64::from(state == LinkState::Active)));
        holds.push_str(if state.open() { " AND l.active = ?" } else { " AND FALSE AND ?" });
    }
    // A device has few deployments; a rollout's links are found through its deployments, for a sweep
    // could not afford an index of theirs.
    let (from, key) = match (filter.device, filter.rollout) {
        (Some(device), rollout) => {
            values.push(Value::from(device.as_bytes().to_vec()));
            holds.push_str(" AND p.open = 1 AND d.id = ?");
            if let Some(rollout) = rollout {
                values.push(Value::from(rollout.as_bytes().to_vec()));
                holds.push_str(" AND r.id = ?");
            }
            ("device d JOIN deployment p ON p.device = d.n JOIN link l ON l.id = p.link", "l.id")
        }
        (None, Some(rollout)) => {
            values.push(Value::from(rollout.as_bytes().to_vec()));
            holds.push_str(" AND p.link IS NOT NULL AND p.rollout = (SELECT n FROM rollout WHERE id = ?)");
            (
                "deployment p INDEXED BY deployment_link CROSS JOIN link l ON l.id = p.link
                    JOIN device d ON d.n = p.device",
                "p.link",
            )
        }
        (None, None) => {
            ("link l CROSS JOIN deployment p ON p.n = l.deployment JOIN device d ON d.n = p.device", "l.id")
        }
    };
    values.push(Value::from(page.look()));
    let columns = LINK.strip_suffix(" FROM link l").unwrap_or(LINK);
    let holds = holds.replace("key", key);
    let way = if filter.descending { " DESC" } else { "" };
    let sql = format!(
        "{columns} FROM {from} JOIN sealed s ON s.n = p.artifact JOIN rollout r ON r.n = p.rollout
         WHERE {key} > ?{holds} ORDER BY {key}{way} LIMIT ?"
    );
    let rows = db.all(&sql, params_from_iter(values), |row| {
        let link = link(row)?;
        let state = if row.get(12)? { LinkState::Active } else { LinkState::Issued };
        let row = LinkRow {
            link,
            serial: text(row, 11)?,
            state,
            served_bytes: uint(row, 13)?,
            attempts: uint(row, 14)?,
        };
        Ok((link.id, row))
    })?;
    Ok(page.page(rows))
}

fn is_open(tx: &Tx<'_>, link: LinkId) -> Result<bool> {
    Ok(tx.one("SELECT 1 FROM link WHERE id = ?", [link.as_bytes()], |_| Ok(()))?.is_some())
}

fn deployment_of(tx: &Tx<'_>, link: LinkId) -> Result<Option<Standing>> {
    let n = tx.one("SELECT deployment FROM link WHERE id = ?", [link.as_bytes()], |row| Ok(row.get(0)?))?;
    match n {
        Some(n) => steps::by_number(tx, n),
        None => Ok(None),
    }
}

fn count(tx: &Tx<'_>, rollout: i64, column: &str, by: i64) -> Result<()> {
    tx.run(
        &format!(
            "INSERT INTO link_count (rollout, {column}) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET {column} = {column} + ?2"
        ),
        params![rollout, by],
    )?;
    Ok(())
}

const fn open_column(active: bool) -> &'static str {
    if active { "active" } else { "issued" }
}

const fn end_column(end: LinkEnd) -> &'static str {
    match end {
        LinkEnd::Consumed => "consumed",
        LinkEnd::Expired => "expired",
        LinkEnd::Revoked => "revoked",
    }
}

fn link(row: &Row<'_>) -> Result<Link> {
    Ok(Link {
        id: blob(row, 0)?,
        device: blob(row, 1)?,
        spki: blob(row, 2)?,
        deployment: blob(row, 3)?,
        rollout: blob(row, 4)?,
        artifact: blob(row, 5)?,
        ciphertext: blob(row, 6)?,
        length_bytes: uint(row, 7)?,
        segment_list: blob(row, 8)?,
        segments: uint(row, 9)?,
        not_before: time(row, 10)?,
    })
}
