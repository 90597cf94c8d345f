use std::sync::Arc;

use model::{
    ArtifactId, DeploymentId, DeviceId, Digest, LinkEnd, LinkId, LinkState, RolloutId, Seconds, Serial,
    SpkiDigest, UnixTime,
};

use crate::{Answer, Delivery, Offer, Page, PageRequest};

/// An open download link. It yields nothing to anybody but the holder of [`Self::spki`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// The link. It lapses when its id says.
    pub id: LinkId,
    /// Whom it is for.
    pub device: DeviceId,
    /// The identity key that must be presented with it.
    pub spki: SpkiDigest,
    /// The deployment that it serves.
    pub deployment: DeploymentId,
    /// Its rollout.
    pub rollout: RolloutId,
    /// What it leads to.
    pub artifact: ArtifactId,
    /// SHA-256 of the ciphertext, its name among the blobs.
    pub ciphertext: Digest,
    /// Length of the ciphertext.
    pub length_bytes: u64,
    /// SHA-256 of the segment list, its name among the blobs.
    pub segment_list: Digest,
    /// How many segments.
    pub segments: u32,
    /// Its earliest time.
    pub not_before: UnixTime,
}

/// A link in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkRow {
    /// The link.
    pub link: Link,
    /// Its device's serial.
    pub serial: Serial,
    /// [`LinkState::Issued`] or [`LinkState::Active`].
    pub state: LinkState,
    /// How many different bytes were served for its deployment.
    pub served_bytes: u64,
    /// How often its deployment was offered.
    pub attempts: u32,
}

/// A link that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedLink {
    /// The link.
    pub link: LinkId,
    /// The deployment that it served.
    pub deployment: DeploymentId,
    /// Whom it was for.
    pub device: DeviceId,
    /// Why it is gone.
    pub end: LinkEnd,
}

/// Bytes that were served over a link on a direct connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServedRange {
    /// The link.
    pub link: LinkId,
    /// The first byte of the ciphertext.
    pub from: u64,
    /// The byte behind the last one.
    pub to: u64,
}

/// What serving bytes did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// The link goes on.
    Counted {
        /// How many different bytes were served for the deployment.
        bytes: u64,
    },
    /// That was the last byte: the link is gone. Answered once per link.
    Consumed,
    /// The link was gone before.
    Gone,
}

/// Which links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkChoice {
    /// These.
    These(Vec<LinkId>),
    /// A device's.
    Device(DeviceId),
    /// A rollout's.
    Rollout(RolloutId),
    /// All, as after a restored backup.
    All,
}

/// Which links, in a list. Every part that is given must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LinkFilter {
    /// Of this rollout.
    pub rollout: Option<RolloutId>,
    /// Of this device.
    pub device: Option<DeviceId>,
    /// Issued or active.
    pub state: Option<LinkState>,
    /// That lapse before this instant.
    pub expires_before: Option<UnixTime>,
    /// The last to lapse first.
    pub descending: bool,
}

/// What became of a link, as its counters and events still tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkFate {
    /// The download was complete.
    Consumed,
    /// Taken back.
    Revoked,
    /// A fresh one took its place, or that of one that lapsed before.
    Reissued,
    /// Not used in time, and removed by a sweep.
    Expired,
}

/// A line about links that are gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkEvent {
    /// What became of them.
    pub fate: LinkFate,
    /// When.
    pub at: UnixTime,
    /// How many: a sweep leaves one line for each rollout.
    pub count: u32,
    /// In which rollout.
    pub rollout: RolloutId,
    /// Whose it was; none of a sweep.
    pub device: Option<(DeviceId, Serial)>,
    /// When it was made, where that is on record.
    pub issued_at: Option<UnixTime>,
    /// When it would have lapsed, or did, where that is on record.
    pub expires_at: Option<UnixTime>,
    /// Length of the ciphertext that it led to.
    pub length_bytes: Option<u64>,
}

/// How many links there are and were.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkCounts {
    /// Open, no byte was fetched.
    pub issued: u64,
    /// Open, bytes were fetched.
    pub active: u64,
    /// Gone: the download was complete.
    pub consumed: u64,
    /// Gone: not used in time.
    pub expired: u64,
    /// Gone: taken back.
    pub revoked: u64,
    /// Of all that were made, those that followed another one in the same attempt.
    pub reissued: u64,
}

/// How long after the last byte was served a device may take to report the download, before its link
/// is remade.
pub const CONFIRM_WITHIN: Seconds = Seconds(60);

/// The download links. A link that is removed leaves counters and an event; it cannot be told from one
/// that never was.
pub trait Links {
    /// The link, unless it has ended, has lapsed at `now` or has yet to begin. Mostly from memory.
    fn link(&self, id: LinkId, now: UnixTime) -> Answer<'_, Option<Arc<Link>>>;

    /// Open links, soonest to lapse first unless the filter says otherwise.
    fn links(&self, filter: LinkFilter, now: UnixTime, page: PageRequest) -> Answer<'_, Page<LinkRow>>;

    /// What became of links, newest first: all of it, or one fate.
    fn link_events(&self, fate: Option<LinkFate>, page: PageRequest) -> Answer<'_, Page<LinkEvent>>;

    /// How many links, of one rollout or of all.
    fn link_counts(&self, rollout: Option<RolloutId>) -> Answer<'_, LinkCounts>;

    /// How many open links lapse before this instant, counted to `most` and no further.
    fn links_expiring(&self, before: UnixTime, now: UnixTime, most: u32) -> Answer<'_, u32>;

    /// Counts bytes as served, per deployment across reissued links. The first byte makes the link
    /// active, the last one consumes it.
    fn note_served(&self, ranges: Vec<ServedRange>, at: UnixTime) -> Answer<'_, Vec<Served>>;

    /// Redeems links: each is gone, durably, when this answers, and `true` is answered exactly once per
    /// link however many ask.
    fn consume(&self, links: Vec<LinkId>, at: UnixTime) -> Answer<'_, Vec<bool>>;

    /// Issues a further link to each deployment of a running rollout that is offered or downloading and
    /// has no open one at `at`. Which were taken.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): a link id is taken.
    fn reissue(&self, offers: Vec<Offer>, at: UnixTime) -> Answer<'_, Vec<bool>>;

    /// Takes at most `limit` deployments off the list of those that shall get another link by
    /// themselves: the last one was consumed [`CONFIRM_WITHIN`] ago without the device reporting the
    /// download, or lapsed while the rollout was paused and was not remade. An absent device gets its link
    /// when it comes back ([`Deployments::open_deliveries`](crate::Deployments::open_deliveries)).
    fn take_unlinked(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<Delivery>>;

    /// Removes at most `limit` links that lapsed at or before `now`. [`SWEEP_MOST`] keeps a sweep
    /// within 50 ms. One event per rollout and sweep is left.
    fn sweep(&self, now: UnixTime, limit: u32) -> Answer<'_, Vec<EndedLink>>;

    /// Takes links back.
    fn revoke_links(&self, which: LinkChoice, at: UnixTime) -> Answer<'_, Vec<EndedLink>>;
}

/// A good limit for [`Links::sweep`].
pub const SWEEP_MOST: u32 = 20_000;

impl LinkFate {
    /// Every fate.
    pub const ALL: [Self; 4] = [Self::Consumed, Self::Revoked, Self::Reissued, Self::Expired];

    /// The kind of the event that tells of it.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Consumed => "link_consumed",
            Self::Revoked => "link_revoked",
            Self::Reissued => "link_reissued",
            Self::Expired => "links_expired",
        }
    }
}
