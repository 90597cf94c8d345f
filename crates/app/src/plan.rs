//! Planning a rollout: who takes part is decided here, from what this desktop verified itself, never from
//! what the backend would like.

use std::{collections::BTreeMap, sync::Arc};

use envelope::{
    Identity, KemPublicKey, Proof, PublicKey, RevocationList, SealedArtifact, Verified,
    otap::Header,
    sha256,
    tuf::{TargetCustom, TargetsView},
};
use model::{
    ArtifactId, Component, DeviceId, Digest, HardwareRevision, Phase, Policy, RolloutId, TargetName, UnixTime,
};
use protocol::{
    ErrorCode,
    operator::{
        DeploymentRow, DeviceDetail, DeviceRow, DeviceState, Page, ReleaseDetail, RolloutRow,
        SealedArtifactRow, path,
    },
};

use crate::{
    App, Error,
    desk::Session,
    device::Query,
    dto::{Exclusion, ExclusionReason, ListDevices, PassFirst, PlanRollout, RolloutPlan, Size},
    error::chain,
    pages::Cursor,
    trust::Trust,
};

/// How many devices one page asks for.
const PAGE: u32 = 500;
/// How many excluded devices a plan names.
const EXAMPLES: usize = 3;

/// A plan with what is needed to carry it out.
pub(crate) struct Planned {
    pub(crate) plan: RolloutPlan,
    pub(crate) target: PlannedTarget,
    pub(crate) devices: Vec<Eligible>,
}

/// The devices that take no part, by reason.
pub(crate) type Excluded = BTreeMap<Why, Vec<DeviceId>>;

/// Why a device takes no part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Why {
    pub(crate) reason: ExclusionReason,
    pub(crate) first: Option<PassFirst>,
}

impl From<ExclusionReason> for Why {
    fn from(reason: ExclusionReason) -> Self {
        Self { reason, first: None }
    }
}

/// What is installed, verified.
#[derive(Clone)]
pub(crate) struct PlannedTarget {
    pub(crate) name: TargetName,
    pub(crate) length: u64,
    pub(crate) digest: Digest,
    pub(crate) custom: TargetCustom,
    pub(crate) artifact: ArtifactId,
    pub(crate) record: Arc<Verified<SealedArtifact>>,
    pub(crate) ciphertext_bytes: u64,
    pub(crate) targets_version: u64,
    pub(crate) targets_expire: UnixTime,
}

/// A device that takes part, with the keys that its certificate names.
#[derive(Clone)]
pub(crate) struct Eligible {
    pub(crate) device: DeviceId,
    pub(crate) identity: Identity,
    pub(crate) kem: KemPublicKey,
    pub(crate) hardware_revision: HardwareRevision,
    /// The last sequence number that the device is said to have reported.
    pub(crate) seq: u64,
}

impl App {
    /// What a rollout would do.
    pub(crate) async fn plan(&self, request: &PlanRollout) -> Result<Planned, Error> {
        let session = self.session().await?;
        let trust = self.trust().await?;
        let release: ReleaseDetail = session.client.get(&path::release(request.release)).await?;
        let target = self.planned_target(&trust, &release, request.target.as_ref(), None)?;
        let revoked = self.revoked(&trust).await?;
        let (devices, mut excluded) =
            self.eligible(&request.devices, &target, revoked.as_deref(), &trust.targets).await?;
        let busy = self.busy(&target.custom.component).await?;
        let (devices, taken): (Vec<_>, Vec<_>) =
            devices.into_iter().partition(|device| !busy.contains_key(&device.device));
        if !taken.is_empty() {
            let taken = taken.iter().map(|device| device.device);
            excluded.entry(ExclusionReason::InOtherRollout.into()).or_default().extend(taken);
        }
        let phases = phases(request, u32::try_from(devices.len()).unwrap_or(u32::MAX))
            .map_err(|error| none_left(error, &excluded, &busy))?;
        let policy = Policy {
            phases,
            failure: request.failure,
            device_timeout: request.device_timeout,
            retries: request.retries,
            rate: request.rate,
            window: request.window,
            link_life: request.link_life,
        };
        policy.check().map_err(|source| {
            Error::because(ErrorCode::InvalidPolicy, "no rollout can follow this policy", source)
        })?;
        let taken = policy.devices() as usize;
        if taken < devices.len() {
            excluded
                .entry(ExclusionReason::BeyondPhases.into())
                .or_default()
                .extend(devices[taken..].iter().map(|device| device.device));
        }
        let devices: Vec<_> = devices.into_iter().take(taken).collect();
        let not_before = policy.earliest(request.start_at.unwrap_or_else(|| self.now()));
        let mut plan = RolloutPlan {
            target: target.name.clone(),
            component: target.custom.component.clone(),
            version: target.custom.version.clone(),
            devices: u32::try_from(devices.len()).unwrap_or(u32::MAX),
            excluded: exclusions(excluded),
            traffic_bytes: target.ciphertext_bytes.saturating_mul(devices.len() as u64),
            policy,
            not_before,
            token: String::new(),
        };
        plan.token = token(request, &plan, &devices);
        Ok(Planned { plan, target, devices })
    }

