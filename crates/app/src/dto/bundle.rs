use model::{
    Component, DeviceId, KemKeyId, ModelName, PersonName, ReleaseId, Seconds, Serial, TargetName, UnixTime,
    Version,
};
use protocol::ErrorBody;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Makes an offline bundle for these devices.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct MakeBundle {
    /// What it brings.
    pub release: ReleaseId,
    /// Which of its artifacts; may be left out where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub target: Option<TargetName>,
    /// For these devices.
    pub devices: Vec<DeviceId>,
    /// Whose bench opens the tickets in the devices' stead; the devices open them themselves if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bench: Option<PersonName>,
    /// The devices cannot prove who they are, and the bench goes by their serial numbers alone.
    #[serde(default)]
    pub unproven: bool,
    /// How long it counts; at most 30 days.
    pub life: Seconds,
    /// The file to write.
    pub file: String,
}

/// A bundle.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct BundleFile {
    /// Its file.
    pub file: String,
}

/// What stands in a bundle that verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BundleSummary {
    /// When it was made.
    pub issued_at: UnixTime,
    /// Until when it counts.
    pub expires: UnixTime,
    /// When the metadata in it lapses: after that nobody makes another one like it.
    pub targets_expire: UnixTime,
    /// When the list of revoked keys in it was signed, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revoked_at: Option<UnixTime>,
    /// The key holders whose signatures stand under its metadata.
    pub signed_by: Vec<PersonName>,
    /// How many of them it takes.
    pub threshold: u32,
    /// Who made it, and can make another one.
    pub made_by: PersonName,
    /// How long its payloads are.
    #[ts(type = "number")]
    pub payload_bytes: u64,
    /// For whom it is.
    pub devices: Vec<BenchTicket>,
}

/// A ticket in a bundle, as its label says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchTicket {
    /// The device.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// What it is.
    pub model: ModelName,
    /// The part of it.
    pub component: Component,
    /// What it brings.
    pub version: Version,
    /// The bench that opens it in the device's stead (deputy); none where the device opens it (sealed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub deputy: Option<KemKeyId>,
    /// The device must prove who it is before anything is sent to it.
    pub must_prove: bool,
    /// Until when it counts.
    pub not_after: UnixTime,
}

/// The bundles that are kept on this computer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BundleLibrary {
    /// By name.
    pub rows: Vec<BundleRow>,
    /// How much room is left for more.
    #[ts(type = "number")]
    pub free_bytes: u64,
}

/// A kept bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BundleRow {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// How long it is.
    #[ts(type = "number")]
    pub bytes: u64,
    /// What stands in it, if it verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub summary: Option<BundleSummary>,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<ErrorBody>,
}

/// What a kept bundle has for a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchOffer {
    /// The bundle's file.
    pub bundle: String,
    /// Its name.
    pub name: String,
    /// What its label says.
    pub ticket: BenchTicket,
    /// This bench opens it, in the device's stead (deputy). It cannot where that is another's or the device's
    /// own (sealed).
    pub ours: bool,
    /// The device runs it already, or something newer.
    pub up_to_date: bool,
}
