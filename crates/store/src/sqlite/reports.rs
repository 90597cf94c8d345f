//! What devices report, and what their silence decides.

use model::{DeploymentState, UnixTime};
use rusqlite::params;

use super::{
    Tx,
    sql::{Sql, blob, int, secs},
    steps::{self, Reason},
};
use crate::{Report, Reported, Result, TimedOut};

pub(super) fn report(tx: &mut Tx<'_>, report: &Report) -> Result<Reported> {
    let standing = steps::find(tx, &report.deployment)?.filter(|found| found.device_id == report.device);
    let Some(from) = standing else {
        return Ok(Reported::Unknown);
    };
    let Ok(to) = from.state.reported(report.state) else {
        return Ok(Reported::Refused { state: from.state });
    };
    if let Some(bytes) = report.bytes {
        tx.run(
            "UPDATE deployment SET bytes = max(bytes, ?) WHERE n = ?",
            params![int(bytes, "length")?, from.n],
        )?;
    }
    if to == from.state {
        return Ok(Reported::Unchanged { state: to });
    }
    let detail = detail(report);
    let code = report.code.as_deref().filter(|_| to.counts_as_failure());
    let reason = Reason { code, detail: detail.as_deref(), raw: Some(&report.raw) };
    steps::advance(tx, &from, to, report.at, &reason)?;
    Ok(Reported::Changed { from: from.state, to })
}

/// Ends deployments whose time ran out.
pub(super) fn time_out(tx: &mut Tx<'_>, now: UnixTime, limit: u32) -> Result<Vec<TimedOut>> {
    let late = tx.all(
        "SELECT p.n, r.id FROM deployment p INDEXED BY deployment_deadline JOIN rollout r ON r.n = p.rollout
         WHERE p.deadline_at IS NOT NULL AND p.deadline_at <= ? ORDER BY p.deadline_at LIMIT ?",
        params![secs(now), limit],
        |row| Ok((row.get::<_, i64>(0)?, blob(row, 1)?)),
    )?;
    let mut timed_out = Vec::with_capacity(late.len());
    for (n, rollout) in late {
        let Some(from) = steps::by_number(tx, n)? else {
            continue;
        };
        if from.state.decided(DeploymentState::TimedOut).is_ok() {
            steps::advance(tx, &from, DeploymentState::TimedOut, now, &Reason::default())?;
            timed_out.push(TimedOut { deployment: from.id, device: from.device_id, rollout });
        }
    }
    Ok(timed_out)
}

/// The report's own detail with its cause and bytes, as JSON.
fn detail(report: &Report) -> Option<String> {
    if report.code.is_none() && report.detail.is_none() && report.bytes.is_none() {
        return None;
    }
    let detail = report
        .detail
        .as_ref()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone())));
    Some(serde_json::json!({ "code": report.code, "detail": detail, "bytes": report.bytes }).to_string())
}
