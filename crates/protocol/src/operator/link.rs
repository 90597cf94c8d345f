use model::{DeploymentId, DeviceId, LinkId, LinkState, RolloutId, Serial, UnixTime};
use serde::{Deserialize, Serialize};

/// A download link in a list. Its id says nothing to anybody but its device's certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LinkRow {
    /// The link.
    pub id: LinkId,
    /// Whose it is.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// For which deployment.
    pub deployment: DeploymentId,
    /// What became of it.
    pub state: LinkState,
    /// When it was made.
    pub issued_at: UnixTime,
    /// When it lapses.
    pub expires_at: UnixTime,
    /// Which of the deployment's links it is, counted from 1.
    pub issue: u32,
    /// Ciphertext bytes served for the deployment.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub served_bytes: u64,
    /// Ciphertext bytes in all.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub total_bytes: u64,
}

/// Links since the fleet was founded, by what became of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LinkCounts {
    /// Made in all.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub issued: u64,
    /// Of these, to take the place of one that lapsed.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub reissued: u64,
    /// Open now.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub open: u64,
    /// Of these, so many served bytes already.
    #[serde(default)]
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub active: u64,
    /// Ended by a complete download.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub consumed: u64,
    /// Ended by time.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub expired: u64,
    /// Taken back.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub revoked: u64,
}

/// What became of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LinkFate {
    /// The download was complete.
    Consumed,
    /// Taken back.
    Revoked,
    /// A fresh one took its place.
    Reissued,
    /// Not used in time.
    Expired,
}

/// A line about links that are gone. A link that is gone cannot be told from one that never was: this is
/// what its end left in the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LinkEvent {
    /// What became of them.
    pub fate: LinkFate,
    /// When.
    pub at: UnixTime,
    /// How many: links that lapse unused are counted by rollout.
    pub count: u32,
    /// In which rollout.
    pub rollout: RolloutId,
    /// Whose it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub device: Option<DeviceId>,
    /// Its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub serial: Option<Serial>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub issued_at: Option<UnixTime>,
    /// When it would have lapsed, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub expires_at: Option<UnixTime>,
    /// Ciphertext bytes that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional, type = "number"))]
    pub total_bytes: Option<u64>,
}
