use model::{Component, ModelName, PersonName, UnixTime, Version};
use serde::{Deserialize, Serialize};

use super::{DeviceCounts, DeviceState, LinkCounts, RolloutRow};

/// What the fleet is doing, from counters that are kept as it changes: asking costs the same for ten
/// devices and for a million.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FleetOverview {
    /// The backend's clock.
    pub server_time: UnixTime,
    /// Devices by state.
    pub devices: DeviceCounts,
    /// Devices by model and state.
    pub models: Vec<ModelCount>,
    /// Devices by what they run and confirmed.
    pub versions: Vec<VersionCount>,
    /// Rollouts that run or are paused, newest first, at most 100.
    pub rollouts: Vec<RolloutRow>,
    /// The causes of failure in those, most frequent first.
    pub failures: Vec<FailureCluster>,
    /// Links since the fleet was founded.
    pub links: LinkCounts,
    /// Open links that lapse within a day, counted to [`EXPIRING_MOST`] at most.
    pub links_expiring: u32,
    /// Those that lapse within ten minutes, counted as far.
    #[serde(default)]
    pub links_ending: u32,
    /// Ciphertext served in each of the last 60 minutes in which there was any, oldest first, as far back as
    /// the backend has been running.
    #[serde(default)]
    pub served: Vec<ServedMinute>,
    /// Certificates of people and of the backend that end within 30 days, soonest first. Those of devices
    /// have no end: a device is revoked.
    pub certificates_expiring: Vec<CertificateEnd>,
    /// Alarms that nobody has looked at.
    pub open_alarms: u32,
}

/// How far [`FleetOverview::links_expiring`] counts.
pub const EXPIRING_MOST: u32 = 10_000;

/// One minute of serving.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ServedMinute {
    /// Its first second.
    pub at: UnixTime,
    /// Ciphertext bytes.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub bytes: u64,
}

/// Devices of one model in one state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ModelCount {
    /// What they are.
    pub model: ModelName,
    /// Where they stand. A cloned one counts as active here.
    pub state: DeviceState,
    /// How many.
    pub count: u32,
}

/// Devices that run one version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct VersionCount {
    /// In which component.
    pub component: Component,
    /// What they run.
    pub version: Version,
    /// How many, whatever their state.
    pub count: u32,
}

/// How often deployments failed for one cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FailureCluster {
    /// The cause as devices reported it; empty where none was given.
    pub code: String,
    /// How many stand failed, timed out, rejected or rolled back with it.
    pub count: u32,
}

/// A certificate that ends soon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct CertificateEnd {
    /// Whose it is; none for the backend's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub person: Option<PersonName>,
    /// When it ends.
    pub not_after: UnixTime,
}

/// How a rollout went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RolloutProgress {
    /// Minute by minute, oldest first; minutes in which nothing ended are left out. Of a long rollout the
    /// last 7 days.
    pub points: Vec<ProgressPoint>,
    /// The causes of failure, most frequent first.
    pub failures: Vec<FailureCluster>,
}

/// One minute of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ProgressPoint {
    /// Its first second.
    pub at: UnixTime,
    /// Deployments that succeeded in it.
    pub succeeded: u32,
    /// Deployments that failed, timed out, were rejected or rolled back in it.
    pub failed: u32,
}
