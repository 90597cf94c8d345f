use model::{
    ArtifactId, Deployment, DeploymentId, DeploymentState, DeviceId, Digest, KemKeyId, LinkId, RolloutId,
    Serial, SpkiDigest, UnixTime,
};

use crate::{Answer, EndedLink, Page, PageRequest};

/// A deployment to add to a rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeployment {
    /// The deployment.
    pub id: DeploymentId,
    /// Who executes it.
    pub device: DeviceId,
    /// Its phase, counted from 0.
    pub phase: u32,
    /// What its links lead to.
    pub artifact: ArtifactId,
    /// Its ticket, if it is signed already.
    pub ticket: Option<Ticket>,
}

/// What a ticket tells the device to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TicketAction {
    /// Install what is newer.
    Install,
    /// Stop what was delivered, before pass two.
    Hold,
    /// Install even what is equal.
    Reinstall,
}

/// A signed and sealed ticket beside its clear label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The signed `fleetseal-label/1`.
    pub label: Vec<u8>,
    /// The sealed `fleetseal-ticket/1`.
    pub sealed: Vec<u8>,
    /// What it tells the device to do. A deployment with a hold is never ready.
    pub action: TicketAction,
    /// Its sequence number.
    pub seq: u64,
    /// Its earliest time.
    pub not_before: UnixTime,
    /// When it lapses.
    pub not_after: UnixTime,
}

/// Why a device was not taken into a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exclusion {
    /// It has an open deployment of the same component in this rollout.
    Held {
        /// The rollout.
        by: RolloutId,
    },
    /// There is no such active device.
    NotActive,
}

/// What became of a ticket that was handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TicketTaken {
    /// It replaced what was there.
    Taken,
    /// A ticket with this sequence number, or a higher one, is there.
    Older,
    /// The deployment has ended or is past recall: nothing replaces its ticket.
    Closed,
    /// There is no such deployment.
    Unknown,
}

/// Everything that it takes to bring an open deployment to its device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The deployment.
    pub deployment: Deployment,
    /// The device's identity key, to which the link is bound.
    pub spki: SpkiDigest,
    /// The device's KEM key, to which it is sealed.
    pub kem: [u8; 32],
    /// How sealed objects name that key.
    pub kem_id: KemKeyId,
    /// What the link leads to.
    pub artifact: ArtifactId,
    /// SHA-256 of the ciphertext.
    pub ciphertext: Digest,
    /// Length of the ciphertext.
    pub length_bytes: u64,
    /// SHA-256 of the segment list.
    pub segment_list: Digest,
    /// How many segments.
    pub segments: u32,
    /// Its ticket, if it has one.
    pub ticket: Option<Ticket>,
    /// Its link, if one is open, with the link's `not_before`.
    pub link: Option<(LinkId, UnixTime)>,
}

/// A link that was made for a deployment. It expires when its id says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its new link.
    pub link: LinkId,
    /// The link's earliest time.
    pub not_before: UnixTime,
}

/// What a device reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// About which deployment.
    pub deployment: DeploymentId,
    /// Who reported. It must be the deployment's device.
    pub device: DeviceId,
    /// Where it stands.
    pub state: DeploymentState,
    /// When, by the server's clock.
    pub at: UnixTime,
    /// The cause of a failure, as a closed word.
    pub code: Option<String>,
    /// More, as JSON.
    pub detail: Option<String>,
    /// The signed report.
    pub raw: Vec<u8>,
    /// How many bytes the device has.
    pub bytes: Option<u64>,
}

/// What became of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reported {
    /// The deployment moved.
    Changed {
        /// From here ...
        from: DeploymentState,
        /// ... to here.
        to: DeploymentState,
    },
    /// A repeat, or a late one: nothing moved.
    Unchanged {
        /// Where the deployment stands.
        state: DeploymentState,
    },
    /// The deployment cannot go there.
    Refused {
        /// Where it stands.
        state: DeploymentState,
    },
    /// The device has no such deployment.
    Unknown,
}

/// A deployment that ran out of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimedOut {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its device.
    pub device: DeviceId,
    /// Its rollout.
    pub rollout: RolloutId,
}

/// What canceling ended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Canceled {
    /// Deployments that were canceled, with their devices.
    pub deployments: Vec<(DeploymentId, DeviceId)>,
    /// Links that were revoked with them.
    pub links: Vec<EndedLink>,
    /// Deployments that are past recall: their devices are installing, and will report.
    pub past_recall: u32,
}

