use model::{
    DeviceId, HardwareRevision, LinkId, LinkState, ModelName, RolloutId, Seconds, Serial, StationName,
    UnixTime,
};
use protocol::operator::{DeviceFilter, LinkFate, PageRequest};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::ExposedRelease;

/// Makes a one-time enrolment token for one device.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct MakeToken {
    /// The serial number on its label.
    pub serial: Serial,
    /// What it is.
    pub model: ModelName,
    /// The revision of its hardware.
    pub hardware_revision: HardwareRevision,
    /// The station whose name space it joins; the fleet's first if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub station: Option<StationName>,
    /// How long the token is good for.
    pub life: Seconds,
}

/// A token as it is handed to a device. It holds a secret: whoever has it can enrol as this device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct EnrolmentTokenText {
    /// The text.
    pub token: String,
}

impl std::fmt::Debug for EnrolmentTokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolmentTokenText(<secret>)")
    }
}

/// Checks waiting enrolments and issues certificates for those that are right.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct ApproveEnrolments {}

/// What became of waiting enrolments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ApprovedEnrolments {
    /// Certificates issued now.
    pub issued: Vec<Serial>,
    /// Devices whose proof of both keys verified now: they may receive updates.
    pub proven: Vec<Serial>,
    /// Those turned down, with the reason.
    pub refused: Vec<(Serial, String)>,
}

/// Which devices, and which page of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct ListDevices {
    /// Which.
    #[serde(default)]
    pub filter: DeviceFilter,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DeviceName {
    /// Its id.
    pub device: DeviceId,
}

/// What happened to a device.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct DeviceTimelineRequest {
    /// Its id.
    pub device: DeviceId,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Ends a device's membership, as previewed.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct RevokeDevice {
    /// Its id.
    pub device: DeviceId,
    /// Why, for the audit trail.
    pub reason: String,
    /// The preview's token.
    pub token: String,
}

/// Lets a unit with new keys take a device's place, as previewed.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ReplaceDevice {
    /// The device whose place is taken.
    pub device: DeviceId,
    /// How long the token is good for.
    pub life: Seconds,
    /// The preview's token.
    pub token: String,
}

/// What became of a device's revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RevokedDevice {
    /// Releases whose content key it holds: seal them again.
    pub exposed: Vec<ExposedRelease>,
}

/// Which open links, and which page of them: soonest to lapse first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct ListLinks {
    /// In this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub state: Option<LinkState>,
    /// Of this rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rollout: Option<RolloutId>,
    /// Of this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub device: Option<DeviceId>,
    /// That lapse before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_before: Option<UnixTime>,
    /// The last to lapse first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub descending: Option<bool>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// What became of links, and which page of it: newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct ListLinkEvents {
    /// This fate alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fate: Option<LinkFate>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// One link.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct LinkName {
    /// Its id.
    pub link: LinkId,
}
