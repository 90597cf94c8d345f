use std::collections::{HashMap, hash_map::Entry};

use model::{Deployment, DeploymentId, DeploymentState, DeviceId, RolloutId, RolloutState, UnixTime};
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore, Tx, journal, links, reports, rollouts,
    sql::{Sql, blob, int, maybe, secs, text, time, uint, word},
    steps::{self, Recalled},
};
use crate::{
    Answer, Canceled, Delivery, DeploymentFilter, DeploymentRow, Deployments, Error, Exclusion,
    NewDeployment, Offer, Page, PageRequest, Report, Reported, Result, Ticket, TicketAction, TicketTaken,
    TimedOut,
};

const ROW: &str = "SELECT p.n, p.id, r.id, d.id, p.component, p.phase, p.state, p.attempts, p.changed_at, \
    d.serial, s.id, p.code, p.bytes, p.offered_at, p.deadline_at, t.seq, t.not_after, t.installs \
    FROM deployment p JOIN rollout r ON r.n = p.rollout JOIN device d ON d.n = p.device \
    JOIN sealed s ON s.n = p.artifact LEFT JOIN ticket t ON t.deployment = p.n";

impl Deployments for SqliteStore {
    fn add_deployments(
        &self,
        rollout: RolloutId,
        deployments: Vec<NewDeployment>,
        supersede: bool,
        at: UnixTime,
    ) -> Answer<'_, Vec<(DeviceId, Exclusion)>> {
        self.write(move |tx| {
            let into = rollouts::find(tx, &rollout)?;
            if into.state.ended() {
                return Err(Error::Illegal { what: "a rollout", from: into.state.as_str(), to: "running" });
            }
            let mut excluded = Vec::new();
            for new in &deployments {
                if let Some(why) = add(tx, &into, new, supersede, at)? {
                    excluded.push((new.device, why));
                }
            }
            Ok(excluded)
        })
    }

    fn put_tickets(
        &self,
        tickets: Vec<(DeploymentId, Ticket)>,
        at: UnixTime,
    ) -> Answer<'_, Vec<TicketTaken>> {
        self.write(move |tx| tickets.iter().map(|(id, ticket)| put_ticket(tx, id, ticket, at)).collect())
    }

    fn ready(&self, rollout: RolloutId, phase: u32, limit: u32, now: UnixTime) -> Answer<'_, Vec<Delivery>> {
        self.read_ready(rollout, phase, limit, now)
    }

    fn offer(&self, offers: Vec<Offer>, at: UnixTime) -> Answer<'_, Vec<bool>> {
        self.write(move |tx| {
            let mut rollouts_seen = HashMap::new();
            let mut taken = Vec::with_capacity(offers.len());
            for offer in &offers {
                taken.push(make_offer(tx, offer, &mut rollouts_seen, at)?);
            }
            Ok(taken)
        })
    }

    fn report(&self, reports: Vec<Report>) -> Answer<'_, Vec<Reported>> {
        self.write(move |tx| reports.iter().map(|report| reports::report(tx, report)).collect())
    }

    fn time_out(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<TimedOut>> {
        self.write(move |tx| reports::time_out(tx, now, limit))
    }

    fn requeue(&self, rollout: RolloutId, limit: u32, at: UnixTime) -> Answer<'_, u32> {
        self.write(move |tx| {
            let of = rollouts::find(tx, &rollout)?;
            if of.state != RolloutState::Running {
                return Ok(0);
            }
            // Those whose device is held or out of service are passed over, for they cannot be queued.
            let numbers = tx.all(
                "SELECT p.n FROM deployment p INDEXED BY deployment_redo JOIN device d ON d.n = p.device
                 WHERE p.rollout = ? AND p.redo IS NOT NULL AND p.redo <= ? AND d.state = 'active'
                    AND d.cloned = 0 AND NOT EXISTS (SELECT 1 FROM deployment o INDEXED BY deployment_open
                        WHERE o.device = p.device AND o.component = p.component AND o.open = 1)
                 LIMIT ?",
                params![of.n, of.retries, limit],
                |row| Ok(row.get::<_, i64>(0)?),
            )?;
            let mut queued = 0;
            for n in numbers {
                if let Some(from) = steps::by_number(tx, n)? {
                    queued += u32::from(steps::requeue(tx, &from, at)?);
                }
            }
            Ok(queued)
        })
    }

    fn retry(&self, deployments: Vec<DeploymentId>, at: UnixTime) -> Answer<'_, Vec<bool>> {
        self.write(move |tx| {
            let mut queued = Vec::with_capacity(deployments.len());
            for id in &deployments {
                queued.push(match steps::find(tx, id)? {
                    Some(from) if from.state == DeploymentState::Queued => true,
                    Some(from) if from.state.decided(DeploymentState::Queued).is_ok() => {
                        let ended = rollouts::standing(tx, from.rollout)?.state.ended();
                        !ended && steps::requeue(tx, &from, at)?
                    }
                    Some(_) | None => false,
                });
            }
            Ok(queued)
        })
    }

    fn cancel(&self, rollout: RolloutId, limit: u32, at: UnixTime) -> Answer<'_, Canceled> {
        self.write(move |tx| {
            let of = rollouts::find(tx, &rollout)?;
            let mut numbers = Vec::new();
            let mut past_recall = 0;
            for (phase, state, count) in rollouts::counts(tx, of.n)? {
                if state.past_recall() {
                    past_recall += count;
                } else if !state.ended() {
                    let room = (limit as usize).saturating_sub(numbers.len());
                    numbers.extend(tx.all(
                        "SELECT n FROM deployment INDEXED BY deployment_state
                         WHERE rollout = ? AND phase = ? AND state = ? LIMIT ?",
                        params![of.n, phase, state.as_str(), room as i64],
                        |row| Ok(row.get::<_, i64>(0)?),
                    )?);
                }
            }
            let mut canceled = Canceled { past_recall, ..Canceled::default() };
            for n in numbers {
                if let Some(from) = steps::by_number(tx, n)? {
                    cancel_one(tx, &from, at, &mut canceled)?;
                }
            }
            Ok(canceled)
        })
    }

    fn cancel_these(&self, deployments: Vec<DeploymentId>, at: UnixTime) -> Answer<'_, Canceled> {
        self.write(move |tx| {
            let mut canceled = Canceled::default();
            for id in &deployments {
                if let Some(from) = steps::find(tx, id)? {
                    canceled.past_recall += u32::from(from.state.past_recall());
                    cancel_one(tx, &from, at, &mut canceled)?;
                }
            }
            Ok(canceled)
        })
    }

    fn deployment(&self, id: DeploymentId) -> Answer<'_, Option<DeploymentRow>> {
        self.read(move |db| db.one(&format!("{ROW} WHERE p.id = ?"), [id.as_bytes()], row))
    }

    fn deployments(&self, filter: DeploymentFilter, page: PageRequest) -> Answer<'_, Page<DeploymentRow>> {
        self.read(move |db| match (filter.device, filter.rollout) {
            (Some(device), _) => of_device(db, &device, &filter, &page),
            (None, Some(rollout)) if filter.ticket_ends_before.is_some() => {
                to_sign(db, &rollout, &filter, &page)
            }
            (None, Some(rollout)) => of_rollout(db, &rollout, &filter, &page),
            (None, None) => Err(Error::Invalid { what: "filter" }),
        })
    }

    fn open_deliveries(&self, device: DeviceId, now: UnixTime) -> Answer<'_, Vec<Delivery>> {
        self.read_open(device, now)
    }

    fn deliveries(&self, deployments: Vec<DeploymentId>, now: UnixTime) -> Answer<'_, Vec<Delivery>> {
        self.read_deliveries(deployments, now)
    }
}

