//! Signing for a rollout that is under way: tickets anew, holds, and tickets for devices that joined since.
//! What these say follows from the tickets that people signed before, never from what the backend says of
//! the rollout: it cannot have another device, another release or an earlier time put into them.

use std::collections::{BTreeMap, BTreeSet};

use envelope::{Label, Verified};
use model::{DeploymentState, DeviceId, RolloutId, RolloutState, Seconds, UnixTime};
use protocol::{
    ErrorCode,
    operator::{
        DeviceDetail, Page, PageRequest, ReleaseDetail, RolloutDetail, RolloutStep, SignedDeployment, path,
    },
};

use crate::{
    App, Error,
    command::{Handle, RolloutShow},
    dto::{AddToRollout, Preview, RenewedTickets, RolloutName},
    pages::Cursor,
    plan::{Eligible, PlannedTarget},
    release::{effect, expect_same, preview},
    tickets::Order,
    trust::Trust,
};

/// How many rows one page asks for.
const PAGE: u32 = 500;
/// How long a ticket lives that is signed while a rollout is under way.
const LIFE: Seconds = Seconds::days(7);

/// A device's part in a rollout, and what was signed of it, if that can be verified.
struct Part {
    row: SignedDeployment,
    label: Option<Verified<Label>>,
}

/// The devices that joined since, and what they would be given.
struct Joining {
    target: PlannedTarget,
    devices: Vec<Eligible>,
    phase: u32,
    not_before: UnixTime,
    preview: Preview,
}

impl App {
    /// Signs tickets anew for every deployment that waits: for the device and keys, the release and no
    /// earlier than its last ticket said.
    pub(crate) async fn renew(&self, rollout: RolloutId) -> Result<RenewedTickets, Error> {
        let vault = self.unlocked()?;
        let trust = self.trust().await?;
        let detail = Handle::<RolloutShow>::handle(self, RolloutName { rollout }).await?;
        let target = self.served(&trust, &detail).await?;
        let key = self.content_key(&vault, &target)?;
        let revoked = self.revoked(&trust).await?;

        let now = self.now();
        let mut left_out = 0;
        let mut orders: BTreeMap<(u32, UnixTime), Vec<Eligible>> = BTreeMap::new();
        for part in self.parts(rollout, &trust).await? {
            if !matches!(part.row.state, DeploymentState::Queued | DeploymentState::Offered) {
                continue;
            }
            let label = part.label.filter(|label| brings(label, &target));
            let device = match &label {
                Some(label) => self.same_device(label).await?,
                None => None,
            };
            let device = device
                .filter(|device| !revoked.as_ref().is_some_and(|list| list.revokes(&device.identity.spki)));
            match device.zip(label) {
                Some((device, label)) => {
                    let seq = device.seq.max(label.seq);
                    let order = orders.entry((part.row.phase, label.not_before.max(now))).or_default();
                    order.push(Eligible { seq, ..device });
                }
                None => left_out += 1,
            }
        }
        let mut tickets = 0;
        for ((phase, not_before), devices) in orders {
            let times = self.times(not_before, LIFE, target.targets_expire)?;
            let component = target.custom.component.clone();
            let install = Some((target.clone(), key.clone()));
            let order = Order { rollout, phase, component, install, times, deputy: None };
            tickets += self.issue(&vault, order, &devices).await?;
        }
        Ok(RenewedTickets { tickets, left_out })
    }

    /// Signs a hold for every deployment that was offered and is not being installed. A hold says nothing of
    /// what it stops: that may be withdrawn, or sealed to keys trusted no more.
    pub(crate) async fn hold(&self, rollout: RolloutId) -> Result<RenewedTickets, Error> {
        let vault = self.unlocked()?;
        let detail = Handle::<RolloutShow>::handle(self, RolloutName { rollout }).await?;
        let session = self.session().await?;
        if detail.row.state == RolloutState::Running {
            let _: RolloutDetail = session.client.post(&path::step(rollout), &RolloutStep::Pause).await?;
        }
        let trust = self.trust().await?;
        let component = detail.row.component;
        let mut left_out = 0;
        let mut orders: BTreeMap<u32, Vec<Eligible>> = BTreeMap::new();
        for Part { row, .. } in self.parts(rollout, &trust).await? {
            if !row.state.in_progress() || row.state.past_recall() {
                continue;
            }
            let device: DeviceDetail = session.client.get(&path::device(row.device)).await?;
            match self.verify(&device.row, &component, &device).await {
                Ok(eligible) => orders.entry(row.phase).or_default().push(eligible),
                Err(_) => left_out += 1,
            }
        }
        let mut tickets = 0;
        for (phase, devices) in orders {
            let times = self.times(self.now(), LIFE, trust.targets.targets_expire())?;
            let order =
                Order { rollout, phase, component: component.clone(), install: None, times, deputy: None };
            tickets += self.issue(&vault, order, &devices).await?;
        }
        Ok(RenewedTickets { tickets, left_out })
    }

    /// Which devices joined since the rollout was planned, and would be given a ticket now.
    pub(crate) async fn preview_join(&self, request: &AddToRollout) -> Result<Preview, Error> {
        Ok(self.joining(request).await?.preview)
    }

