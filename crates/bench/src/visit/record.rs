use std::{
    fs, io,
    path::{Path, PathBuf},
};

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// What is known of a visit, kept before each step, so that a crash or a pulled cable loses nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Where the device is plugged in.
    pub place: Place,
    /// The serial number that it told the bus when the visit began.
    pub serial: Option<String>,
    /// The number that it told itself, once it did.
    pub hardware_id: Option<String>,
    /// The hash of the image that it shall run.
    pub image: Digest,
    /// What ran when the visit began.
    pub before: Option<String>,
    /// What is being done.
    pub step: Step,
    /// How many transfers were begun.
    pub transfers: u32,
    /// How often the image was to boot on trial.
    pub trials: u32,
    /// How often the device was booted for another reason.
    pub reboots: u32,
    /// How often it was booted in all.
    pub boots: u32,
    /// How often the device said that the image stays, or refused to say so.
    #[serde(default)]
    pub confirms: u32,
}

/// What is being done with a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Finding out who it is and what it has.
    Identifying,
    /// Sending the image.
    Transferring,
    /// Saying that the image boots next.
    Activating,
    /// Waiting until it has booted.
    Rebooting,
    /// Making the image stay.
    Confirming,
    /// It runs the image, confirmed.
    Passed,
    /// It does not, for this reason.
    Failed(Failure),
}

/// Why a visit failed. Each has words of its own for the technician.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// Another device is plugged in where this one was.
    #[error("another device is plugged in at this place: plug the first one back in, or start anew")]
    AnotherDevice,
    /// The device has no slots.
    #[error("the device tells of no slots: its application needs the image group of SMP")]
    NoSlots,
    /// The image is longer than a slot.
    #[error("the image does not fit into the device's slot")]
    TooLarge,
    /// The transfer came to nothing several times.
    #[error("the image did not arrive whole, several times: check cable and hub")]
    Transfer,
    /// The device refused a step.
    #[error("the device refused: see the result in the report")]
    Refused,
    /// The bootloader did not take the image.
    #[error("the bootloader refused the image: wrong key, or an older security counter")]
    BootloaderRefused,
    /// The image ran on trial and was taken back.
    #[error("the device went back to what it ran before: the new image did not stay up")]
    RolledBack,
    /// The device says that the image stays, and it does not.
    #[error("the device says that it confirmed the image, and did not: it goes back at its next reset")]
    Unconfirmed,
    /// The device waits in its recovery and this visit may not write there.
    #[error("the device is in recovery: its application is dead")]
    InRecovery,
    /// It boots again and again without coming to anything.
    #[error("the device does not settle: it was booted too often")]
    Unsettled,
}

/// Where records are kept.
pub trait Journal: Send {
    /// Keeps this one in the place of what was kept.
    ///
    /// # Errors
    /// It cannot be kept; then the step that it announces is not done.
    fn save(&mut self, record: &Record) -> io::Result<()>;
}

/// A journal in a folder: one file for each place.
#[derive(Clone, Debug)]
pub struct FileJournal {
    folder: PathBuf,
}

impl Record {
    /// The beginning of a visit.
    pub const fn new(place: Place, serial: Option<String>, image: Digest) -> Self {
        Self {
            place,
            serial,
            hardware_id: None,
            image,
            before: None,
            step: Step::Identifying,
            transfers: 0,
            trials: 0,
            reboots: 0,
            boots: 0,
            confirms: 0,
        }
    }
}

impl FileJournal {
    /// In this folder, which is made.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// What is kept of the visit to this place; nothing if there is none, or it is damaged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(&self, place: &Place) -> io::Result<Option<Record>> {
        match fs::read(self.path(place)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, place: &Place) -> PathBuf {
        let name = envelope::sha256(place.as_str().as_bytes());
        self.folder.join(format!("{name}.json"))
    }
}

impl Journal for FileJournal {
    fn save(&mut self, record: &Record) -> io::Result<()> {
        let path = self.path(&record.place);
        let beside = path.with_extension("new");
        let file = fs::File::create(&beside)?;
        serde_json::to_writer(&file, record)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}
