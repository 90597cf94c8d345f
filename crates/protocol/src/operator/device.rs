use model::{
    DeploymentId, DeploymentState, DeviceId, HardwareRevision, ModelName, ReleaseId, RolloutId, Serial,
    SpkiDigest, StationName, UnixTime, Version,
};
use serde::{Deserialize, Serialize};

use crate::{Base64, device::ComponentStatus};

/// Where a device stands with the fleet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// One of us.
    Active,
    /// Its certificate was revoked: refused at its next request.
    Revoked,
    /// Out of service.
    Retired,
    /// Another key took over its serial number.
    Replaced,
    /// Its counter forked: somebody copied its disk.
    Cloned,
}

/// How a device is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// Its push stream is open.
    Online,
    /// It polls.
    Polling,
    /// It has not been seen for longer than it should have.
    Offline,
}

/// A device in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeviceRow {
    /// The device.
    pub id: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// What it is.
    pub model: ModelName,
    /// The revision of its hardware.
    pub hardware_revision: HardwareRevision,
    /// Where it stands.
    pub state: DeviceState,
    /// How it is reached.
    pub connectivity: Connectivity,
    /// What it runs, as it reported.
    pub components: Vec<ComponentStatus>,
    /// When it enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub enrolled_at: Option<UnixTime>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub last_seen_at: Option<UnixTime>,
    /// Its certificate, DER: what a desktop verifies before it believes anything else.
    pub certificate: Base64,
    /// Where its newest deployment stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub deployment: Option<DeploymentState>,
}

/// Everything about one device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeviceDetail {
    /// As in the list.
    pub row: DeviceRow,
    /// Its station.
    pub station: StationName,
    /// The key of its certificate.
    pub spki: SpkiDigest,
    /// When it enrolled.
    pub enrolled_at: UnixTime,
    /// Its proof of both keys, for desktops that did not issue its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub proof: Option<ProofRecord>,
    /// Its open deployments.
    pub deployments: Vec<(RolloutId, DeploymentId)>,
    /// Releases whose content key a ticket brought to it.
    #[serde(default)]
    pub opened: Vec<ReleaseId>,
}

/// A device's proof of possession.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ProofRecord {
    /// `fleetseal-proof/1`.
    pub proof: Base64,
    /// The certificate that it proves, DER: the present one, or an earlier one over the same keys.
    #[serde(default)]
    pub certificate: Base64,
    /// When the backend took it.
    pub received_at: UnixTime,
}

/// Which devices.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeviceFilter {
    /// Of this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub model: Option<ModelName>,
    /// In this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub state: Option<DeviceState>,
    /// Whose serial number begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub serial_prefix: Option<String>,
    /// That run this version in any component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub version: Option<Version>,
    /// That an open deployment wants something of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub engaged: Option<bool>,
    /// What they are sorted by; the newest first without it. Serial numbers that begin with something are
    /// sorted by nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub sort: Option<DeviceSort>,
    /// The other way round than from the first to the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub descending: Option<bool>,
}

/// What a list of devices can be sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeviceSort {
    /// When they enrolled.
    Enrolled,
    /// Their serial number.
    Serial,
    /// Their model.
    Model,
}

/// Revokes, retires or reinstates nothing: it ends a device's membership.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeDevice {
    /// `revoked` or `retired`.
    pub state: DeviceState,
    /// Why, for the audit trail.
    pub reason: String,
    /// The signed list that carries the revocation to gateways, benches and desktops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_list: Option<Base64>,
}

/// Devices by state.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeviceCounts {
    /// Active ones.
    pub active: u32,
    /// Revoked ones.
    pub revoked: u32,
    /// Retired ones.
    pub retired: u32,
    /// Replaced ones.
    pub replaced: u32,
    /// Cloned ones.
    pub cloned: u32,
    /// Those with an open push stream.
    pub online: u32,
}
