//! What the fleet, a rollout and a device are doing, and why not more.

use model::{DeploymentState, DeviceId, RolloutState};
use protocol::operator::{
    Connectivity, DeploymentRow, DeviceDetail, DeviceState, LinkRow, Page, PageRequest, RolloutDetail,
    TimelineEntry, path,
};

use crate::{
    App, Error,
    command::{
        DeviceTimeline, DeviceWhy, FleetOverview, Handle, LinkList, RolloutDeployments, RolloutProgress,
    },
    dto::{
        self, DeviceName, DeviceTimelineRequest, ListDeployments, ListLinks, NextGate, Nothing, Reason,
        ReasonCode, RolloutLive, RolloutName, Standing, Why,
    },
};

/// How far back a device's last failure is looked for, in entries of its timeline.
const LOOK_BACK: u32 = 50;

impl Handle<FleetOverview> for App {
    async fn handle(&self, _: Nothing) -> Result<dto::FleetOverview, Error> {
        self.session().await?.client.get(path::OVERVIEW).await
    }
}

impl Handle<RolloutProgress> for App {
    async fn handle(&self, request: RolloutName) -> Result<RolloutLive, Error> {
        let session = self.session().await?;
        let progress = session.client.get(&path::progress(request.rollout)).await?;
        let detail: RolloutDetail = session.client.get(&path::rollout(request.rollout)).await?;
        Ok(RolloutLive { progress, gate: next_gate(&detail) })
    }
}

impl Handle<DeviceWhy> for App {
    async fn handle(&self, request: DeviceName) -> Result<Why, Error> {
        let session = self.session().await?;
        let device: DeviceDetail = session.client.get(&path::device(request.device)).await?;
        let mut reasons = Vec::new();
        if device.row.state != DeviceState::Active {
            reasons.push((Standing::Blocked, Reason::of(ReasonCode::NotActive)));
        } else if device.proof.is_none() {
            reasons.push((Standing::Blocked, Reason::of(ReasonCode::NotProven)));
        }
        for (rollout, _) in &device.deployments {
            let detail: RolloutDetail = session.client.get(&path::rollout(*rollout)).await?;
            let list = ListDeployments {
                rollout: *rollout,
                state: None,
                device: Some(request.device),
                code: None,
                page: PageRequest::default(),
            };
            let rows = Handle::<RolloutDeployments>::handle(self, list).await?.rows;
            let Some(row) = rows.iter().find(|row| !row.state.ended()) else { continue };
            let links = ListLinks { device: Some(request.device), ..ListLinks::default() };
            let links: Page<LinkRow> = Handle::<LinkList>::handle(self, links).await?;
            let link = links.rows.into_iter().find(|link| link.deployment == row.id);
            let offline = device.row.connectivity == Connectivity::Offline;
            reasons.push(reason(&detail, row, offline, link.as_ref()));
        }
        if reasons.is_empty() {
            reasons.push(self.last_outcome(request.device).await?);
        }
        reasons.sort_by_key(|(standing, _)| std::cmp::Reverse(*standing as u8));
        Ok(Why {
            standing: reasons.first().map_or(Standing::Settled, |(standing, _)| *standing),
            reasons: reasons.into_iter().map(|(_, reason)| reason).collect(),
        })
    }
}

impl App {
    /// Whether a device with nothing open failed the last time.
    async fn last_outcome(&self, device: DeviceId) -> Result<(Standing, Reason), Error> {
        let page = PageRequest { after: None, limit: Some(LOOK_BACK) };
        let timeline: Page<TimelineEntry> =
            Handle::<DeviceTimeline>::handle(self, DeviceTimelineRequest { device, page }).await?;
        let state = |entry: &TimelineEntry| {
            let state = entry.kind.strip_prefix("deployment_")?;
            DeploymentState::ALL.into_iter().find(|known| known.as_str() == state && known.ended())
        };
        let last = timeline.rows.iter().find_map(|entry| Some((state(entry)?, entry)));
        Ok(match last {
            Some((state, entry)) if state.counts_as_failure() => {
                let detail = entry.detail.clone();
                let failed = Reason { deployment: Some(state), detail, ..Reason::of(ReasonCode::Failed) };
                (Standing::Blocked, failed)
            }
            Some(_) | None => (Standing::Settled, Reason::of(ReasonCode::NoRollout)),
        })
    }
}

impl Reason {
    fn of(code: ReasonCode) -> Self {
        Self { code, rollout: None, deployment: None, until: None, detail: String::new() }
    }
}

/// What holds one open deployment up.
fn reason(
    rollout: &RolloutDetail,
    row: &DeploymentRow,
    offline: bool,
    link: Option<&LinkRow>,
) -> (Standing, Reason) {
    use ReasonCode as Code;
    let now = rollout.server_time;
    let phase = rollout.phases.get(row.phase as usize);
    let opens = phase.filter(|phase| phase.opened_at.is_none()).map(|phase| phase.not_before);
    let window = rollout.policy.window.is_none_or(|window| window.open_at(now));
    let mut until = None;
    let (standing, code) = match (row.state, rollout.row.state) {
        (DeploymentState::Queued, RolloutState::Planned) => (Standing::Blocked, Code::NotStarted),
        (DeploymentState::Queued | DeploymentState::Offered, RolloutState::Paused) => {
            (Standing::Blocked, Code::Paused)
        }
        (DeploymentState::Queued, _) if opens.is_some() => {
            until = opens;
            (Standing::Waiting, Code::PhaseNotOpen)
        }
        (DeploymentState::Queued, _) if !window => (Standing::Waiting, Code::OutsideWindow),
        (_, _) if offline => (Standing::Blocked, Code::Offline),
        (DeploymentState::Queued, _) => (Standing::Waiting, Code::Queued),
        (DeploymentState::Offered | DeploymentState::Downloading, _) if link.is_none() => {
            (Standing::Waiting, Code::NoLink)
        }
        (DeploymentState::Offered, _) => {
            until = link.map(|link| link.expires_at);
            (Standing::Waiting, Code::Offered)
        }
        (_, _) => (Standing::Working, Code::AtWork),
    };
    let detail = row.code.clone().unwrap_or_default();
    let rollout = Some(rollout.row.id);
    (standing, Reason { code, rollout, deployment: Some(row.state), until, detail })
}

/// What it takes for the first phase that is not open, but for the first of all.
fn next_gate(detail: &RolloutDetail) -> Option<NextGate> {
    let next = detail.phases.iter().position(|phase| phase.opened_at.is_none())?;
    let before = next.checked_sub(1)?;
    let (rule, phase) = (detail.policy.phases.get(before)?, detail.phases.get(before)?);
    let signed = detail.phases[next].not_before;
    let canceled = |state| matches!(state, DeploymentState::Canceled | DeploymentState::Skipped);
    Some(NextGate {
        phase: u32::try_from(next).ok()?,
        success: rule.success,
        confirmed: phase.counts.get(DeploymentState::Succeeded),
        judged: phase.counts.of(|state| !canceled(state)),
        not_before: phase.opened_at.map(|opened| signed.max(opened + rule.soak)),
        gate: rule.gate,
    })
}
