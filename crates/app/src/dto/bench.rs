use model::{
    Component, DeviceId, Digest, FleetId, KemKeyId, ModelName, PersonName, RolloutId, SecurityCounter,
    Serial, SpkiDigest, UnixTime, Version,
};
use protocol::{Base64, ErrorBody};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::BenchOffer;

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

/// A device on the table, and the bundle that shall be carried out on it.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct UpdateDevice {
    /// Where it is.
    pub line: BenchPort,
    /// The bundle's file; what the backend has for the device, or a kept bundle, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bundle: Option<String>,
    /// Its serial number, where it does not say it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub serial: Option<Serial>,
}

/// Brings devices on the table to run what bundles have for them, all at once.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct UpdateDevices {
    /// One to sixteen, each at a port of its own.
    pub devices: Vec<UpdateDevice>,
}

/// What visits came to, in the order that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct VisitList {
    /// One for each device.
    pub rows: Vec<VisitRow>,
}

/// What came of the device at one port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct VisitRow {
    /// Where it is.
    pub port: String,
    /// The visit's report, if it came to a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub report: Option<VisitReport>,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<ErrorBody>,
}

impl VisitRow {
    /// Whether the device runs the new software, confirmed.
    pub fn passed(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.passed)
    }
}

/// What a visit does, as a technician sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum VisitStep {
    /// Origin, destination and every byte, before anything is written.
    Verify,
    /// The image is sent.
    Upload,
    /// The device boots the new image.
    TrialBoot,
    /// The new image stays.
    Confirm,
}

/// How long a step took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct StepTime {
    /// Which.
    pub step: VisitStep,
    /// So many milliseconds.
    #[ts(type = "number")]
    pub milliseconds: u64,
}

/// A visit that goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct VisitLive {
    /// The port that was asked for.
    pub port: String,
    /// Where on the bus it is.
    pub place: String,
    /// Whom it brings something to, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub serial: Option<Serial>,
    /// What it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub version: Option<Version>,
    /// What it does.
    pub step: VisitStep,
    /// The steps before, and how long they took.
    pub took: Vec<StepTime>,
    /// What the device has of the image, in bytes.
    #[ts(type = "number")]
    pub done_bytes: u64,
    /// All of it; 0 while that is not known.
    #[ts(type = "number")]
    pub total_bytes: u64,
    /// How fast it goes, over the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub bytes_per_second: Option<u64>,
    /// How long the upload takes still, at that speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub seconds_left: Option<u64>,
    /// What runs is being overwritten: pulled now, the device has nothing to boot until it is back.
    pub do_not_unplug: bool,
    /// The device is not there: plug it back in, and the visit goes on by itself.
    pub waiting: bool,
    /// When it began.
    pub began_at: UnixTime,
}

/// One port.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct PortName {
    /// Its name.
    pub port: String,
}

/// Where a receipt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The backend has it.
    HandedIn,
    /// It waits on this computer for the next sync.
    Queued,
    /// The backend will never take it; it lies aside on this computer.
    Refused,
}

/// What a visit came to: the service report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct VisitReport {
    /// The SHA-256 of the signed receipt: the report's name.
    pub id: Digest,
    /// The fleet.
    pub fleet: FleetId,
    /// The device.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// What it is.
    pub model: ModelName,
    /// The part of it.
    pub component: Component,
    /// Where it was plugged in.
    pub place: String,
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
    /// The SHA-256 of that artifact.
    pub artifact: Digest,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// The SHA-256 of the sealed ticket.
    pub ticket: Digest,
    /// The campaign that the ticket belongs to.
    pub rollout: RolloutId,
    /// Who opened the ticket: `deputy` is this bench.
    pub mode: String,
    /// Whether the device proved who it is, before and after.
    pub identity_proven: bool,
    /// How often the image was sent.
    pub transfers: u32,
    /// Who was at the bench.
    pub technician: PersonName,
    /// The bench.
    pub bench: KemKeyId,
    /// When the visit began, by this computer's clock.
    pub began_at: UnixTime,
    /// When it ended.
    pub ended_at: UnixTime,
    /// `fleetseal-receipt/1`, as the technician's identity signed it.
    pub signed_receipt: Base64,
    /// The key that signed it.
    pub signed_by: SpkiDigest,
    /// Where the receipt is.
    pub receipt: ReceiptState,
}

/// A service report, and the file that it is written to: a PDF if it is called so, JSON otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct WriteReport {
    /// The report.
    pub id: Digest,
    /// The file.
    pub file: String,
}

/// Receipts on their way home.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, TS)]
pub struct ReceiptQueue {
    /// Handed in now.
    pub handed_in: u32,
    /// Waiting still.
    pub waiting: u32,
}

/// What is known of who a device is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum BenchIdentity {
    /// It signed a fresh challenge with the key in its certificate.
    Proven,
    /// It says a number and cannot sign: nothing more than that is known.
    NotProven,
    /// No certificate of such a device is at hand: nobody can tell.
    Unknown,
}

/// How a place on the bench stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// What is plugged in is being asked who it is.
    Looking,
    /// It said so.
    Recognized,
    /// It did not; it is asked again and again.
    Silent,
    /// A visit goes on.
    Visiting,
}

/// A place on the bench with something plugged in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct BenchPlace {
    /// What the bus tells.
    pub device: BenchDevice,
    /// How it stands.
    pub state: PlaceState,
    /// How long it took to recognize, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub recognized_ms: Option<u64>,
    /// What the device says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub inventory: Option<BenchInventory>,
    /// What of that is proven.
    pub identity: BenchIdentity,
    /// What there is for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub offer: Option<BenchOffer>,
    /// The visit that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub visit: Option<VisitLive>,
    /// What the last visit came to, until the device is unplugged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub last: Option<VisitRow>,
    /// Why it is not recognized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<ErrorBody>,
}
