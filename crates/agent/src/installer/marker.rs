use std::{
    fs, io,
    path::{Path, PathBuf},
};

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::{disk, installer::InstallError};

/// The durable note that a trial is on, and what it came from.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    dir: PathBuf,
    name: String,
}

/// What the note says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Noted {
    /// What is on trial.
    pub(super) digest: Digest,
    /// What ran before: the slot, or what the boot probe printed.
    pub(super) before: Option<String>,
    /// The kernel's boot id at the time.
    pub(super) boot_id: String,
}

impl Marker {
    pub(super) fn new(dir: impl Into<PathBuf>, name: String) -> Self {
        Self { dir: dir.into(), name }
    }

    /// What is noted, if it is about this artifact; another one's note is a leftover.
    pub(super) fn read(&self, digest: Digest) -> Result<Option<Noted>, InstallError> {
        let content =
            disk::read(&self.dir.join(&self.name)).map_err(InstallError::disk("read the trial's mark"))?;
        let noted = content.and_then(|content| serde_json::from_slice::<Noted>(&content).ok());
        Ok(noted.filter(|noted| noted.digest == digest))
    }

    pub(super) fn write(&self, digest: Digest, before: Option<String>) -> Result<(), InstallError> {
        let noted =
            Noted { digest, before, boot_id: boot_id().map_err(InstallError::disk("read the boot id"))? };
        let content = serde_json::to_vec(&noted).expect("names and a digest have a JSON form");
        disk::replace(&self.dir, &self.name, &content, 0o600).map_err(InstallError::disk("mark the trial"))
    }

    pub(super) fn remove(&self) -> Result<(), InstallError> {
        disk::remove(&self.dir, &self.name).map_err(InstallError::disk("remove the trial's mark"))
    }
}

/// Another text after each boot of the kernel.
pub(super) fn boot_id() -> io::Result<String> {
    fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).map(|text| text.trim().to_owned())
}
