//! What moves a deployment, and what its links and tickets make of that.

use model::{DeploymentId, DeploymentState, DeviceId, LinkEnd, LinkId, UnixTime};
use rusqlite::{Row, params};

use super::{
    Tx, journal, links,
    sql::{Sql, blob, maybe, secs, time, uint, word},
};
use crate::{EndedLink, Result};

/// A deployment as its steps see it.
pub(super) struct Standing {
    pub(super) n: i64,
    pub(super) id: DeploymentId,
    pub(super) rollout: i64,
    pub(super) device: i64,
    pub(super) device_id: DeviceId,
    pub(super) state: DeploymentState,
    pub(super) attempts: u32,
    /// The newest link; it may be gone.
    pub(super) link: Option<LinkId>,
    /// When its ticket is in force; none without a ticket that installs, or when it is not queued.
    pub(super) ready: Option<(UnixTime, UnixTime)>,
    /// Whether its device is active and not cloned.
    pub(super) served: bool,
}

const STANDING: &str = "SELECT p.n, p.id, p.rollout, p.device, d.id, p.state, p.attempts, p.link, p.ready_at, \
    p.ticket_end, d.state = 'active' AND d.cloned = 0 FROM deployment p JOIN device d ON d.n = p.device";

/// Why a deployment moves.
#[derive(Default)]
pub(super) struct Reason<'a> {
    pub(super) code: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
    pub(super) raw: Option<&'a [u8]>,
}

/// What recalling deployments ended.
#[derive(Default)]
pub(super) struct Recalled {
    pub(super) links: Vec<EndedLink>,
    pub(super) canceled: u32,
}

pub(super) fn find(tx: &Tx<'_>, id: &DeploymentId) -> Result<Option<Standing>> {
    tx.one(&format!("{STANDING} WHERE p.id = ?"), [id.as_bytes()], standing)
}

pub(super) fn by_number(tx: &Tx<'_>, n: i64) -> Result<Option<Standing>> {
    tx.one(&format!("{STANDING} WHERE p.n = ?"), [n], standing)
}

/// Moves a deployment to where a report or a decision brought it, ends its link where that takes none,
/// and writes it down; the link that was open.
pub(super) fn advance(
    tx: &mut Tx<'_>,
    from: &Standing,
    to: DeploymentState,
    at: UnixTime,
    reason: &Reason<'_>,
) -> Result<Option<EndedLink>> {
    let mut ended = None;
    if let Some(link) = from.link
        && !matches!(to, DeploymentState::Offered | DeploymentState::Downloading)
    {
        let end = if has_downloaded(to) { LinkEnd::Consumed } else { LinkEnd::Revoked };
        ended = links::end(tx, from, link, end, at)?;
    }
    let set = match to {
        DeploymentState::Queued | DeploymentState::Offered | DeploymentState::Downloading => "",
        DeploymentState::Rebooting | DeploymentState::Confirming if from.state.past_recall() => "",
        DeploymentState::Downloaded => ", link = NULL, unlinked_at = NULL",
        DeploymentState::Installing | DeploymentState::Rebooting | DeploymentState::Confirming => {
            ", link = NULL, unlinked_at = NULL, ticket_end = NULL"
        }
        DeploymentState::Failed | DeploymentState::TimedOut | DeploymentState::RolledBack => {
            ", code = ?4, open = NULL, redo = attempts, deadline_at = NULL, ready_at = NULL,
               ticket_end = NULL, link = NULL, unlinked_at = NULL"
        }
        DeploymentState::Succeeded
        | DeploymentState::Rejected
        | DeploymentState::Canceled
        | DeploymentState::Skipped => {
            ", code = ?4, open = NULL, redo = NULL, deadline_at = NULL, ready_at = NULL, ticket_end = NULL,
               link = NULL, unlinked_at = NULL"
        }
    };
    let sql = format!("UPDATE deployment SET state = ?2, changed_at = ?3{set} WHERE n = ?1");
    if to.ended() {
        tx.run(&sql, params![from.n, to.as_str(), secs(at), reason.code])?;
    } else {
        tx.run(&sql, params![from.n, to.as_str(), secs(at)])?;
    }
    write_down(tx, from, to, at, reason)?;
    Ok(ended)
}

/// Queues an ended or offered deployment again, with the ticket that it has; whether it could be: its
/// device may be held by another one by now.
pub(super) fn requeue(tx: &mut Tx<'_>, from: &Standing, at: UnixTime) -> Result<bool> {
    if !from.served {
        return Ok(false);
    }
    if from.state.ended() {
        let held = tx.one(
            "SELECT 1 FROM deployment p JOIN deployment o INDEXED BY deployment_open
                ON o.device = p.device AND o.component = p.component AND o.open = 1
             WHERE p.n = ?",
            [from.n],
            |_| Ok(()),
        )?;
        if held.is_some() {
            return Ok(false);
        }
    }
    if let Some(link) = from.link {
        links::end(tx, from, link, LinkEnd::Revoked, at)?;
    }
    tx.run(
        "UPDATE deployment SET state = 'queued', changed_at = ?2, open = 1, redo = NULL, code = NULL, bytes = 0,
            deadline_at = NULL, link = NULL, unlinked_at = NULL,
            ready_at = (SELECT not_before FROM ticket WHERE deployment = ?1 AND action <> 'hold'),
            ticket_end = coalesce((SELECT not_after FROM ticket WHERE deployment = ?1), 0)
         WHERE n = ?1",
        params![from.n, secs(at)],
    )?;
    write_down(tx, from, DeploymentState::Queued, at, &Reason::default())?;
    Ok(true)
}