/// A deployment in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentRow {
    /// The deployment.
    pub deployment: Deployment,
    /// Its device's serial.
    pub serial: Serial,
    /// What its links lead to.
    pub artifact: ArtifactId,
    /// The cause of its last failure.
    pub code: Option<String>,
    /// Bytes that the device said it has.
    pub bytes: u64,
    /// When it was last offered.
    pub offered_at: Option<UnixTime>,
    /// When it runs out of time, while it is in progress.
    pub deadline_at: Option<UnixTime>,
    /// Sequence number and end of its ticket, if it has one.
    pub ticket: Option<(u64, UnixTime)>,
    /// The label of its last ticket that installs, also where a hold followed.
    pub installs: Option<Vec<u8>>,
}

/// Which deployments. Every part that is given must hold; `rollout` or `device` must be given.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeploymentFilter {
    /// Of this rollout.
    pub rollout: Option<RolloutId>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// In this phase.
    pub phase: Option<u32>,
    /// In this state.
    pub state: Option<DeploymentState>,
    /// That failed for this cause.
    pub code: Option<String>,
    /// Without a ticket that reaches beyond this instant: what a desktop has to sign.
    pub ticket_ends_before: Option<UnixTime>,
}

/// The deployments: one is open per device and component.
pub trait Deployments {
    /// Adds deployments to a rollout that has not ended, in order, and says which devices were left
    /// out and why. With `supersede`, another rollout's open deployment is canceled first, where it can
    /// still be recalled. A deployment that is there already is passed over.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound): the rollout, a phase or an artifact.
    /// [`Error::Illegal`](crate::Error::Illegal): the rollout has ended.
    fn add_deployments(
        &self,
        rollout: RolloutId,
        deployments: Vec<NewDeployment>,
        supersede: bool,
        at: UnixTime,
    ) -> Answer<'_, Vec<(DeviceId, Exclusion)>>;

    /// Puts tickets for open deployments, first ones and renewed ones.
    fn put_tickets(&self, tickets: Vec<(DeploymentId, Ticket)>, at: UnixTime)
    -> Answer<'_, Vec<TicketTaken>>;

    /// At most `limit` (and at most [`READY_MOST`](crate::READY_MOST)) queued deployments of a phase that
    /// could be offered now: they have a ticket in force, their device is active and holds no other
    /// deployment that is in progress.
    fn ready(&self, rollout: RolloutId, phase: u32, limit: u32, now: UnixTime) -> Answer<'_, Vec<Delivery>>;

    /// Offers: moves each deployment that is still queued in a running rollout to offered and issues
    /// its link, in one step. Which were taken.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): a link id is taken.
    fn offer(&self, offers: Vec<Offer>, at: UnixTime) -> Answer<'_, Vec<bool>>;

    /// Takes devices' reports, in order. A download that the device confirms consumes its link; an end
    /// revokes it. Repeating a report changes nothing.
    fn report(&self, reports: Vec<Report>) -> Answer<'_, Vec<Reported>>;

    /// Ends at most `limit` deployments whose time ran out.
    fn time_out(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<TimedOut>>;

    /// Queues again at most `limit` failed, timed out or rolled back deployments of a running rollout
    /// that its policy's retries still cover; how many.
    fn requeue(&self, rollout: RolloutId, limit: u32, at: UnixTime) -> Answer<'_, u32>;

    /// Queues again what a person picked, retries or not; which could be.
    fn retry(&self, deployments: Vec<DeploymentId>, at: UnixTime) -> Answer<'_, Vec<bool>>;

    /// Cancels at most `limit` deployments of a rollout that can still be recalled. Call it until it
    /// cancels none: what is past recall stays.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn cancel(&self, rollout: RolloutId, limit: u32, at: UnixTime) -> Answer<'_, Canceled>;

    /// Cancels these, where they can still be recalled.
    fn cancel_these(&self, deployments: Vec<DeploymentId>, at: UnixTime) -> Answer<'_, Canceled>;

    /// One deployment.
    fn deployment(&self, id: DeploymentId) -> Answer<'_, Option<DeploymentRow>>;

    /// Deployments: of a rollout in the order they were added, of a device newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid): neither rollout nor device is given.
    fn deployments(&self, filter: DeploymentFilter, page: PageRequest) -> Answer<'_, Page<DeploymentRow>>;

    /// Open deployments that were offered to this device: what it must get when it comes back. A link
    /// that has lapsed at `now` counts as none.
    fn open_deliveries(&self, device: DeviceId, now: UnixTime) -> Answer<'_, Vec<Delivery>>;

    /// The same for these deployments, as far as they are open and were offered.
    fn deliveries(&self, deployments: Vec<DeploymentId>, now: UnixTime) -> Answer<'_, Vec<Delivery>>;
}

impl TicketAction {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Install, Self::Hold, Self::Reinstall];

    /// The action as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Hold => "hold",
            Self::Reinstall => "reinstall",
        }
    }
}
