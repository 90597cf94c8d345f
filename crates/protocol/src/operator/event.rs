use model::{DeploymentId, DeviceId, ReleaseId, RequestId, RolloutId, UnixTime};
use serde::{Deserialize, Serialize};

/// A line of the operators' event stream: something changed, fetch it anew.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Hint {
    /// The stream is open, or alive.
    Ping {
        /// The backend's clock.
        server_time: UnixTime,
    },
    /// A device.
    Device {
        /// Which.
        device: DeviceId,
    },
    /// A rollout or one of its deployments.
    Rollout {
        /// Which.
        rollout: RolloutId,
    },
    /// A release.
    Release {
        /// Which.
        release: ReleaseId,
    },
    /// A request for signatures.
    Request {
        /// Which.
        request: RequestId,
    },
    /// A CSR waits for a vault to decide.
    Enrolment,
    /// An alarm was raised.
    Alarm,
}

/// What somebody must look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// One key at two devices.
    KeySeen,
    /// An enrolment token was presented with another key than the one it is bound to.
    TokenReused,
    /// A device's counter forked.
    DeviceCloned,
    /// A device that was revoked came back.
    RevokedDevice,
    /// A device presented another's link.
    ForeignLink,
    /// The planner paused a rollout.
    RolloutPaused,
    /// Metadata lapses soon.
    MetadataExpiring,
    /// The disk is nearly or entirely full.
    Storage,
    /// A vault's log does not follow on what it was: it was cut or rewritten.
    LogForked,
    /// The backend was restored from a backup: its log is not the one that a vault cosigned.
    BackendRestored,
}

/// An alarm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AlarmRow {
    /// Its number, by which it is acknowledged.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub number: u64,
    /// What.
    pub kind: AlarmKind,
    /// Which device, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub device: Option<DeviceId>,
    /// For a person.
    pub detail: String,
    /// When first.
    pub at: UnixTime,
    /// How often since then.
    pub count: u32,
    /// Whether somebody looked at it.
    pub acknowledged: bool,
}

/// One thing that happened to a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct TimelineEntry {
    /// When, by the backend's clock.
    pub at: UnixTime,
    /// What: `enrolled`, `checked_in`, `offered`, `link_issued`, a deployment state, ...
    pub kind: String,
    /// In which deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub deployment: Option<DeploymentId>,
    /// For a person.
    pub detail: String,
}

/// One entry of the backend's audit trail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditRow {
    /// Its number, from 1.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub number: u64,
    /// When.
    pub at: UnixTime,
    /// Who.
    pub actor: String,
    /// Did what.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, as they said.
    pub reason: String,
}
