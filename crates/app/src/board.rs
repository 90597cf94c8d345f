//! Simulated boards for the bench: for tests, training and demonstrations.

use std::{net::SocketAddr, path::Path, sync::Mutex};

use agent::{Blob, Storage as _};
use envelope::{Ed25519Key, KemSecret, P256Key, Signer as _};
use model::{Component, DeviceId, ModelName, Version};
use protocol::ErrorCode;
use sim::board::{Attached, Board, Firmware, Profile, attach_pty, attach_tcp};
pub use sim::board::{Trouble, Wire};
use zeroize::Zeroizing;

use crate::{App, Error, Simulation, command::DeviceList, dto::ListDevices, workspace::replace};

/// A board as it shall be simulated.
#[derive(Clone, Debug)]
pub struct BoardPlan {
    /// Its hardware's own number.
    pub serial: String,
    /// Its model.
    pub model: String,
    /// What runs on it; the security counter of its firmware is the minor version.
    pub version: Version,
    /// How long a program is, in bytes.
    pub program_bytes: usize,
    /// Where it listens: a TCP port instead of a pseudo terminal.
    pub tcp: Option<SocketAddr>,
    /// Whether its bootloader has a recovery mode.
    pub recovery: bool,
    /// Starts in it.
    pub starts_in_recovery: bool,
    /// Whether its application has the provisioning group.
    pub provisioning: bool,
    /// The line, and what goes wrong.
    pub wire: Wire,
    /// The keys and certificate of a device that was enrolled in its stead.
    pub keys: Option<BoardKeys>,
}

/// What a board proves by who it is.
#[derive(Clone)]
pub struct BoardKeys {
    identity: Zeroizing<Vec<u8>>,
    kem: Zeroizing<[u8; 32]>,
    certificate: Vec<u8>,
}

impl std::fmt::Debug for BoardKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoardKeys(<secret>)")
    }
}

impl App {
    /// Enrols a device over the network whose keys the board shall have: its id. A board has no network of
    /// its own; its station enrols it over its line.
    ///
    /// # Errors
    /// The vault is locked, the role does not allow it, or the device was refused.
    pub async fn enrol_board(
        &self,
        plan: &mut BoardPlan,
        model: ModelName,
        component: Component,
    ) -> Result<DeviceId, Error> {
        let simulation = Simulation {
            devices: 1,
            prefix: plan.serial.clone(),
            model: model.clone(),
            hardware_revision: "1".parse().expect("a constant revision parses"),
            component,
            installer: "mcuboot".parse().expect("a constant name parses"),
            version: plan.version.clone(),
            per_second: 1.0,
            faults: sim::FaultMix::default(),
            seed: 1,
        };
        let devices = self.enrol_simulated(&simulation).await?;
        let device =
            devices.first().ok_or_else(|| Error::new(ErrorCode::Internal, "nothing was enrolled"))?;
        let mut list = ListDevices::default();
        list.filter.serial_prefix = Some(device.plan().serial.to_string());
        let page = self.run::<DeviceList>(list).await?;
        let row = page.rows.into_iter().find(|row| row.serial == device.plan().serial);
        let row = row.ok_or_else(|| Error::new(ErrorCode::Internal, "the enrolled device is not listed"))?;
        let read = |blob| match device.storage().read(blob) {
            Ok(Some(bytes)) => Ok(Zeroizing::new(bytes)),
            Ok(None) | Err(_) => Err(Error::new(ErrorCode::Internal, "the enrolled device has no keys")),
        };
        let kem = read(Blob::KemKey)?;
        let kem = <[u8; 32]>::try_from(kem.as_slice())
            .map_err(|source| Error::internal("the enrolled device's key is damaged", source))?;
        plan.serial = device.plan().serial.to_string();
        plan.model = model.to_string();
        plan.keys = Some(BoardKeys {
            identity: read(Blob::IdentityKey)?,
            kem: Zeroizing::new(kem),
            certificate: row.certificate.0,
        });
        Ok(row.id)
    }
}

/// A board that runs until it is dropped.
#[derive(Debug)]
pub struct RunningBoard {
    attached: Mutex<Attached>,
    address: String,
}

impl BoardPlan {
    /// Starts the board.
    ///
    /// # Errors
    /// It cannot be, or its place is taken.
    pub fn start(&self) -> Result<RunningBoard, Error> {
        let key = Ed25519Key::from_seed(&TRAINING);
        let image = self.firmware(&self.version)?;
        let mut profile = Profile::zephyr(&self.serial, key.public_key());
        profile.class.clone_from(&self.model);
        profile.recovery = self.recovery;
        profile.provisioning = self.provisioning;
        // Room for the image and the trailer.
        profile.slot_sectors = profile.slot_sectors.max(image.len().div_ceil(4096) + 2);
        let mut board = Board::new(profile, &image);
        if let Some(keys) = &self.keys {
            let identity = P256Key::from_pkcs8(&keys.identity)?;
            board = board.provisioned(identity, KemSecret::from_bytes(&keys.kem)?, keys.certificate.clone());
        }
        let attached = match self.tcp {
            Some(address) => attach_tcp(board, address, self.wire),
            None => attach_pty(board, self.wire),
        };
        let attached = attached.map_err(|source| {
            Error::because(ErrorCode::PreconditionFailed, "the board could not be put on a line", source)
                .hint("choose another address, or leave --tcp out")
        })?;
        if self.starts_in_recovery {
            attached.board().power_on_in_recovery(std::time::Duration::ZERO);
        }
        let prefix = if self.tcp.is_some() { "tcp:" } else { "" };
        let address = format!("{prefix}{}", attached.address());
        Ok(RunningBoard { attached: Mutex::new(attached), address })
    }

    /// Writes an image of `version` that this board's bootloader takes.
    ///
    /// # Errors
    /// The version is none of MCUboot's, or the file cannot be written.
    pub fn write_image(&self, version: &Version, file: &Path) -> Result<(), Error> {
        replace(file, &self.firmware(version)?)
    }

    fn firmware(&self, version: &Version) -> Result<Vec<u8>, Error> {
        let parts = version.to_string();
        let wrong = || {
            Error::new(ErrorCode::InvalidRequest, format!("{version} is no version of a board's firmware"))
                .hint("MCUboot's are major.minor.revision, up to 255.255.65535")
        };
        let numbers: Vec<u64> =
            parts.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [major, minor, revision] = numbers[..] else { return Err(wrong()) };
        let (Ok(major), Ok(minor), Ok(revision)) =
            (u8::try_from(major), u8::try_from(minor), u16::try_from(revision))
        else {
            return Err(wrong());
        };
        let firmware = Firmware::new((major, minor, revision), minor.into(), self.program_bytes);
        firmware.sign(&Ed25519Key::from_seed(&TRAINING)).map_err(Error::from)
    }
}

impl RunningBoard {
    /// The path of its terminal, or `tcp:host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The version that runs, and whether it is confirmed; nothing while it boots or waits in recovery.
    pub fn running(&self) -> Option<(String, bool)> {
        let attached = self.attached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let running = attached.board().running();
        running.map(|running| (running.version, running.confirmed))
    }
}

/// The key that simulated boards' bootloaders trust. Everybody has it: it guards nothing.
const TRAINING: [u8; 32] = *b"fleetseal simulated board's key!";
