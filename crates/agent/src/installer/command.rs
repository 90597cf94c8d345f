use std::{fs, path::PathBuf};

use model::InstallerName;
use serde::Deserialize;

use crate::{
    disk::{self, Draft},
    installer::{
        Artifact, Boot, Content, Health, InstallError, Installer, Pending, Program, Trial,
        marker::{Marker, boot_id},
    },
};

/// The programs that install a component. In their arguments `{artifact}` stands for the path of the
/// artifact, `{version}` and `{component}` for what they say.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandPlan {
    /// Writes the artifact. It is handed over as a file if an argument mentions `{artifact}`, and on
    /// standard input otherwise.
    pub install: Program,
    /// Boots what was installed. Without one it runs as soon as it is installed.
    #[serde(default)]
    pub reboot: Option<Program>,
    /// Prints what is booted, so that a fall back is noticed: any text that differs between the two.
    /// Without one, `/proc/cmdline` tells.
    #[serde(default)]
    pub booted: Option<Program>,
    /// Tells whether the new software is well.
    #[serde(default)]
    pub health: Option<Health>,
    /// Makes the new software permanent.
    #[serde(default)]
    pub confirm: Option<Program>,
    /// Makes the old software the next to boot, while the new one runs; `reboot` follows.
    #[serde(default)]
    pub roll_back: Option<Program>,
    /// Makes the old software the next to boot, while it runs: the new one was not booted, or the boot
    /// loader went back by itself.
    #[serde(default)]
    pub abandon: Option<Program>,
}

/// Installs by other programs: RAUC's, SWUpdate's or one's own.
#[derive(Debug)]
pub struct CommandInstaller {
    name: InstallerName,
    plan: CommandPlan,
    dir: PathBuf,
    file: String,
    marker: Marker,
}

impl CommandPlan {
    /// RAUC by its command line: `rauc install`, a reboot, then `rauc status mark-good`.
    pub fn rauc() -> Self {
        Self {
            install: Program::new(&["rauc", "install", "{artifact}"], 3_600),
            reboot: Some(Program::new(&["systemctl", "reboot"], 60)),
            booted: Some(Program::new(&["rauc", "status", "--output-format=json"], 60)),
            health: None,
            confirm: Some(Program::new(&["rauc", "status", "mark-good"], 60)),
            roll_back: Some(Program::new(&["rauc", "status", "mark-bad"], 60)),
            abandon: Some(Program::new(&["rauc", "status", "mark-active", "booted"], 60)),
        }
    }

    /// SWUpdate by its client: `swupdate-client`, a reboot, then the boot loader's `ustate` set to 0
    /// (running) or 3 (failed).
    pub fn swupdate() -> Self {
        Self {
            install: Program::new(&["swupdate-client", "{artifact}"], 3_600),
            reboot: Some(Program::new(&["systemctl", "reboot"], 60)),
            booted: None,
            health: None,
            confirm: Some(Program::new(&["fw_setenv", "ustate", "0"], 60)),
            roll_back: Some(Program::new(&["fw_setenv", "ustate", "3"], 60)),
            abandon: Some(Program::new(&["fw_setenv", "ustate", "0"], 60)),
        }
    }
}

impl CommandInstaller {
    /// An installer called `name` for one `component`, which keeps its note of a trial, and the
    /// artifact while it is handed over, in `dir`.
    pub fn new(
        name: InstallerName,
        component: &model::Component,
        plan: CommandPlan,
        dir: impl Into<PathBuf>,
    ) -> Self {
        let dir = dir.into();
        let marker = Marker::new(&dir, format!("trial-{component}.json"));
        Self { name, plan, dir, file: format!("artifact-{component}"), marker }
    }

    async fn write(&self, artifact: &Artifact, content: &mut dyn Content) -> Result<(), InstallError> {
        self.marker.remove()?;
        let failed = InstallError::program("install");
        let path = self.dir.join(&self.file).display().to_string();
        let texts = Texts::new(artifact);
        if !self.plan.install.mentions("artifact") {
            self.plan.install.feed(&texts.values(&path), content).await.map_err(failed)?;
            return Ok(());
        }
        let mut draft =
            Draft::new(&self.dir, &self.file, 0o600).map_err(InstallError::disk("write the artifact"))?;
        while let Some(piece) = content.next().map_err(InstallError::disk("read the staged artifact"))? {
            draft.write(piece).map_err(InstallError::disk("write the artifact"))?;
        }
        draft.keep().map_err(InstallError::disk("write the artifact"))?;
        let installed = self.plan.install.run(&texts.values(&path)).await;
        disk::remove(&self.dir, &self.file).map_err(InstallError::disk("remove the artifact"))?;
        installed.map_err(failed)?;
        Ok(())
    }

