use model::{DeploymentId, DeviceId, RolloutId, SpkiDigest, UnixTime};

use crate::{Answer, Page, PageRequest};

/// What happened: one line of a timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Rises with every event of the store.
    pub seq: u64,
    /// When.
    pub at: UnixTime,
    /// What: `enrolled`, `offered`, `link_consumed`, `deployment_succeeded`, ...
    /// The store writes the kinds named in [`Event::KINDS`] by itself.
    pub kind: String,
    /// To which device.
    pub device: Option<DeviceId>,
    /// In which rollout.
    pub rollout: Option<RolloutId>,
    /// In which deployment.
    pub deployment: Option<DeploymentId>,
    /// More, as JSON.
    pub detail: Option<String>,
    /// The signed report that said so.
    pub raw: Option<Vec<u8>>,
}

/// An event to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEvent {
    /// When.
    pub at: UnixTime,
    /// What, in snake_case.
    pub kind: String,
    /// To which device; an unknown one is left out.
    pub device: Option<DeviceId>,
    /// In which rollout.
    pub rollout: Option<RolloutId>,
    /// In which deployment.
    pub deployment: Option<DeploymentId>,
    /// More, as JSON.
    pub detail: Option<String>,
    /// The signed report that said so.
    pub raw: Option<Vec<u8>>,
}

/// Whose events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeline {
    /// Everybody's.
    Fleet,
    /// One device's.
    Device(DeviceId),
    /// One rollout's.
    Rollout(RolloutId),
}

/// Something that a person must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alarm {
    /// Its number.
    pub seq: u64,
    /// What: [`Alarm::KEY_SEEN`], [`Alarm::CLONED`], [`Alarm::TOKEN_REUSED`] are raised by the store.
    pub kind: String,
    /// About which device.
    pub device: Option<DeviceId>,
    /// In words, or JSON.
    pub detail: String,
    /// When first.
    pub at: UnixTime,
    /// When last.
    pub last_at: UnixTime,
    /// How often.
    pub count: u32,
    /// Who looked at it, and when.
    pub acknowledged: Option<(SpkiDigest, UnixTime)>,
}

/// Timelines and alarms.
pub trait Journal {
    /// Appends events, in order.
    fn append_events(&self, events: Vec<NewEvent>) -> Answer<'_, ()>;

    /// Events, newest first.
    fn events(&self, whose: Timeline, page: PageRequest) -> Answer<'_, Page<Event>>;

    /// Raises an alarm. One of the same kind about the same device that nobody looked at yet is counted
    /// up instead.
    fn raise_alarm(
        &self,
        kind: String,
        device: Option<DeviceId>,
        detail: String,
        at: UnixTime,
    ) -> Answer<'_, ()>;

    /// Alarms, newest first; with `open_only`, those that nobody looked at.
    fn alarms(&self, open_only: bool, page: PageRequest) -> Answer<'_, Page<Alarm>>;

    /// Records who looked at an alarm. The first one stays.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn acknowledge_alarm(&self, seq: u64, by: SpkiDigest, at: UnixTime) -> Answer<'_, ()>;
}

impl Event {
    /// The kinds of event that the store writes by itself. To these come `deployment_` and a
    /// deployment's state on the wire, for each change of state.
    pub const KINDS: [&'static str; 12] = [
        "enrolled",
        "renewed",
        "rekeyed",
        "revoked",
        "retired",
        "replaced",
        "cloned",
        "clone_cleared",
        "link_reissued",
        "link_consumed",
        "link_revoked",
        "links_expired",
    ];
}

impl Alarm {
    /// One key was shown by two devices.
    pub const KEY_SEEN: &'static str = "key_seen";
    /// A device's counter forked.
    pub const CLONED: &'static str = "cloned";
    /// An enrolment token was shown with another key than the one it is bound to.
    pub const TOKEN_REUSED: &'static str = "token_reused";
}
