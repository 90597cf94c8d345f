use std::time::Duration;

use model::Digest;
use protocol::smp::{Body, Op, Value, group};

use super::{
    client::Client,
    error::Error,
    exchange::{Patience, Request},
};

/// Erasing a slot takes a device up to this long.
pub(super) const ERASE_PATIENCE: Duration = Duration::from_secs(40);

/// What a device's receive buffers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// The longest message with its framing's length and CRC, in bytes.
    pub buffer_bytes: usize,
    /// How many it keeps.
    pub buffers: u64,
}

impl Parameters {
    /// Of a device that does not say: small enough for all that are known.
    pub const UNKNOWN: Self = Self { buffer_bytes: 256, buffers: 1 };
}

/// How a device boots after a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootMode {
    /// Into the application.
    Normal,
    /// Into the bootloader's recovery mode.
    Recovery,
}

/// Which bootloader a device has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootloader {
    /// Its name, such as `MCUboot`.
    pub name: String,
    /// MCUboot's mode, where it says.
    pub mode: Option<u64>,
    /// Whether it refuses to go back to an earlier version.
    pub no_downgrade: bool,
}

/// What stands in one slot, and what will become of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotState {
    /// Which of the device's images.
    pub image: u64,
    /// Which of its slots; 0 is the primary one.
    pub slot: u64,
    /// Its version, as the device writes it.
    pub version: String,
    /// The hash that MCUboot checks, if there is one.
    pub hash: Option<Digest>,
    /// It can be booted.
    pub bootable: bool,
    /// It boots next, on trial.
    pub pending: bool,
    /// It stays.
    pub confirmed: bool,
    /// It runs.
    pub active: bool,
    /// It boots next, for good.
    pub permanent: bool,
}

/// Which image boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// This one on trial, at the next boot.
    Test(Digest),
    /// This one stays.
    Confirm(Digest),
}