fn add(
    tx: &mut Tx<'_>,
    into: &rollouts::Standing,
    new: &NewDeployment,
    supersede: bool,
    at: UnixTime,
) -> Result<Option<Exclusion>> {
    if steps::find(tx, &new.id)?.is_some() {
        return Ok(None);
    }
    if new.phase >= into.phases {
        return Err(Error::NotFound { what: "phase" });
    }
    let artifact = tx
        .one("SELECT n FROM sealed WHERE id = ?", [new.artifact.as_bytes()], |row| Ok(row.get::<_, i64>(0)?))?
        .ok_or(Error::NotFound { what: "artifact" })?;
    let device = tx.one(
        "SELECT n FROM device WHERE id = ? AND state = 'active' AND cloned = 0",
        [new.device.as_bytes()],
        |row| Ok(row.get::<_, i64>(0)?),
    )?;
    let Some(device) = device else {
        return Ok(Some(Exclusion::NotActive));
    };
    let holder = tx.one(
        "SELECT p.n, r.id FROM deployment p INDEXED BY deployment_open JOIN rollout r ON r.n = p.rollout
         WHERE p.device = ? AND p.component = ? AND p.open = 1",
        params![device, into.component],
        |row| Ok((row.get::<_, i64>(0)?, blob::<RolloutId>(row, 1)?)),
    )?;
    if let Some((n, by)) = holder {
        let freed = match steps::by_number(tx, n)? {
            Some(other) if supersede && other.rollout != into.n => {
                steps::recall(tx, &other, at, &mut Recalled::default())?
            }
            Some(_) | None => false,
        };
        if !freed {
            return Ok(Some(Exclusion::Held { by }));
        }
    }
    tx.run(
        "INSERT INTO deployment (id, rollout, device, component, phase, artifact, state, open, attempts,
            changed_at, ticket_end) VALUES (?, ?, ?, ?, ?, ?, 'queued', 1, 0, ?, 0)",
        params![new.id.as_bytes(), into.n, device, into.component, new.phase, artifact, secs(at)],
    )?;
    if let Some(ticket) = &new.ticket {
        put_ticket(tx, &new.id, ticket, at)?;
    }
    Ok(None)
}

