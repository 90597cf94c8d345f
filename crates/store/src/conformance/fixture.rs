use std::{fmt, sync::Arc};

use model::{
    ArtifactId, Component, DeploymentId, DeploymentState, DeviceId, Digest, FailureThreshold, Gate, LinkId,
    ModelName, Percent, Phase, Policy, ReleaseId, RolloutId, Seconds, Serial, SpkiDigest, StationName,
    UnixTime,
};

use super::Subject;
use crate::{
    Basis, Certificate, NewDeployment, NewRollout, Offer, Report, Reported, Reservation, Reserved,
    RolloutStep, SealedArtifact, Store, Ticket, TicketAction,
};

/// The beginning of every story.
pub(crate) const START: UnixTime = UnixTime::from_secs(1_790_000_000);
/// How long the ciphertext is.
pub(crate) const LENGTH: u64 = 100_000;

/// An empty store with a few words for the things that a story needs. Things are told apart by number.
pub struct Fleet {
    /// The store.
    pub store: Arc<dyn Store>,
    _subject: Subject,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Fleet {
    /// A fleet in this store.
    pub fn new(subject: Subject) -> Self {
        Self { store: Arc::clone(&subject.store), _subject: subject }
    }

    /// Enrols a device.
    pub async fn enrol(&self, n: u64) -> DeviceId {
        self.enrol_all([n]).await;
        device(n)
    }

    /// Enrols devices at once.
    pub async fn enrol_all(&self, numbers: impl IntoIterator<Item = u64>) {
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let granted = self.store.reserve(numbers.iter().copied().map(reservation).collect()).await.unwrap();
        assert!(granted.iter().all(|one| *one == Reserved::Granted), "{granted:?}");
        self.store.certify(numbers.into_iter().map(certificate).collect()).await.unwrap();
    }

    /// Puts the one sealed artifact and creates a rollout with phases of these sizes, started, with
    /// its first phase open.
    pub async fn start(&self, n: u64, phases: &[u32]) -> RolloutId {
        self.start_with(n, policy(phases)).await
    }

    /// The same with a policy.
    pub async fn start_with(&self, n: u64, policy: Policy) -> RolloutId {
        self.store.put_sealed(sealed(1)).await.unwrap();
        self.store.create_rollout(new_rollout(n, policy)).await.unwrap();
        self.store.step_rollout(rollout(n), RolloutStep::Start, START).await.unwrap();
        self.store.open_phase(rollout(n), 0, START).await.unwrap();
        rollout(n)
    }

    /// Adds a deployment with a ticket that is in force from the start.
    pub async fn deploy(&self, to: RolloutId, n: u64, phase: u32, device: DeviceId) -> DeploymentId {
        let new = NewDeployment {
            id: deployment(n),
            device,
            phase,
            artifact: ArtifactId::new([1; 16]),
            ticket: Some(ticket(1)),
        };
        let excluded = self.store.add_deployments(to, vec![new], false, START).await.unwrap();
        assert_eq!(excluded, []);
        deployment(n)
    }

    /// Enrols a device and adds a deployment for it, both with this number.
    pub async fn deploy_new(&self, to: RolloutId, n: u64, phase: u32) -> DeploymentId {
        let device = self.enrol(n).await;
        self.deploy(to, n, phase, device).await
    }

    /// Offers a deployment with a link; whether it was taken.
    pub async fn offer(&self, deployment: DeploymentId, link: LinkId, at: UnixTime) -> bool {
        let offers = vec![Offer { deployment, link, not_before: at }];
        self.store.offer(offers, at).await.unwrap() == [true]
    }

    /// Reissues; whether it was taken.
    pub async fn reissue(&self, deployment: DeploymentId, link: LinkId, at: UnixTime) -> bool {
        let offers = vec![Offer { deployment, link, not_before: at }];
        self.store.reissue(offers, at).await.unwrap() == [true]
    }

    /// A report of the device with the deployment's number.
    pub async fn report(&self, n: u64, state: DeploymentState, at: UnixTime) -> Reported {
        self.store.report(vec![report(n, state, at)]).await.unwrap()[0]
    }

    /// Where a deployment stands.
    pub async fn state(&self, deployment: DeploymentId) -> DeploymentState {
        self.store.deployment(deployment).await.unwrap().unwrap().deployment.state
    }

    /// Whether a link opens anything.
    pub async fn opens(&self, link: LinkId, at: UnixTime) -> bool {
        self.store.link(link, at).await.unwrap().is_some()
    }
}

/// An instant some seconds after the start.
pub(crate) fn at(secs: u64) -> UnixTime {
    START + Seconds(secs)
}

fn id(kind: u8, n: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

fn key(kind: u8, n: u64) -> [u8; 32] {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub(crate) fn device(n: u64) -> DeviceId {
    DeviceId::new(id(0xd, n))
}

pub(crate) fn rollout(n: u64) -> RolloutId {
    RolloutId::new(id(0x4, n))
}

pub(crate) fn deployment(n: u64) -> DeploymentId {
    DeploymentId::new(id(0xe, n))
}

pub(crate) fn spki(n: u64) -> SpkiDigest {
    SpkiDigest::new(key(0x5, n))
}

pub(crate) fn component() -> Component {
    "main".parse().unwrap()
}

pub(crate) fn model_name() -> ModelName {
    "GW-200".parse().unwrap()
}

pub(crate) fn serial(n: u64) -> Serial {
    format!("S{n:07}").parse().unwrap()
}

pub(crate) fn station() -> StationName {
    "line-1".parse().unwrap()
}

/// A link that lapses so many seconds after the start.
pub(crate) fn link(n: u64, expires: u64) -> LinkId {
    let mut bytes = *LinkId::floor(at(expires)).as_bytes();
    bytes[16..].copy_from_slice(&n.to_be_bytes());
    LinkId::new(bytes)
}

pub(crate) fn reservation(n: u64) -> Reservation {
    Reservation {
        basis: Basis::Enrol,
        device: device(n),
        serial: serial(n),
        model: model_name(),
        hardware_revision: "b".parse().unwrap(),
        station: station(),
        spki: spki(n),
        kem: key(0x6, n),
        certificate_serial: id(0xc, n),
        at: START,
    }
}

pub(crate) fn certificate(n: u64) -> Certificate {
    Certificate {
        device: device(n),
        serial: id(0xc, n),
        der: key(0x7, n).to_vec(),
        sha256: Digest::new(key(0x8, n)),
        at: START,
    }
}

pub(crate) fn sealed(n: u8) -> SealedArtifact {
    SealedArtifact {
        id: ArtifactId::new([n; 16]),
        artifact: Digest::new([0xa0; 32]),
        record: b"record".to_vec(),
        ciphertext: Digest::new([0xa1; 32]),
        length_bytes: LENGTH,
        segment_list: Digest::new([0xa2; 32]),
        segments: 1,
        at: START,
    }
}

pub(crate) fn policy(phases: &[u32]) -> Policy {
    let success = Percent::new(90).unwrap();
    let phase = |devices: &u32| Phase { devices: *devices, success, soak: Seconds(0), gate: Gate::Continue };
    Policy {
        phases: phases.iter().map(phase).collect(),
        failure: FailureThreshold { share: Percent::new(10).unwrap(), minimum_sample: 1 },
        device_timeout: Seconds::hours(1),
        retries: 1,
        rate: None,
        window: None,
        link_life: Seconds::minutes(10),
    }
}

pub(crate) fn new_rollout(n: u64, policy: Policy) -> NewRollout {
    NewRollout {
        id: rollout(n),
        release: ReleaseId::new([9; 16]),
        component: component(),
        name: format!("rollout {n}"),
        not_before: policy.earliest(START),
        policy,
        detail: "{}".into(),
        created_by: spki(0),
        at: START,
    }
}

pub(crate) fn ticket(seq: u64) -> Ticket {
    Ticket {
        label: b"label".to_vec(),
        sealed: b"ticket".to_vec(),
        action: TicketAction::Install,
        seq,
        not_before: START,
        not_after: START + Seconds::days(14),
    }
}

pub(crate) fn report(n: u64, state: DeploymentState, at: UnixTime) -> Report {
    Report {
        deployment: deployment(n),
        device: device(n),
        state,
        at,
        code: state.counts_as_failure().then(|| "checksum".into()),
        detail: None,
        raw: b"signed report".to_vec(),
        bytes: None,
    }
}
