use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use model::InstallerName;
use serde::Deserialize;

use crate::{
    disk::{self, Draft},
    installer::{
        Artifact, Boot, Content, Health, InstallError, Installer, Pending, Program, Trial,
        marker::Marker,
        service::{Service, ServicePlan},
    },
};

const CURRENT: &str = "current";
const FILE: &str = "artifact";
const SLOTS: [&str; 2] = ["a", "b"];

/// How the slots of a component are set up.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotsPlan {
    /// The folder of `a`, `b` and `current`.
    pub dir: PathBuf,
    /// Run after each switch of `current`, such as `systemctl restart app`.
    #[serde(default)]
    pub restart: Option<Program>,
    /// A program that the agent runs and keeps running itself, such as `{current}/artifact`.
    #[serde(default)]
    pub service: Option<ServicePlan>,
    /// Tells whether the new software is well. `{slot}` is the folder of the slot that runs.
    #[serde(default)]
    pub health: Option<Health>,
}

/// Two folders, `a` and `b`, each with one file `artifact` (0755), and a symbolic link `current` to the
/// one that runs. Switching is one rename.
///
/// ```text
/// app/a/artifact      what ran before, or what is being written
/// app/b/artifact      what runs
/// app/current -> b
/// app/trial           only between the switch and the confirmation: where to go back to
/// ```
#[derive(Debug)]
pub struct SlotsInstaller {
    plan: SlotsPlan,
    marker: Marker,
    service: Option<Service>,
}

impl SlotsInstaller {
    /// Opens the slots, makes their folders if they are not there, and starts the service, if there is
    /// one and something to run. To be called within a runtime.
    ///
    /// # Errors
    /// The folders cannot be made, or `current` is something else than a link to a slot.
    pub fn open(plan: SlotsPlan) -> Result<Self, InstallError> {
        for slot in SLOTS {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(plan.dir.join(slot));
            made.map_err(InstallError::disk("make the slots"))?;
        }
        disk::sync_dir(&plan.dir).map_err(InstallError::disk("make the slots"))?;
        let marker = Marker::new(&plan.dir, "trial".to_owned());
        let service = plan.service.clone().map(Service::new);
        let mut slots = Self { plan, marker, service };
        if slots.current()?.is_some() {
            slots.start_service();
        }
        Ok(slots)
    }

    /// The slot that runs, if any does.
    fn current(&self) -> Result<Option<&'static str>, InstallError> {
        let target = match fs::read_link(self.plan.dir.join(CURRENT)) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(InstallError::disk("read the link to the current slot")(error)),
        };
        let slot = SLOTS.into_iter().find(|slot| target == Path::new(slot));
        slot.map(Some).ok_or_else(|| InstallError::Setup {
            reason: format!("`{}` does not lead to a slot", self.plan.dir.join(CURRENT).display()),
        })
    }

    /// The slot that does not run.
    fn other(&self) -> Result<&'static str, InstallError> {
        Ok(if self.current()? == Some(SLOTS[0]) { SLOTS[1] } else { SLOTS[0] })
    }

    fn start_service(&mut self) {
        let current = self.plan.dir.join(CURRENT).display().to_string();
        if let Some(service) = &mut self.service {
            service.start(&[("current", &current)]);
        }
    }

    fn write(&self, content: &mut dyn Content) -> Result<(), InstallError> {
        let dir = self.plan.dir.join(self.other()?);
        let write = InstallError::disk("write the slot");
        let mut draft = Draft::new(&dir, FILE, 0o755).map_err(write)?;
        while let Some(piece) = content.next().map_err(InstallError::disk("read the staged artifact"))? {
            draft.write(piece).map_err(InstallError::disk("write the slot"))?;
        }
        draft.keep().map_err(InstallError::disk("write the slot"))
    }

    /// Switches to `slot`, and starts what runs from it.
    async fn switch(&mut self, slot: Option<&str>, artifact: &Artifact) -> Result<(), InstallError> {
        if let Some(service) = &mut self.service {
            service.stop().await;
        }
        let switched = match slot {
            Some(slot) => disk::point(&self.plan.dir, CURRENT, slot),
            None => disk::remove(&self.plan.dir, CURRENT),
        };
        switched.map_err(InstallError::disk("switch the slots"))?;
        tracing::info!(component = %artifact.component, slot = slot.unwrap_or("none"), "slot switched");
        if slot.is_none() {
            return Ok(());
        }
        self.start_service();
        let Some(restart) = &self.plan.restart else { return Ok(()) };
        let places = Places::new(&self.plan.dir, slot, artifact);
        restart.run(&places.values()).await.map_err(InstallError::program("restart"))?;
        Ok(())
    }

    async fn healthy(&self, artifact: &Artifact) -> Result<(), InstallError> {
        if let Some(service) = &self.service {
            service.settled().await.map_err(InstallError::program("service"))?;
        }
        let Some(health) = &self.plan.health else { return Ok(()) };
        let places = Places::new(&self.plan.dir, self.current()?, artifact);
        health.check(&places.values()).await.map_err(InstallError::program("health"))
    }
}