    async fn run(
        &self,
        step: &'static str,
        program: Option<&Program>,
        artifact: &Artifact,
    ) -> Result<String, InstallError> {
        let Some(program) = program else { return Ok(String::new()) };
        program.run(&Texts::new(artifact).values("")).await.map_err(InstallError::program(step))
    }

    /// What tells one booted software from another.
    async fn booted(&self, artifact: &Artifact) -> Result<String, InstallError> {
        let Some(program) = &self.plan.booted else {
            return fs::read_to_string("/proc/cmdline").map_err(InstallError::disk("read what is booted"));
        };
        let asked = program.ask(&Texts::new(artifact).values("")).await;
        let said = asked.map_err(InstallError::program("booted"))?;
        // RAUC prints much that changes; what is booted stands under one name.
        let json: Option<serde_json::Value> = serde_json::from_str(&said).ok();
        let named = json.as_ref().and_then(|json| json.get("booted")?.as_str().map(str::to_owned));
        Ok(named.unwrap_or(said))
    }

    async fn reboot(&self, artifact: &Artifact) -> Result<Boot, InstallError> {
        if self.plan.reboot.is_none() {
            return Ok(Boot::Running);
        }
        self.run("reboot", self.plan.reboot.as_ref(), artifact).await?;
        Ok(Boot::Restarting)
    }

    async fn stand(&self, artifact: &Artifact) -> Result<Trial, InstallError> {
        let Some(noted) = self.marker.read(artifact.digest)? else { return Ok(Trial::NotStarted) };
        if self.plan.reboot.is_none() {
            return Ok(Trial::Running);
        }
        if noted.boot_id == boot_id().map_err(InstallError::disk("read the boot id"))? {
            return Ok(Trial::NotStarted);
        }
        let fell_back = noted.before == Some(self.booted(artifact).await?);
        Ok(if fell_back { Trial::FellBack } else { Trial::Running })
    }
}

impl Installer for CommandInstaller {
    fn name(&self) -> InstallerName {
        self.name.clone()
    }

    fn install<'a>(
        &'a mut self,
        artifact: &'a Artifact,
        content: &'a mut dyn Content,
    ) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(self.write(artifact, content))
    }

    fn start_trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async {
            let before = self.booted(artifact).await?;
            self.marker.write(artifact.digest, Some(before))?;
            self.reboot(artifact).await
        })
    }

    fn trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Trial, InstallError>> {
        Box::pin(self.stand(artifact))
    }

    fn check<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async {
            let Some(health) = &self.plan.health else { return Ok(()) };
            let texts = Texts::new(artifact);
            health.check(&texts.values("")).await.map_err(InstallError::program("health"))
        })
    }

    fn confirm<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        Box::pin(async {
            self.run("confirm", self.plan.confirm.as_ref(), artifact).await?;
            self.marker.remove()
        })
    }

    fn roll_back<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        Box::pin(async {
            if self.stand(artifact).await? != Trial::Running {
                self.run("abandon", self.plan.abandon.as_ref(), artifact).await?;
                self.marker.remove()?;
                return Ok(Boot::Running);
            }
            self.run("roll_back", self.plan.roll_back.as_ref(), artifact).await?;
            // The mark stays until the old software is back, and says so after the boot.
            let boot = self.reboot(artifact).await?;
            if boot == Boot::Running {
                self.marker.remove()?;
            }
            Ok(boot)
        })
    }
}

struct Texts {
    version: String,
    component: String,
}

impl Texts {
    fn new(artifact: &Artifact) -> Self {
        Self { version: artifact.version.to_string(), component: artifact.component.to_string() }
    }

    fn values<'a>(&'a self, path: &'a str) -> [(&'static str, &'a str); 3] {
        [("artifact", path), ("version", &self.version), ("component", &self.component)]
    }
}

#[cfg(test)]
mod tests;
