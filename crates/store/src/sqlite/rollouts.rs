use model::{
    Component, DeploymentState, DeviceId, Policy, RolloutId, RolloutState, Seconds, SpkiDigest, UnixTime,
    planner::{Counts, Observed, PauseCause, PhaseObserved},
};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    SqliteStore, Tx, delivery,
    sql::{Sql, blob, int, json, maybe, secs, text, time, to_json, uint, word},
};
use crate::{
    Answer, Error, FailureCluster, NewRollout, Page, PageRequest, Pause, Progress, Result, Rollout,
    RolloutPhase, RolloutStep, Rollouts,
};

const ROLLOUT: &str = "SELECT n, id, release, component, name, policy, detail, state, pause, created_by, \
                       created_at, changed_at FROM rollout";
const STATES: [RolloutState; 5] = [
    RolloutState::Planned,
    RolloutState::Running,
    RolloutState::Paused,
    RolloutState::Finished,
    RolloutState::Aborted,
];

/// A rollout as deployments see it.
pub(super) struct Standing {
    pub(super) n: i64,
    pub(super) state: RolloutState,
    pub(super) component: String,
    pub(super) phases: u32,
    pub(super) device_timeout: Seconds,
    pub(super) retries: u32,
}

const STANDING: &str = "SELECT n, state, component, policy FROM rollout";

pub(super) fn find(db: &impl Sql, id: &RolloutId) -> Result<Standing> {
    db.one(&format!("{STANDING} WHERE id = ?"), [id.as_bytes()], read_standing)?
        .ok_or(Error::NotFound { what: "rollout" })
}

pub(super) fn standing(db: &impl Sql, n: i64) -> Result<Standing> {
    db.one(&format!("{STANDING} WHERE n = ?"), [n], read_standing)?.ok_or(Error::NotFound { what: "rollout" })
}

/// How many deployments stand in each phase and state that has some.
pub(super) fn counts(db: &impl Sql, rollout: i64) -> Result<Vec<(u32, DeploymentState, u32)>> {
    db.all(
        "SELECT phase, state, count FROM deployment_count WHERE rollout = ? AND count > 0",
        [rollout],
        |row| {
            Ok((uint(row, 0)?, word(row, 1, &DeploymentState::ALL, DeploymentState::as_str)?, uint(row, 2)?))
        },
    )
}