/// The SHA-256 of a file, by the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHash {
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl Client {
    /// Whether somebody is there who speaks SMP: it says back what it is told.
    ///
    /// # Errors
    /// Nobody answers, or says something else.
    pub fn echo(&mut self, text: &str) -> Result<(), Error> {
        let body = self.write("echo", group::OS, group::os::ECHO, Body::new().with("d", text))?;
        if body.text("r") == Some(text) { Ok(()) } else { Err(Error::Malformed { what: "echo" }) }
    }

    /// The device's buffers; [`Parameters::UNKNOWN`] where it does not say.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn parameters(&mut self) -> Result<Parameters, Error> {
        let body = match self.read("parameters", group::OS, group::os::PARAMETERS, Body::new()) {
            Ok(body) => body,
            Err(Error::Refused { .. }) => return Ok(Parameters::UNKNOWN),
            Err(error) => return Err(error),
        };
        let bytes = body.uint("buf_size").and_then(|bytes| usize::try_from(bytes).ok());
        let (Some(buffer_bytes), Some(buffers)) = (bytes, body.uint("buf_count")) else {
            return Err(Error::Malformed { what: "parameters" });
        };
        Ok(Parameters { buffer_bytes: buffer_bytes.min(protocol::smp::MAX_MESSAGE_BYTES), buffers })
    }

    /// Which bootloader there is; nothing where the device does not say.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn bootloader(&mut self) -> Result<Option<Bootloader>, Error> {
        let body = match self.read("bootloader", group::OS, group::os::BOOTLOADER, Body::new()) {
            Ok(body) => body,
            Err(Error::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = body.text("bootloader").ok_or(Error::Malformed { what: "bootloader" })?.to_owned();
        let query = Body::new().with("query", "mode");
        let mode = match self.read("bootloader", group::OS, group::os::BOOTLOADER, query) {
            Ok(body) => body,
            Err(Error::Refused { .. }) => Body::new(),
            Err(error) => return Err(error),
        };
        Ok(Some(Bootloader {
            name,
            mode: mode.uint("mode"),
            no_downgrade: mode.flag("no-downgrade").unwrap_or_default(),
        }))
    }

    /// Boots the device anew. It answers, and is gone.
    ///
    /// # Errors
    /// Nobody answers, or it refuses: to enter recovery, where it has none.
    pub fn reset(&mut self, mode: BootMode) -> Result<(), Error> {
        let boot_mode = match mode {
            BootMode::Normal => None,
            BootMode::Recovery => Some(1_u64),
        };
        let body = Body::new().with_some("boot_mode", boot_mode);
        self.write("reset", group::OS, group::os::RESET, body)?;
        self.rebooted();
        Ok(())
    }

    /// What stands in the slots.
    ///
    /// # Errors
    /// Nobody answers, or it has no slots.
    pub fn slots(&mut self) -> Result<Vec<SlotState>, Error> {
        let body = self.read("image state", group::IMAGE, group::image::STATE, Body::new())?;
        slots(&body)
    }

    /// How large each slot of image `image` is, in bytes, by slot; empty where the device does not say.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn slot_sizes(&mut self, image: u64) -> Result<Vec<(u64, u64)>, Error> {
        let body = match self.read("slots", group::IMAGE, group::image::SLOTS, Body::new()) {
            Ok(body) => body,
            Err(Error::Refused { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let images = body.list("images").ok_or(Error::Malformed { what: "slots" })?;
        let ours = images.iter().filter_map(Value::map).find(|map| map.uint("image") == Some(image));
        let slots = ours.and_then(|map| map.list("slots")).unwrap_or_default();
        Ok(slots
            .iter()
            .filter_map(Value::map)
            .filter_map(|slot| slot.uint("slot").zip(slot.uint("size")))
            .collect())
    }

    /// Says which image boots.
    ///
    /// # Errors
    /// Nobody answers, or the device has no such image, or not in a state that allows it.
    pub fn select(&mut self, selection: Selection) -> Result<Vec<SlotState>, Error> {
        let (hash, confirm) = match &selection {
            Selection::Test(hash) => (hash, false),
            Selection::Confirm(hash) => (hash, true),
        };
        let body = Body::new().with("hash", &hash.as_bytes()[..]).with("confirm", confirm);
        slots(&self.write("image selection", group::IMAGE, group::image::STATE, body)?)
    }

    /// Empties the slot that does not run.
    ///
    /// # Errors
    /// Nobody answers, or the slot is in use.
    pub fn erase(&mut self) -> Result<(), Error> {
        let request =
            Request { op: Op::Write, group: group::IMAGE, command: group::image::ERASE, body: Body::new() };
        self.ask("erase", &request, Patience::For(ERASE_PATIENCE)).map(|_| ())
    }

    /// The SHA-256 of a file on the device.
    ///
    /// # Errors
    /// Nobody answers, there is no such file, or the device hashes none.
    pub fn file_hash(&mut self, path: &str) -> Result<FileHash, Error> {
        const WHAT: &str = "file hash";
        let body = Body::new().with("name", path).with("type", "sha256");
        let body = self.read(WHAT, group::FS, group::fs::HASH, body)?;
        let bytes = body.uint("len").ok_or(Error::Malformed { what: WHAT })?;
        let sha256 = body.bytes("output").and_then(digest).ok_or(Error::Malformed { what: WHAT })?;
        Ok(FileHash { bytes, sha256 })
    }

    /// A whole file of the device, of at most `longest` bytes.
    ///
    /// # Errors
    /// Nobody answers, there is no such file, or it is longer.
    pub fn download(&mut self, path: &str, longest: usize) -> Result<Vec<u8>, Error> {
        const WHAT: &str = "download";
        let malformed = || Error::Malformed { what: WHAT };
        let mut bytes = Vec::new();
        let mut length = None;
        while length.is_none_or(|length| bytes.len() < length) {
            let body = Body::new().with("off", bytes.len() as u64).with("name", path);
            let body = self.read(WHAT, group::FS, group::fs::FILE, body)?;
            if let (None, Some(said)) = (length, body.uint("len")) {
                length =
                    Some(usize::try_from(said).ok().filter(|said| *said <= longest).ok_or_else(malformed)?);
            }
            let length = length.ok_or_else(malformed)?;
            let part = body.bytes("data").ok_or_else(malformed)?;
            if body.uint("off") != Some(bytes.len() as u64) || (part.is_empty() && bytes.len() < length) {
                return Err(malformed());
            }
            bytes.extend_from_slice(part);
            if bytes.len() > length {
                return Err(malformed());
            }
        }
        Ok(bytes)
    }

    /// One setting.
    ///
    /// # Errors
    /// Nobody answers, or there is none of this name.
    pub fn setting(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let body = Body::new().with("name", name);
        let body = self.read("setting", group::SETTINGS, group::settings::VALUE, body)?;
        body.bytes("val").map(<[u8]>::to_vec).ok_or(Error::Malformed { what: "setting" })
    }

    /// Sets one setting, in the device's memory; [`Self::save_settings`] keeps it.
    ///
    /// # Errors
    /// Nobody answers, or the device refuses.
    pub fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let body = Body::new().with("name", name).with("val", value);
        self.write("setting", group::SETTINGS, group::settings::VALUE, body).map(|_| ())
    }

    /// Keeps the settings over a reset.
    ///
    /// # Errors
    /// Nobody answers, or the device refuses.
    pub fn save_settings(&mut self) -> Result<(), Error> {
        self.write("settings", group::SETTINGS, group::settings::STORAGE, Body::new()).map(|_| ())
    }

    /// The groups that the device has; empty where it does not say.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn groups(&mut self) -> Result<Vec<u16>, Error> {
        let body = match self.read("groups", group::ENUMERATION, group::enumeration::LIST, Body::new()) {
            Ok(body) => body,
            Err(Error::Refused { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let groups = body.list("groups").unwrap_or_default();
        let number =
            |value: &Value| if let Value::Uint(number) = value { u16::try_from(*number).ok() } else { None };
        Ok(groups.iter().filter_map(number).collect())
    }

    pub(super) fn read(
        &mut self,
        what: &'static str,
        group: u16,
        command: u8,
        body: Body,
    ) -> Result<Body, Error> {
        self.ask(what, &Request { op: Op::Read, group, command, body }, Patience::Learned)
    }

    pub(super) fn write(
        &mut self,
        what: &'static str,
        group: u16,
        command: u8,
        body: Body,
    ) -> Result<Body, Error> {
        self.ask(what, &Request { op: Op::Write, group, command, body }, Patience::Learned)
    }
}

/// Whether the device did what it was asked: neither an error of version 2 nor one of version 1.
pub(super) fn accepted(what: &'static str, group: u16, body: &Body) -> Result<(), Error> {
    if let Some(error) = body.get("err").and_then(Value::map) {
        let code = error.uint("rc").unwrap_or(group::result::UNKNOWN);
        let group = error.uint("group").and_then(|group| u16::try_from(group).ok()).unwrap_or(group);
        return Err(Error::Refused { what, group, code });
    }
    match body.get("rc") {
        None | Some(Value::Uint(group::result::OK)) => Ok(()),
        Some(Value::Uint(code)) => Err(Error::Refused { what, group, code: *code }),
        Some(_) => Err(Error::Refused { what, group, code: group::result::UNKNOWN }),
    }
}

fn slots(body: &Body) -> Result<Vec<SlotState>, Error> {
    const WHAT: &str = "image state";
    let images = body.list("images").ok_or(Error::Malformed { what: WHAT })?;
    let slot = |value: &Value| {
        let slot = value.map()?;
        let flag = |name| slot.flag(name).unwrap_or_default();
        Some(SlotState {
            image: slot.uint("image").unwrap_or_default(),
            slot: slot.uint("slot")?,
            version: slot.text("version").unwrap_or_default().to_owned(),
            hash: slot.bytes("hash").and_then(digest),
            bootable: flag("bootable"),
            pending: flag("pending"),
            confirmed: flag("confirmed"),
            active: flag("active"),
            permanent: flag("permanent"),
        })
    };
    images.iter().map(slot).collect::<Option<_>>().ok_or(Error::Malformed { what: WHAT })
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(bytes).ok().map(Digest::new)
}