fn put_ticket(tx: &Tx<'_>, id: &DeploymentId, ticket: &Ticket, at: UnixTime) -> Result<TicketTaken> {
    let Some(of) = steps::find(tx, id)? else {
        return Ok(TicketTaken::Unknown);
    };
    if of.state.ended() || of.state.past_recall() {
        return Ok(TicketTaken::Closed);
    }
    let known = tx.one("SELECT seq FROM ticket WHERE deployment = ?", [of.n], |row| uint::<u64>(row, 0))?;
    if known.is_some_and(|seq| seq >= ticket.seq) {
        return Ok(TicketTaken::Older);
    }
    tx.run(
        "INSERT OR REPLACE INTO ticket VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
            iif(?4 = 'hold', (SELECT installs FROM ticket WHERE deployment = ?1), ?2))",
        params![
            of.n,
            ticket.label,
            ticket.sealed,
            ticket.action.as_str(),
            int(ticket.seq, "sequence number")?,
            secs(ticket.not_before),
            secs(ticket.not_after),
        ],
    )?;
    let installs = ticket.action != TicketAction::Hold && of.state == DeploymentState::Queued;
    tx.run(
        "UPDATE deployment SET ready_at = ?, ticket_end = ? WHERE n = ?",
        params![installs.then(|| secs(ticket.not_before)), secs(ticket.not_after), of.n],
    )?;
    if ticket.action == TicketAction::Hold {
        let line = journal::Line {
            device: Some(of.device),
            rollout: Some(of.rollout),
            deployment: Some(of.n),
            ..Default::default()
        };
        journal::append(tx, "deployment_held", at, &line)?;
    }
    Ok(TicketTaken::Taken)
}