impl Rollouts for SqliteStore {
    fn create_rollout(&self, new: NewRollout) -> Answer<'_, ()> {
        self.write(move |tx| {
            if new.not_before.len() != new.policy.phases.len() {
                return Err(Error::Invalid { what: "number of phases" });
            }
            if let Some(known) = load(tx, &new.id)? {
                let same = known.created_by == new.created_by
                    && known.created_at == new.at
                    && known.release == new.release
                    && known.policy == new.policy;
                return if same { Ok(()) } else { Err(Error::Conflict { what: "rollout id" }) };
            }
            tx.run(
                "INSERT INTO rollout (id, release, component, name, policy, detail, state, created_by,
                    created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'planned', ?7, ?8, ?8)",
                params![
                    new.id.as_bytes(),
                    new.release.as_bytes(),
                    new.component.as_str(),
                    new.name,
                    to_json(&new.policy)?,
                    new.detail,
                    new.created_by.as_bytes(),
                    secs(new.at),
                ],
            )?;
            let n = tx.connection().last_insert_rowid();
            for (phase, not_before) in (0_u32..).zip(&new.not_before) {
                tx.run(
                    "INSERT INTO rollout_phase (rollout, phase, not_before) VALUES (?, ?, ?)",
                    params![n, phase, secs(*not_before)],
                )?;
            }
            Ok(())
        })
    }

    fn rollout(&self, id: RolloutId) -> Answer<'_, Option<Rollout>> {
        self.read(move |db| load(db, &id))
    }

    fn rollouts(&self, state: Option<RolloutState>, page: PageRequest) -> Answer<'_, Page<Rollout>> {
        self.read(move |db| {
            let of_state = if state.is_some() { "state = ?3" } else { "?3 IS NULL" };
            let mut rows = db.all(
                &format!("{ROLLOUT} WHERE {of_state} AND n < ?1 ORDER BY n DESC LIMIT ?2"),
                params![page.number(i64::MAX)?, page.look(), state.map(RolloutState::as_str)],
                |row| Ok((row.get::<_, i64>(0)?, rollout(row)?)),
            )?;
            for (n, rollout) in &mut rows {
                rollout.phases = phases(db, *n)?;
            }
            Ok(page.page(rows))
        })
    }

    fn step_rollout(&self, id: RolloutId, step: RolloutStep, at: UnixTime) -> Answer<'_, RolloutState> {
        self.write(move |tx| {
            let from = find(tx, &id)?;
            let to = step.target();
            if from.state == to {
                return Ok(to);
            }
            let allowed = match step {
                RolloutStep::Start => from.state == RolloutState::Planned,
                RolloutStep::Pause(_) | RolloutStep::Finish => from.state == RolloutState::Running,
                RolloutStep::Resume => from.state == RolloutState::Paused,
                RolloutStep::Abort => !from.state.ended(),
            };
            if !allowed {
                return Err(Error::Illegal { what: "a rollout", from: from.state.as_str(), to: to.as_str() });
            }
            if matches!(step, RolloutStep::Resume) {
                resume(tx, &from, at)?;
            }
            let pause = match &step {
                RolloutStep::Pause(pause) => Some(to_json(&StoredPause::from(pause.clone()))?),
                RolloutStep::Start | RolloutStep::Resume | RolloutStep::Finish | RolloutStep::Abort => None,
            };
            tx.run(
                "UPDATE rollout SET state = ?, pause = ?, changed_at = ? WHERE n = ?",
                params![to.as_str(), pause, secs(at), from.n],
            )?;
            let line = super::journal::Line {
                rollout: Some(from.n),
                detail: pause.as_deref(),
                ..Default::default()
            };
            super::journal::append(tx, event_kind(to), at, &line)?;
            Ok(to)
        })
    }

    fn open_phase(&self, id: RolloutId, phase: u32, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| set_phase(tx, &id, phase, "opened_at = coalesce(opened_at, ?)", at))
    }

    fn open_gate(&self, id: RolloutId, phase: u32, at: UnixTime) -> Answer<'_, ()> {
        self.write(move |tx| set_phase(tx, &id, phase, "gate_opened_at = coalesce(gate_opened_at, ?)", at))
    }

    fn move_phases(&self, id: RolloutId, not_before: Vec<(u32, UnixTime)>) -> Answer<'_, ()> {
        self.write(move |tx| {
            not_before.iter().try_for_each(|(phase, at)| {
                set_phase(tx, &id, *phase, "not_before = iif(opened_at IS NULL, ?, not_before)", *at)
            })
        })
    }

    fn observe(&self, id: RolloutId, now: UnixTime) -> Answer<'_, Observed> {
        self.read(move |db| observe(db, &id, now))
    }

    fn failure_clusters(&self, id: RolloutId) -> Answer<'_, Vec<FailureCluster>> {
        self.read(move |db| {
            db.all(
                "SELECT code, count FROM failure_count
                 WHERE rollout = (SELECT n FROM rollout WHERE id = ?) AND count > 0 ORDER BY count DESC, code",
                [id.as_bytes()],
                |row| Ok(FailureCluster { code: row.get(0)?, count: uint(row, 1)? }),
            )
        })
    }

    fn progress(&self, id: RolloutId, since: UnixTime) -> Answer<'_, Vec<Progress>> {
        self.read(move |db| {
            db.all(
                "SELECT minute * 60, succeeded, failed FROM progress
                 WHERE rollout = (SELECT n FROM rollout WHERE id = ?) AND minute >= ? / 60 ORDER BY minute",
                params![id.as_bytes(), secs(since)],
                |row| Ok(Progress { at: time(row, 0)?, succeeded: uint(row, 1)?, failed: uint(row, 2)? }),
            )
        })
    }

    fn holder(&self, device: DeviceId, component: Component) -> Answer<'_, Option<RolloutId>> {
        self.read(move |db| {
            db.one(
                "SELECT r.id FROM device d
                    JOIN deployment p INDEXED BY deployment_open
                        ON p.device = d.n AND p.component = ?2 AND p.open = 1
                    JOIN rollout r ON r.n = p.rollout
                 WHERE d.id = ?1",
                params![device.as_bytes(), component.as_str()],
                |row| blob(row, 0),
            )
        })
    }
}

/// Forgives the failures so far, and has links made for those whose own lapsed during the pause.
fn resume(tx: &Tx<'_>, rollout: &Standing, at: UnixTime) -> Result<()> {
    let mut failures = vec![0_u32; rollout.phases as usize];
    for (phase, state, count) in counts(tx, rollout.n)? {
        if let Some(sum) = failures.get_mut(phase as usize).filter(|_| state.counts_as_failure()) {
            *sum = sum.saturating_add(count);
        }
        if matches!(state, DeploymentState::Offered | DeploymentState::Downloading) {
            tx.run(
                "UPDATE deployment INDEXED BY deployment_state SET unlinked_at = ?4
                 WHERE rollout = ?1 AND phase = ?2 AND state = ?3 AND (link IS NULL OR link < ?5)",
                params![
                    rollout.n,
                    phase,
                    state.as_str(),
                    secs(at),
                    model::LinkId::floor(at + Seconds(1)).as_bytes()
                ],
            )?;
        }
    }
    for (phase, forgiven) in (0_u32..).zip(failures) {
        tx.run(
            "UPDATE rollout_phase SET forgiven = ? WHERE rollout = ? AND phase = ?",
            params![forgiven, rollout.n, phase],
        )?;
    }
    Ok(())
}

