use model::{DeploymentId, DeviceId, Digest, FleetId, ReleaseId, RequestId, RolloutId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::Base64;

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

/// Where the backend's audit trail ends, signed, so that nobody cuts it short unnoticed: whoever keeps a
/// head sees whether a later one follows on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AuditHead {
    /// The number of the last entry; 0 if there is none.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub number: u64,
    /// Its hash, over the one before it and so over all of them.
    pub hash: Digest,
    /// When it was signed.
    pub at: UnixTime,
    /// Ed25519, 64 bytes, by the backend's audit key over [`AuditHead::signed_bytes`].
    pub signature: Base64,
}

impl AuditHead {
    /// What is signed: `fleetseal-audit-head/1`, a zero byte, the fleet (16 bytes), the number (8 bytes,
    /// big-endian), the hash (32 bytes) and the instant (8 bytes, big-endian).
    pub fn signed_bytes(fleet: FleetId, number: u64, hash: Digest, at: UnixTime) -> Vec<u8> {
        let mut bytes = b"fleetseal-audit-head/1\0".to_vec();
        bytes.extend_from_slice(fleet.as_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(hash.as_bytes());
        bytes.extend_from_slice(&at.as_secs().to_be_bytes());
        bytes
    }
}
