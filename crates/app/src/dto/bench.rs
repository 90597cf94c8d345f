use model::Digest;
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