fn observe(db: &Connection, id: &RolloutId, now: UnixTime) -> Result<Observed> {
    let of = load(db, id)?.ok_or(Error::NotFound { what: "rollout" })?;
    let Standing { n, .. } = find(db, id)?;
    let mut observed = Observed { state: of.state, phases: Vec::new(), offers_in_span: 0 };
    for (number, phase) in (0_u32..).zip(&of.phases) {
        let queued = phase.counts.get(DeploymentState::Queued) > 0;
        let ready = if of.state == RolloutState::Running && queued && phase.not_before <= now {
            delivery::count_ready(db, n, number, now)?
        } else {
            0
        };
        observed.phases.push(PhaseObserved {
            counts: phase.counts,
            opened_at: phase.opened_at,
            not_before: phase.not_before,
            ready,
            gate_opened: phase.gate_opened_at.is_some(),
            forgiven: phase.forgiven,
        });
    }
    if let Some(rate) = of.policy.rate {
        // An offer counts for the seconds [at, at + per).
        let since = int(now.as_secs().saturating_sub(rate.per.0), "span")?;
        let offers: Option<u64> = db.one(
            "SELECT coalesce(sum(count), 0) FROM offer_count WHERE rollout = ? AND at > ?",
            params![n, since],
            |row| uint(row, 0),
        )?;
        observed.offers_in_span = u32::try_from(offers.unwrap_or(0)).unwrap_or(u32::MAX);
    }
    Ok(observed)
}

fn set_phase(tx: &Tx<'_>, id: &RolloutId, phase: u32, set: &str, at: UnixTime) -> Result<()> {
    let found = tx.run(
        &format!(
            "UPDATE rollout_phase SET {set}
             WHERE rollout = (SELECT n FROM rollout WHERE id = ?) AND phase = ?"
        ),
        params![secs(at), id.as_bytes(), phase],
    )?;
    if found == 0 { Err(Error::NotFound { what: "phase" }) } else { Ok(()) }
}

fn load(db: &impl Sql, id: &RolloutId) -> Result<Option<Rollout>> {
    let found = db.one(&format!("{ROLLOUT} WHERE id = ?"), [id.as_bytes()], |row| {
        Ok((row.get::<_, i64>(0)?, rollout(row)?))
    })?;
    let Some((n, mut rollout)) = found else {
        return Ok(None);
    };
    rollout.phases = phases(db, n)?;
    Ok(Some(rollout))
}

fn phases(db: &impl Sql, n: i64) -> Result<Vec<RolloutPhase>> {
    let mut phases = db.all(
        "SELECT not_before, opened_at, gate_opened_at, forgiven FROM rollout_phase WHERE rollout = ?
         ORDER BY phase",
        [n],
        |row| {
            Ok(RolloutPhase {
                not_before: time(row, 0)?,
                opened_at: maybe(row, 1, time)?,
                gate_opened_at: maybe(row, 2, time)?,
                forgiven: uint(row, 3)?,
                counts: Counts::default(),
            })
        },
    )?;
    for (phase, state, count) in counts(db, n)? {
        if let Some(phase) = phases.get_mut(phase as usize) {
            phase.counts.add(state, count);
        }
    }
    Ok(phases)
}

fn rollout(row: &Row<'_>) -> Result<Rollout> {
    Ok(Rollout {
        id: blob(row, 1)?,
        release: blob(row, 2)?,
        component: text(row, 3)?,
        name: row.get(4)?,
        policy: json(row, 5)?,
        detail: row.get(6)?,
        state: word(row, 7, &STATES, RolloutState::as_str)?,
        pause: maybe(row, 8, json::<StoredPause>)?.map(Pause::from),
        phases: Vec::new(),
        created_by: blob(row, 9)?,
        created_at: time(row, 10)?,
        changed_at: time(row, 11)?,
    })
}

fn read_standing(row: &Row<'_>) -> Result<Standing> {
    let policy: Policy = json(row, 3)?;
    Ok(Standing {
        n: row.get(0)?,
        state: word(row, 1, &STATES, RolloutState::as_str)?,
        component: row.get(2)?,
        phases: u32::try_from(policy.phases.len()).unwrap_or(u32::MAX),
        device_timeout: policy.device_timeout,
        retries: policy.retries,
    })
}

/// A pause as it stands in its column.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredPause {
    Rule(PauseCause),
    Person { by: SpkiDigest, reason: String },
}

impl From<Pause> for StoredPause {
    fn from(pause: Pause) -> Self {
        match pause {
            Pause::Rule(cause) => Self::Rule(cause),
            Pause::Person { by, reason } => Self::Person { by, reason },
        }
    }
}

impl From<StoredPause> for Pause {
    fn from(pause: StoredPause) -> Self {
        match pause {
            StoredPause::Rule(cause) => Self::Rule(cause),
            StoredPause::Person { by, reason } => Self::Person { by, reason },
        }
    }
}

impl RolloutStep {
    const fn target(&self) -> RolloutState {
        match self {
            Self::Start | Self::Resume => RolloutState::Running,
            Self::Pause(_) => RolloutState::Paused,
            Self::Finish => RolloutState::Finished,
            Self::Abort => RolloutState::Aborted,
        }
    }
}

const fn event_kind(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Planned => "rollout_planned",
        RolloutState::Running => "rollout_running",
        RolloutState::Paused => "rollout_paused",
        RolloutState::Finished => "rollout_finished",
        RolloutState::Aborted => "rollout_aborted",
    }
}