    /// The devices that are part of an open rollout of this component, and of which. No device is in two.
    async fn busy(&self, component: &Component) -> Result<BTreeMap<DeviceId, RolloutId>, Error> {
        let rollouts: Vec<RolloutRow> = self.all_pages(path::ROLLOUTS).await?;
        let mut busy = BTreeMap::new();
        for rollout in rollouts.iter().filter(|row| !row.state.ended() && row.component == *component) {
            let deployments: Vec<DeploymentRow> = self.all_pages(&path::deployments(rollout.id)).await?;
            let open = deployments.iter().filter(|deployment| !deployment.state.ended());
            busy.extend(open.map(|deployment| (deployment.device, rollout.id)));
        }
        Ok(busy)
    }

    /// The release's artifact as the threshold signed it, and a sealed-artifact record for it that a
    /// trusted key signed: the newest, or the one that a rollout serves already.
    pub(crate) fn planned_target(
        &self,
        trust: &Trust,
        release: &ReleaseDetail,
        target: Option<&TargetName>,
        sealed_as: Option<ArtifactId>,
    ) -> Result<PlannedTarget, Error> {
        let artifact = match (target, release.artifacts.as_slice()) {
            (None, [artifact]) => Some(artifact),
            (None, _) => None,
            (Some(target), artifacts) => artifacts.iter().find(|artifact| artifact.target == *target),
        };
        let Some(artifact) = artifact else {
            let names: Vec<_> = release.artifacts.iter().map(|artifact| artifact.target.as_str()).collect();
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                "say which artifact of the release this brings",
            )
            .detail(format!("it has {}", names.join(", ")))
            .hint("name it with --target"));
        };
        let missing = || {
            Error::new(ErrorCode::PreconditionFailed, format!("{} is not published", artifact.target))
                .hint("sign it, then publish it with `fleetseal release publish`")
        };
        let info = trust.targets.target(&artifact.target).ok_or_else(missing)?;
        let custom =
            info.custom().filter(|custom| custom.release == release.row.id).ok_or_else(missing)?.clone();
        let now = self.now();
        let mut refused = None;
        let wanted = |sealed: &&SealedArtifactRow| sealed_as.is_none_or(|id| sealed.id == id);
        let found = release.sealed.iter().filter(wanted).find_map(|sealed| {
            match SealedArtifact::verify(&sealed.record, &custom.model, &trust.keys, now) {
                Ok(record) if record.artifact == *info.sha256() => Some((sealed, record)),
                Ok(_) => None,
                Err(error) => {
                    refused = Some(error);
                    None
                }
            }
        });
        let Some((sealed, record)) = found else {
            let error = match sealed_as {
                None => Error::new(ErrorCode::PreconditionFailed, "the release is not sealed")
                    .hint("seal it with `fleetseal release seal`"),
                Some(_) => Error::new(
                    ErrorCode::PreconditionFailed,
                    "what this rollout serves is sealed to a key that is trusted no more",
                )
                .hint("abort it, seal the release again, then start a rollout for the devices that are left"),
            };
            return Err(match refused {
                Some(source) => error.detail(chain(&source)),
                None => error,
            });
        };
        let ciphertext_bytes = Header::parse(&record.header)
            .map_err(|source| Error::because(ErrorCode::InvalidObject, "the sealed record is wrong", source))?
            .layout()
            .ciphertext_len();
        Ok(PlannedTarget {
            name: artifact.target.clone(),
            length: info.length(),
            digest: *info.sha256(),
            custom,
            artifact: sealed.id,
            record: Arc::new(record),
            ciphertext_bytes,
            targets_version: trust.targets.targets_version(),
            targets_expire: trust.targets.targets_expire(),
        })
    }

    /// The devices that may take part, and those that may not, by reason; `only` these, or all of the
    /// release's model.
    pub(crate) async fn eligible(
        &self,
        only: &[DeviceId],
        target: &PlannedTarget,
        revoked: Option<&RevocationList>,
        targets: &TargetsView,
    ) -> Result<(Vec<Eligible>, Excluded), Error> {
        let session = self.session().await?;
        let mut eligible = Vec::new();
        let mut excluded = Excluded::new();
        let mut list = ListDevices::default();
        list.filter.model = Some(target.custom.model.clone());
        list.page.limit = Some(PAGE);
        let mut cursor = Cursor::default();
        loop {
            list.page.after = cursor.after();
            let page: Page<DeviceRow> =
                session.client.query(path::DEVICES, &Query::from(list.clone())).await?;
            for row in page.rows {
                if !only.is_empty() && !only.contains(&row.id) {
                    continue;
                }
                match self.judge(&row, target, targets).await? {
                    // Whatever the backend's own record says by now.
                    Ok(device) if revoked.is_some_and(|list| list.revokes(&device.identity.spki)) => {
                        excluded.entry(ExclusionReason::NotActive.into()).or_default().push(row.id);
                    }
                    Ok(device) => eligible.push(device),
                    Err(reason) => excluded.entry(reason).or_default().push(row.id),
                }
            }
            if !cursor.advance(page.next)? {
                return Ok((eligible, excluded));
            }
        }
    }

    async fn judge(
        &self,
        row: &DeviceRow,
        target: &PlannedTarget,
        targets: &TargetsView,
    ) -> Result<Result<Eligible, Why>, Error> {
        if row.state != DeviceState::Active {
            return Ok(Err(ExclusionReason::NotActive.into()));
        }
        let custom = &target.custom;
        if row.model != custom.model || !custom.hardware_revisions.contains(&row.hardware_revision) {
            return Ok(Err(ExclusionReason::Incompatible.into()));
        }
        let running = row.components.iter().find(|part| part.component == custom.component);
        if running.is_some_and(|part| part.version >= custom.version) {
            return Ok(Err(ExclusionReason::UpToDate.into()));
        }
        let (revision, version) = (&row.hardware_revision, running.map(|part| &part.version));
        let between = targets.must_pass(&custom.model, revision, &custom.component, version, &custom.version);
        if let Some(between) = between {
            let first = PassFirst { version: between.version.clone(), release: between.release };
            return Ok(Err(Why { reason: ExclusionReason::MustPassFirst, first: Some(first) }));
        }
        let session = self.session().await?;
        if self.unlocked().is_ok()
            && let Some(known) = self.recall(&session, row, &custom.component)?
        {
            return Ok(Ok(known));
        }
        let detail: DeviceDetail = session.client.get(&path::device(row.id)).await?;
        Ok(self.verify(row, &custom.component, &detail).await.map_err(Why::from))
    }

    /// A device whose possession of these very keys this desktop has seen proven. A renewed certificate
    /// over them must lead to the fleet's root as the first one did.
    fn recall(
        &self,
        session: &Session,
        row: &DeviceRow,
        component: &Component,
    ) -> Result<Option<Eligible>, Error> {
        let Some(known) = self.memory()?.recall(row.id)? else { return Ok(None) };
        let certificate = if known.certificate == sha256(&row.certificate) {
            pki::DeviceCertificate::parse(&row.certificate)?
        } else {
            match session.verify_device(&row.certificate) {
                Ok(certificate) => certificate,
                Err(_) => return Ok(None),
            }
        };
        let same_keys = known.spki == certificate.spki_digest()
            && known.kem == KemPublicKey(*certificate.kem_public()).id()
            && certificate.device_id() == row.id;
        let same_unit = known.model == row.model && known.hardware_revision == row.hardware_revision;
        Ok((same_keys && same_unit).then(|| eligible(row, &certificate, component)))
    }

    /// A device that another member enrolled: its certificate must lead to the fleet's root, and its
    /// proof of both keys must be signed by the key in it. A renewed certificate is as good as the one that
    /// was proven if it names the same two keys for the same device: it claims nothing that is new.
    pub(crate) async fn verify(
        &self,
        row: &DeviceRow,
        component: &Component,
        detail: &DeviceDetail,
    ) -> Result<Eligible, ExclusionReason> {
        let session = self.session().await.map_err(|_| ExclusionReason::Untrusted)?;
        let certificate = session.verify_device(&row.certificate).map_err(|_| ExclusionReason::Untrusted)?;
        if certificate.device_id() != row.id || *certificate.serial() != row.serial {
            return Err(ExclusionReason::Untrusted);
        }
        let proof = detail.proof.as_ref().ok_or(ExclusionReason::NotProven)?;
        let proven = if proof.certificate == row.certificate || proof.certificate.is_empty() {
            &row.certificate
        } else {
            // Renewed since: what was proven are these very keys, in a certificate of ours for this device.
            let earlier =
                session.verify_device(&proof.certificate).map_err(|_| ExclusionReason::Untrusted)?;
            let same = earlier.device_id() == row.id
                && earlier.spki_digest() == certificate.spki_digest()
                && earlier.kem_public() == certificate.kem_public();
            if !same {
                return Err(ExclusionReason::NotProven);
            }
            &proof.certificate
        };
        let key = PublicKey::P256(*certificate.certificate().key().sec1());
        Proof::verify_possession(&proof.proof, row.id, sha256(proven), &key)
            .map_err(|_| ExclusionReason::NotProven)?;
        Ok(eligible(row, &certificate, component))
    }
}