fn make_offer(
    tx: &mut Tx<'_>,
    offer: &Offer,
    rollouts_seen: &mut HashMap<i64, rollouts::Standing>,
    at: UnixTime,
) -> Result<bool> {
    let Some(from) = steps::find(tx, &offer.deployment)? else {
        return Ok(false);
    };
    let of = match rollouts_seen.entry(from.rollout) {
        Entry::Occupied(seen) => seen.into_mut(),
        Entry::Vacant(unseen) => unseen.insert(rollouts::standing(tx, from.rollout)?),
    };
    let in_force = from.ready.is_some_and(|(begins, ends)| begins <= at && at < ends);
    if of.state != RolloutState::Running
        || !from.served
        || !in_force
        || from.state.decided(DeploymentState::Offered).is_err()
    {
        return Ok(false);
    }
    links::issue(tx, &from, offer)?;
    tx.run(
        "UPDATE deployment SET state = 'offered', attempts = attempts + 1, changed_at = ?2, offered_at = ?2,
            deadline_at = ?3, code = NULL, bytes = 0, ready_at = NULL, link = ?4, unlinked_at = NULL
         WHERE n = ?1",
        params![from.n, secs(at), secs(at + of.device_timeout), offer.link.as_bytes()],
    )?;
    if from.attempts > 0 {
        tx.run("DELETE FROM served WHERE deployment = ?", [from.n])?;
    }
    tx.run(
        "INSERT INTO offer_count VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
        params![from.rollout, secs(at)],
    )?;
    let detail = serde_json::json!({ "link_expires_at": offer.link.expires_at() }).to_string();
    let reason = steps::Reason { detail: Some(&detail), ..Default::default() };
    steps::write_down(tx, &from, DeploymentState::Offered, at, &reason)?;
    Ok(true)
}

fn cancel_one(tx: &mut Tx<'_>, from: &steps::Standing, at: UnixTime, into: &mut Canceled) -> Result<()> {
    let mut recalled = Recalled::default();
    if steps::recall(tx, from, at, &mut recalled)? {
        into.deployments.push((from.id, from.device_id));
        into.links.extend(recalled.links);
    }
    Ok(())
}

fn of_device(
    db: &Connection,
    device: &DeviceId,
    filter: &DeploymentFilter,
    page: &PageRequest,
) -> Result<Page<DeploymentRow>> {
    let rows = db.all(
        &format!(
            "{ROW} WHERE p.device = (SELECT n FROM device WHERE id = ?1) AND p.n < ?2
                AND (?3 IS NULL OR r.id = ?3) AND (?4 IS NULL OR p.phase = ?4) AND (?5 IS NULL OR p.state = ?5)
                AND (?6 IS NULL OR p.code = ?6) AND (?7 IS NULL OR p.ticket_end < ?7)
             ORDER BY p.n DESC LIMIT ?8"
        ),
        params![
            device.as_bytes(),
            page.number(i64::MAX)?,
            filter.rollout.map(|id| *id.as_bytes()),
            filter.phase,
            filter.state.map(DeploymentState::as_str),
            filter.code,
            filter.ticket_ends_before.map(secs),
            page.look()
        ],
        |found| Ok((found.get::<_, i64>(0)?, row(found)?)),
    )?;
    Ok(page.page(rows))
}

