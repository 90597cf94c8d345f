use std::{io, time::Duration};

use agent::{Artifact, Boot, Content, InstallError, Installer, Pending, Trial};
use envelope::Sha256;
use model::InstallerName;
use tokio::time::sleep;

/// Writes into nothing, but reads every byte, checks the digest as a bootloader would, and takes its time.
#[derive(Debug, Clone)]
pub struct SimInstaller {
    name: InstallerName,
    trial_fails: bool,
    boots_in: Duration,
    written: Option<Artifact>,
}

impl SimInstaller {
    /// An installer of this name, whose trial boots fail or do not.
    pub fn new(name: InstallerName, trial_fails: bool, boots_in: Duration) -> Self {
        Self { name, trial_fails, boots_in, written: None }
    }

    fn holds(&self, artifact: &Artifact) -> bool {
        self.written.as_ref() == Some(artifact)
    }
}

impl Installer for SimInstaller {
    fn name(&self) -> InstallerName {
        self.name.clone()
    }

    fn install<'a>(
        &'a mut self,
        artifact: &'a Artifact,
        content: &'a mut dyn Content,
    ) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async move {
            let mut hash = Sha256::new();
            let mut length = 0;
            let read = |source| InstallError::Disk { action: "read what was staged", source };
            while let Some(piece) = content.next().map_err(read)? {
                hash.update(piece);
                length += piece.len() as u64;
            }
            if length != artifact.length_bytes || hash.finish() != artifact.digest {
                return Err(read(io::ErrorKind::InvalidData.into()));
            }
            self.written = Some(artifact.clone());
            Ok(())
        })
    }

    fn start_trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async move {
            if !self.holds(artifact) {
                return Err(InstallError::Setup { reason: "there is nothing to boot".into() });
            }
            sleep(self.boots_in).await;
            Ok(Boot::Running)
        })
    }

    fn trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Trial, InstallError>> {
        Box::pin(async move { Ok(if self.holds(artifact) { Trial::Running } else { Trial::NotStarted }) })
    }

    fn check<'a>(&'a mut self, _: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async move {
            if self.trial_fails {
                return Err(InstallError::Setup { reason: "the new software does not come up".into() });
            }
            Ok(())
        })
    }

    fn confirm<'a>(&'a mut self, _: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async { Ok(()) })
    }

    fn roll_back<'a>(&'a mut self, _: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async move {
            self.written = None;
            sleep(self.boots_in).await;
            Ok(Boot::Running)
        })
    }
}