impl Installer for SlotsInstaller {
    fn name(&self) -> InstallerName {
        "slots".parse().expect("five letters")
    }

    fn install<'a>(
        &'a mut self,
        _artifact: &'a Artifact,
        content: &'a mut dyn Content,
    ) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async {
            // A mark of an earlier trial would send a later roll back astray.
            self.marker.remove()?;
            self.write(content)
        })
    }

    fn start_trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async {
            if self.marker.read(artifact.digest)?.is_none() {
                let before = self.current()?.map(str::to_owned);
                self.marker.write(artifact.digest, before)?;
            }
            if self.trial(artifact).await? != Trial::Running {
                let slot = self.other()?;
                self.switch(Some(slot), artifact).await?;
            }
            Ok(Boot::Running)
        })
    }

    fn trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Trial, InstallError>> {
        Box::pin(async {
            let Some(noted) = self.marker.read(artifact.digest)? else { return Ok(Trial::NotStarted) };
            // Nothing but us moves the link: with a mark and the old slot, the power failed in between.
            let switched = self.current()?.map(str::to_owned) != noted.before;
            Ok(if switched { Trial::Running } else { Trial::NotStarted })
        })
    }

    fn check<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(self.healthy(artifact))
    }

    fn confirm<'a>(&'a mut self, _artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async { self.marker.remove() })
    }

    fn roll_back<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async {
            let Some(noted) = self.marker.read(artifact.digest)? else { return Ok(Boot::Running) };
            let before = SLOTS.into_iter().find(|&slot| noted.before.as_deref() == Some(slot));
            let restarted = self.switch(before, artifact).await;
            if let Err(InstallError::Program { step, source }) = &restarted {
                // The old software is in its place; that it does not start is no reason to stay.
                tracing::error!(step, %source, "the old software was put back, but could not be started");
            } else {
                restarted?;
            }
            self.marker.remove()?;
            Ok(Boot::Running)
        })
    }
}

/// What stands for `{name}` in the programs of a component.
struct Places {
    slot: String,
    current: String,
    version: String,
    component: String,
}

impl Places {
    fn new(dir: &Path, slot: Option<&str>, artifact: &Artifact) -> Self {
        Self {
            slot: dir.join(slot.unwrap_or(CURRENT)).display().to_string(),
            current: dir.join(CURRENT).display().to_string(),
            version: artifact.version.to_string(),
            component: artifact.component.to_string(),
        }
    }

    fn values(&self) -> [(&'static str, &str); 4] {
        [
            ("slot", &self.slot),
            ("current", &self.current),
            ("version", &self.version),
            ("component", &self.component),
        ]
    }
}

#[cfg(test)]
mod tests;