    /// Signs tickets for devices that joined since the rollout was planned; they belong to its last phase.
    pub(crate) async fn join(&self, request: &AddToRollout, token: &str) -> Result<RenewedTickets, Error> {
        let vault = self.unlocked()?;
        let Joining { target, devices, phase, not_before, preview } = self.joining(request).await?;
        expect_same(&preview, token)?;
        let times = self.times(not_before, LIFE, target.targets_expire)?;
        let component = target.custom.component.clone();
        let key = self.content_key(&vault, &target)?;
        let install = Some((target, key));
        let order = Order { rollout: request.rollout, phase, component, install, times, deputy: None };
        let tickets = self.issue(&vault, order, &devices).await?;
        let asked = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        Ok(RenewedTickets { tickets, left_out: asked.saturating_sub(tickets) })
    }

    async fn joining(&self, request: &AddToRollout) -> Result<Joining, Error> {
        let rollout = request.rollout;
        let trust = self.trust().await?;
        let detail = Handle::<RolloutShow>::handle(self, RolloutName { rollout }).await?;
        if detail.row.state.ended() {
            let ended = format!("the rollout has ended: it is {}", detail.row.state.as_str());
            return Err(Error::new(ErrorCode::PreconditionFailed, ended).hint(
                "start another one: `fleetseal rollout start` finds the devices that lack the release",
            ));
        }
        let target = self.served(&trust, &detail).await?;
        let parts = self.parts(rollout, &trust).await?;
        let signed = parts.iter().filter_map(|part| part.label.as_ref());
        // No device starts before the last that people signed a time for.
        let Some(last) = signed.filter(|label| brings(label, &target)).map(|label| label.not_before).max()
        else {
            return Err(Error::new(
                ErrorCode::Untrusted,
                "nothing shows that people signed this rollout for this release",
            )
            .hint("abort it and start another one"));
        };
        let not_before = last.max(self.now());
        let revoked = self.revoked(&trust).await?;
        let (devices, _) =
            self.eligible(&request.devices, &target, revoked.as_deref(), &trust.targets).await?;
        let members: BTreeSet<DeviceId> = parts.iter().map(|part| part.row.device).collect();
        let devices: Vec<_> =
            devices.into_iter().filter(|device| !members.contains(&device.device)).collect();
        if devices.is_empty() {
            return Err(Error::new(
                ErrorCode::PreconditionFailed,
                "no device that could take part is missing from the rollout",
            )
            .hint("`fleetseal device why DEVICE` says what keeps one from it"));
        }
        let phase = u32::try_from(detail.phases.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let ids: Vec<_> = devices.iter().map(|device| (device.device, device.identity.spki)).collect();
        let mut summary = format!("add devices to the rollout of {}", target.name);
        if last > self.now() {
            summary += &format!(", not before {last}");
        }
        let preview = preview(
            summary,
            vec![effect("devices get a ticket, in the last phase", devices.len() as u64)],
            &(request, &target.name, target.digest, last, ids),
        );
        Ok(Joining { target, devices, phase, not_before, preview })
    }

    /// What the rollout serves: the ciphertext that it began with, also when that was sealed again since.
    async fn served(&self, trust: &Trust, detail: &RolloutDetail) -> Result<PlannedTarget, Error> {
        let session = self.session().await?;
        let release: ReleaseDetail = session.client.get(&path::release(detail.row.release)).await?;
        self.planned_target(trust, &release, Some(&detail.row.target), Some(detail.artifact))
    }

    /// All parts of a rollout; a label is kept if a key that is trusted signed it for that very device and
    /// rollout.
    async fn parts(&self, rollout: RolloutId, trust: &Trust) -> Result<Vec<Part>, Error> {
        let session = self.session().await?;
        let fleet = session.membership.fleet;
        let mut parts = Vec::new();
        let mut cursor = Cursor::default();
        loop {
            let request = PageRequest { after: cursor.after(), limit: Some(PAGE) };
            let page: Page<SignedDeployment> = session.client.query(&path::signed(rollout), &request).await?;
            for row in page.rows {
                let label = row.label.as_ref();
                let label = label.and_then(|label| Label::verify_any(label, &trust.keys, self.now()).ok());
                let label = label.filter(|label| {
                    label.fleet == fleet && label.rollout == rollout && label.device == row.device
                });
                parts.push(Part { row, label });
            }
            if !cursor.advance(page.next)? {
                return Ok(parts);
            }
        }
    }

    /// The device that a ticket was signed for, if its certificate still names the keys of that ticket.
    async fn same_device(&self, label: &Label) -> Result<Option<Eligible>, Error> {
        let session = self.session().await?;
        let device: DeviceDetail = session.client.get(&path::device(label.device)).await?;
        let eligible = self.verify(&device.row, &label.component, &device).await.ok();
        Ok(eligible.filter(|eligible| {
            eligible.device == label.device && label.identity.as_ref() == Some(&eligible.identity)
        }))
    }
}

/// Whether a ticket said to install this very target.
fn brings(label: &Label, target: &PlannedTarget) -> bool {
    label.component == target.custom.component
        && label.action.installation().is_some_and(|installation| {
            installation.target.name == target.name && installation.target.sha256 == target.digest
        })
}
