use model::{
    Component, DeviceId, Digest, KemKeyId, ModelName, PersonName, ReleaseId, Seconds, Serial, TargetName,
    UnixTime, Version,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A line to a device on the table.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct BenchPort {
    /// What the system calls its port (`/dev/ttyACM0`), or `tcp:host:port`.
    pub port: String,
    /// Bits a second; 115,200 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub baud: Option<u32>,
    /// Messages come as they are, without the console's framing.
    #[serde(default)]
    pub raw: bool,
}

/// What to look for beside what the system lists.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct BenchPorts {
    /// Names of ports.
    #[serde(default)]
    pub ports: Vec<String>,
}

/// A device that is plugged in, as far as the bus tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchDevice {
    /// What the system calls its port at the moment.
    pub port: String,
    /// Where on the bus it is plugged in; stays the same when the port gets another name.
    pub place: String,
    /// The serial number that it tells the bus. Two devices may tell the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub usb_serial: Option<String>,
    /// USB vendor and product, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub usb: Option<String>,
}

/// What answers on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum BenchMode {
    /// The application: an update waits in the second slot, boots on trial, and can go back.
    Application,
    /// The bootloader's recovery: an update overwrites what runs.
    Recovery,
}

/// What a device on the table says of itself. Nothing of it is proven.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchInventory {
    /// Where it was asked.
    pub device: BenchDevice,
    /// What answers.
    pub mode: BenchMode,
    /// Its hardware's own number, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hardware_id: Option<String>,
    /// Its model, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub model: Option<String>,
    /// How far it was provisioned, where it says so: `blank`, `keyed`, `certified` or `locked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub lifecycle: Option<String>,
    /// Its slots.
    pub slots: Vec<BenchSlot>,
    /// How long an image may be, in bytes, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub slot_bytes: Option<u64>,
}

/// A slot of a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchSlot {
    /// Its number; 0 runs.
    #[ts(type = "number")]
    pub slot: u64,
    /// The version of the image in it.
    pub version: String,
    /// The hash by which the bootloader knows that image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hash: Option<Digest>,
    /// It runs.
    pub active: bool,
    /// It stays after the next reset.
    pub confirmed: bool,
    /// It boots next.
    pub pending: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum BenchSeverity {
    /// As it should be.
    Fine,
    /// Works, and may surprise.
    Warning,
    /// Nothing will work until it is seen to.
    Problem,
}

/// One thing that was looked at before a device is plugged in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchFinding {
    /// What: `ports`, `permission`, `busy`, `modem_manager` or `udev_rules`.
    pub topic: String,
    /// How bad it is.
    pub severity: BenchSeverity,
    /// What was found.
    pub what: String,
    /// What to do; empty where it is fine.
    pub next: String,
}

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

/// Brings a device on the table to run what a bundle has for it.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct UpdateDevice {
    /// Where it is.
    pub line: BenchPort,
    /// The bundle's file.
    pub bundle: String,
    /// Its serial number, where it does not say it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub serial: Option<Serial>,
}

/// Where a receipt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The backend has it.
    HandedIn,
    /// It waits on this computer for the next sync.
    Queued,
}

/// What a visit came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct VisitReport {
    /// The device.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// Whether it runs the new software, confirmed.
    pub passed: bool,
    /// Why not, as a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub code: Option<String>,
    /// Why not, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub why: Option<String>,
    /// What ran before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub before: Option<Version>,
    /// What the ticket brings.
    pub version: Version,
    /// Who opened the ticket: `deputy` is this bench.
    pub mode: String,
    /// Whether the device proved who it is, before and after.
    pub identity_proven: bool,
    /// How often the image was sent.
    pub transfers: u32,
    /// Where the receipt is.
    pub receipt: ReceiptState,
}

/// Receipts on their way home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, TS)]
pub struct ReceiptQueue {
    /// Handed in now.
    pub handed_in: u32,
    /// Waiting still.
    pub waiting: u32,
}