/// Cancels a deployment where it can still be recalled; whether it was.
pub(super) fn recall(tx: &mut Tx<'_>, from: &Standing, at: UnixTime, into: &mut Recalled) -> Result<bool> {
    if from.state == DeploymentState::Canceled || from.state.decided(DeploymentState::Canceled).is_err() {
        return Ok(false);
    }
    into.links.extend(advance(tx, from, DeploymentState::Canceled, at, &Reason::default())?);
    into.canceled += 1;
    Ok(true)
}

/// Cancels a device's deployments where they can still be recalled.
pub(super) fn recall_device(tx: &mut Tx<'_>, device: i64, at: UnixTime) -> Result<Recalled> {
    let mut recalled = Recalled::default();
    for from in open_of_device(tx, device)? {
        recall(tx, &from, at, &mut recalled)?;
    }
    Ok(recalled)
}

/// Drops tickets and links that were made for keys that a device no longer has.
pub(super) fn drop_tickets(tx: &mut Tx<'_>, device: i64, at: UnixTime) -> Result<()> {
    for from in open_of_device(tx, device)? {
        if from.state.past_recall() {
            continue;
        }
        if let Some(link) = from.link {
            links::end(tx, &from, link, LinkEnd::Revoked, at)?;
        }
        tx.run("DELETE FROM ticket WHERE deployment = ?", [from.n])?;
        tx.run(
            "UPDATE deployment SET ready_at = NULL, ticket_end = 0, link = NULL, unlinked_at = NULL WHERE n = ?",
            [from.n],
        )?;
    }
    Ok(())
}

/// The timeline's line of a step.
pub(super) fn write_down(
    tx: &Tx<'_>,
    from: &Standing,
    to: DeploymentState,
    at: UnixTime,
    reason: &Reason<'_>,
) -> Result<()> {
    let line = journal::Line {
        device: Some(from.device),
        rollout: Some(from.rollout),
        deployment: Some(from.n),
        detail: reason.detail,
        raw: reason.raw,
    };
    journal::append(tx, event_kind(to), at, &line)
}

fn open_of_device(tx: &Tx<'_>, device: i64) -> Result<Vec<Standing>> {
    tx.all(&format!("{STANDING} WHERE p.device = ? AND p.open = 1 ORDER BY p.n"), [device], standing)
}

/// Whether a device in this state has, or had, the whole download.
const fn has_downloaded(state: DeploymentState) -> bool {
    match state {
        DeploymentState::Downloaded
        | DeploymentState::Installing
        | DeploymentState::Rebooting
        | DeploymentState::Confirming
        | DeploymentState::Succeeded
        | DeploymentState::RolledBack => true,
        DeploymentState::Queued
        | DeploymentState::Offered
        | DeploymentState::Downloading
        | DeploymentState::Failed
        | DeploymentState::TimedOut
        | DeploymentState::Rejected
        | DeploymentState::Canceled
        | DeploymentState::Skipped => false,
    }
}

const fn event_kind(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Queued => "deployment_queued",
        DeploymentState::Offered => "deployment_offered",
        DeploymentState::Downloading => "deployment_downloading",
        DeploymentState::Downloaded => "deployment_downloaded",
        DeploymentState::Installing => "deployment_installing",
        DeploymentState::Rebooting => "deployment_rebooting",
        DeploymentState::Confirming => "deployment_confirming",
        DeploymentState::Succeeded => "deployment_succeeded",
        DeploymentState::Failed => "deployment_failed",
        DeploymentState::TimedOut => "deployment_timed_out",
        DeploymentState::Rejected => "deployment_rejected",
        DeploymentState::Canceled => "deployment_canceled",
        DeploymentState::RolledBack => "deployment_rolled_back",
        DeploymentState::Skipped => "deployment_skipped",
    }
}

pub(super) fn standing(row: &Row<'_>) -> Result<Standing> {
    Ok(Standing {
        n: row.get(0)?,
        id: blob(row, 1)?,
        rollout: row.get(2)?,
        device: row.get(3)?,
        device_id: blob(row, 4)?,
        state: word(row, 5, &DeploymentState::ALL, DeploymentState::as_str)?,
        attempts: uint(row, 6)?,
        link: maybe(row, 7, blob)?,
        ready: maybe(row, 8, time)?.zip(maybe(row, 9, time)?),
        served: row.get(10)?,
    })
}