/// What a desktop has to sign, soonest to lapse first.
fn to_sign(
    db: &Connection,
    rollout: &RolloutId,
    filter: &DeploymentFilter,
    page: &PageRequest,
) -> Result<Page<DeploymentRow>> {
    let (ends, n) = match &page.after {
        None => (-1_i64, 0_i64),
        Some(cursor) => cursor
            .as_str()
            .split_once(' ')
            .and_then(|(ends, n)| Some((ends.parse().ok()?, n.parse().ok()?)))
            .ok_or(Error::Invalid { what: "cursor" })?,
    };
    let rows = db.all(
        &format!(
            "{} WHERE p.rollout = (SELECT n FROM rollout WHERE id = ?1) AND p.ticket_end IS NOT NULL
                AND (p.ticket_end, p.n) > (?2, ?3) AND p.ticket_end < ?4
                AND (?5 IS NULL OR p.phase = ?5) AND (?6 IS NULL OR p.state = ?6)
             ORDER BY p.ticket_end, p.n LIMIT ?7",
            ROW.replace("deployment p ", "deployment p INDEXED BY deployment_unsigned ")
                .replace("p.n, p.id", "p.ticket_end || ' ' || p.n, p.id"),
        ),
        params![
            rollout.as_bytes(),
            ends,
            n,
            filter.ticket_ends_before.map(secs),
            filter.phase,
            filter.state.map(DeploymentState::as_str),
            page.look()
        ],
        |found| Ok((found.get::<_, String>(0)?, row(found)?)),
    )?;
    Ok(page.page(rows))
}

/// A rollout's deployments in the order they were added: each phase and state that can hold some is
/// asked for its next rows, and the lowest of all are taken. So a page never costs more than that, however
/// rare the state or the cause.
fn of_rollout(
    db: &Connection,
    rollout: &RolloutId,
    filter: &DeploymentFilter,
    page: &PageRequest,
) -> Result<Page<DeploymentRow>> {
    let of = rollouts::find(db, rollout)?;
    let after = page.number(0)?;
    let mut numbers: Vec<i64> = Vec::new();
    if let Some(code) = &filter.code {
        numbers = db.all(
            "SELECT n FROM deployment INDEXED BY deployment_code
             WHERE rollout = ?1 AND code = ?2 AND n > ?3 AND (?4 IS NULL OR phase = ?4)
                AND (?5 IS NULL OR state = ?5)
             ORDER BY n LIMIT ?6",
            params![of.n, code, after, filter.phase, filter.state.map(DeploymentState::as_str), page.look()],
            |row| Ok(row.get(0)?),
        )?;
    } else {
        for (phase, state, _) in rollouts::counts(db, of.n)? {
            let wanted =
                filter.phase.is_none_or(|one| one == phase) && filter.state.is_none_or(|one| one == state);
            if wanted {
                numbers.extend(db.all(
                    "SELECT n FROM deployment INDEXED BY deployment_state
                     WHERE rollout = ? AND phase = ? AND state = ? AND n > ? ORDER BY n LIMIT ?",
                    params![of.n, phase, state.as_str(), after, page.look()],
                    |row| Ok(row.get::<_, i64>(0)?),
                )?);
            }
        }
        numbers.sort_unstable();
        numbers.truncate(page.rows() + 1);
    }
    let mut rows = Vec::with_capacity(numbers.len());
    for n in numbers {
        rows.extend(db.one(&format!("{ROW} WHERE p.n = ?"), [n], |found| Ok((n, row(found)?)))?);
    }
    Ok(page.page(rows))
}

fn row(row: &Row<'_>) -> Result<DeploymentRow> {
    Ok(DeploymentRow {
        deployment: Deployment {
            id: blob(row, 1)?,
            rollout: blob(row, 2)?,
            device: blob(row, 3)?,
            component: text(row, 4)?,
            phase: uint(row, 5)?,
            state: word(row, 6, &DeploymentState::ALL, DeploymentState::as_str)?,
            attempts: uint(row, 7)?,
            changed_at: time(row, 8)?,
        },
        serial: text(row, 9)?,
        artifact: blob(row, 10)?,
        code: row.get(11)?,
        bytes: uint(row, 12)?,
        offered_at: maybe(row, 13, time)?,
        deadline_at: maybe(row, 14, time)?,
        ticket: maybe(row, 15, uint)?.zip(maybe(row, 16, time)?),
        installs: row.get(17)?,
    })
}