fn eligible(row: &DeviceRow, certificate: &pki::DeviceCertificate, component: &Component) -> Eligible {
    let kem = KemPublicKey(*certificate.kem_public());
    let running = row.components.iter().find(|part| part.component == *component);
    Eligible {
        device: row.id,
        identity: Identity { spki: certificate.spki_digest(), kem: kem.id() },
        kem,
        hardware_revision: row.hardware_revision.clone(),
        seq: running.map_or(0, |part| part.seq),
    }
}

fn exclusions(excluded: Excluded) -> Vec<Exclusion> {
    let exclusion = |(why, devices): (Why, Vec<DeviceId>)| Exclusion {
        reason: why.reason,
        count: u32::try_from(devices.len()).unwrap_or(u32::MAX),
        examples: devices.into_iter().take(EXAMPLES).collect(),
        first: why.first,
    };
    excluded.into_iter().map(exclusion).collect()
}

/// Why there is nobody to plan for, and what to do about it: a release that devices must pass is rolled out
/// first, and a rollout that they are part of ends first.
fn none_left(error: Error, excluded: &Excluded, busy: &BTreeMap<DeviceId, RolloutId>) -> Error {
    if excluded.is_empty() {
        return error;
    }
    let reasons: Vec<_> =
        excluded.iter().map(|(why, devices)| format!("{}: {}", devices.len(), why.reason.words())).collect();
    let error = error.detail(reasons.join("; "));
    if let Some(PassFirst { version, release }) = excluded.keys().find_map(|why| why.first.as_ref()) {
        return error
            .detail(format!("devices must install {version} first, which none may jump over"))
            .hint(format!("`fleetseal rollout start {release}`, and this one once they have confirmed it"));
    }
    let waiting = excluded.get(&ExclusionReason::InOtherRollout.into()).and_then(|devices| devices.first());
    match waiting.and_then(|device| busy.get(device)) {
        Some(rollout) => error.hint(format!(
            "wait for it with `fleetseal rollout watch {rollout}`, or end it with `fleetseal rollout abort {rollout}`"
        )),
        None => error,
    }
}

