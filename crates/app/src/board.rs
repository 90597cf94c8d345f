//! Simulated boards for the bench: for tests, training and demonstrations.

use std::{net::SocketAddr, path::Path, sync::Mutex};

use envelope::{Ed25519Key, Signer as _};
pub use sim::board::{Trouble, Wire};
use sim::board::{Attached, Board, Firmware, Profile, attach_pty, attach_tcp};

use model::Version;
use protocol::ErrorCode;

use crate::{Error, workspace::replace};

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
        let board = Board::new(profile, &image);
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