/// The phases in devices. Every phase has at least one; one for which none is left does not come about.
fn phases(request: &PlanRollout, eligible: u32) -> Result<Vec<Phase>, Error> {
    let mut left = eligible;
    let mut phases = Vec::new();
    for phase in &request.phases {
        let wanted = match phase.size {
            Size::Devices(count) => count,
            Size::Percent(share) => {
                let count = u64::from(eligible) * u64::from(share.get()) / 100;
                u32::try_from(count).unwrap_or(u32::MAX).max(1)
            }
            Size::Rest => left,
        };
        let devices = wanted.min(left);
        left -= devices;
        if devices > 0 {
            phases.push(Phase { devices, success: phase.success, soak: phase.soak, gate: phase.gate });
        }
    }
    if phases.is_empty() {
        return Err(Error::new(ErrorCode::PreconditionFailed, "no device can take part")
            .detail("no device of the release's model, or none of those that were named, is enrolled")
            .hint("see `fleetseal device list`, and what the release is for with `fleetseal release show`"));
    }
    Ok(phases)
}

/// Stands for a plan: the same request over the same devices in the same order.
/// Refuses a plan that is another one than was looked at.
pub(crate) fn expect_same_plan(now: &RolloutPlan, token: &str) -> Result<(), Error> {
    if now.token == token {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PreviewStale, "things have changed since the plan was shown")
        .detail(format!("it would now be {} devices", now.devices))
        .hint("look at the new plan, then decide again"))
}

fn token(request: &PlanRollout, plan: &RolloutPlan, devices: &[Eligible]) -> String {
    let ids: Vec<_> = devices.iter().map(|device| (device.device, device.identity.spki)).collect();
    let world = (request, &plan.target, &plan.policy, &plan.excluded, ids);
    sha256(&serde_json::to_vec(&world).unwrap_or_default()).to_string()
}
