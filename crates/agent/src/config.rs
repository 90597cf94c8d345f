//! The agent's configuration: a TOML file, `/etc/fleetseal/agent.toml` unless told otherwise.
//!
//! ```toml
//! data_dir = "/var/lib/fleetseal"      # this is the default
//! model = "press-4"
//! hardware_revision = "b"
//! serial = "P4-000123"                 # if the device knows it
//! own_clock = true                     # false on a device whose clock cannot be relied on
//!
//! [[component]]
//! name = "app"
//! installer = "slots"
//! version = "1.0.0"                    # what it was made with
//! slots.dir = "/opt/app"
//! slots.restart.argv = ["systemctl", "restart", "app"]
//! slots.health = { argv = ["{slot}/artifact", "--version"], prints = "{version}" }
//!
//! [[component]]
//! name = "system"
//! installer = "rauc"                   # or "swupdate", or "command"
//! programs.health.argv = ["/usr/libexec/self-test"]
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use model::{Component, HardwareRevision, ModelName, SecurityCounter, Serial, UnixTime, Version};
use serde::Deserialize;

use crate::{
    Fitting, InstallError, Installer, Settings,
    installer::{CommandInstaller, CommandPlan, Health, Program, SlotsInstaller, SlotsPlan},
};

/// Where the configuration is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/fleetseal/agent.toml";

/// What the configuration says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the device keeps what must survive.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The product type.
    pub model: ModelName,
    /// The hardware revision.
    pub hardware_revision: HardwareRevision,
    /// The serial number, if the device knows it.
    #[serde(default)]
    pub serial: Option<Serial>,
    /// Whether the device has a clock to rely on.
    #[serde(default = "yes")]
    pub own_clock: bool,
    /// The components.
    #[serde(default)]
    pub component: Vec<ComponentConfig>,
}

/// What the configuration says of one component.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentConfig {
    /// Its name, as targets and tickets have it.
    pub name: Component,
    /// What writes it.
    pub installer: Kind,
    /// The version that the device was made with.
    #[serde(default)]
    pub version: Option<Version>,
    /// The security counter of that version.
    #[serde(default)]
    pub security_counter: SecurityCounter,
    /// The slots, with `installer = "slots"`.
    #[serde(default)]
    pub slots: Option<SlotsPlan>,
    /// Programs in place of the installer's own; for `command`, all of them.
    #[serde(default)]
    pub programs: Programs,
}

/// The installers that the agent knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two folders and a link.
    Slots,
    /// RAUC.
    Rauc,
    /// SWUpdate.
    Swupdate,
    /// Programs of one's own.
    Command,
}

/// Programs by the steps that they stand for; see [`CommandPlan`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `CommandPlan`, explained there")]
pub struct Programs {
    pub install: Option<Program>,
    pub reboot: Option<Program>,
    pub booted: Option<Program>,
    pub health: Option<Health>,
    pub confirm: Option<Program>,
    pub roll_back: Option<Program>,
    pub abandon: Option<Program>,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no TOML, or says something that is not known.
    #[error("`{path}` is no configuration")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A component is described in part, or twice.
    #[error("component `{component}`: {reason}")]
    Component {
        /// The component.
        component: Component,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A component's installer cannot be set up.
    #[error("component `{component}` cannot be set up")]
    Installer {
        /// The component.
        component: Component,
        /// Why.
        #[source]
        source: InstallError,
    },
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is no configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
    }

    /// What the device is, in the engine's terms.
    pub fn settings(&self) -> Settings {
        Settings {
            model: self.model.clone(),
            hardware_revision: self.hardware_revision.clone(),
            serial: self.serial.clone(),
            own_clock: self.own_clock,
            built_at: built_at(),
        }
    }

    /// The components with their installers. To be called within a runtime, once the data folder is
    /// there.
    ///
    /// # Errors
    /// A component is described in part, or twice, or its installer cannot be set up.
    pub fn components(&self) -> Result<BTreeMap<Component, Fitting>, ConfigError> {
        let mut components = BTreeMap::new();
        for config in &self.component {
            let fitting = Fitting {
                installer: config.installer(&self.data_dir)?,
                version: config.version.clone(),
                security_counter: config.security_counter,
            };
            if components.insert(config.name.clone(), fitting).is_some() {
                return Err(config.wrong("it is described twice"));
            }
        }
        Ok(components)
    }
}

impl ComponentConfig {
    fn installer(&self, data_dir: &Path) -> Result<Box<dyn Installer>, ConfigError> {
        let (name, preset) = match self.installer {
            Kind::Slots => {
                let plan = self.slots.clone().ok_or_else(|| self.wrong("`slots` is missing"))?;
                if self.programs != Programs::default() {
                    return Err(self.wrong("`programs` has no meaning with slots"));
                }
                let installer = SlotsInstaller::open(plan);
                return Ok(Box::new(
                    installer
                        .map_err(|source| ConfigError::Installer { component: self.name.clone(), source })?,
                ));
            }
            Kind::Rauc => ("rauc", Some(CommandPlan::rauc())),
            Kind::Swupdate => ("swupdate", Some(CommandPlan::swupdate())),
            Kind::Command => ("command", None),
        };
        if self.slots.is_some() {
            return Err(self.wrong("`slots` goes with `installer = \"slots\"` alone"));
        }
        let programs = self.programs.clone();
        let plan = match (preset, programs.install) {
            (None, None) => return Err(self.wrong("`programs.install` is missing")),
            (None, Some(install)) => CommandPlan {
                install,
                reboot: programs.reboot,
                booted: programs.booted,
                health: programs.health,
                confirm: programs.confirm,
                roll_back: programs.roll_back,
                abandon: programs.abandon,
            },
            (Some(preset), install) => CommandPlan {
                install: install.unwrap_or(preset.install),
                reboot: programs.reboot.or(preset.reboot),
                booted: programs.booted.or(preset.booted),
                health: programs.health.or(preset.health),
                confirm: programs.confirm.or(preset.confirm),
                roll_back: programs.roll_back.or(preset.roll_back),
                abandon: programs.abandon.or(preset.abandon),
            },
        };
        let name = name.parse().expect("a short word");
        Ok(Box::new(CommandInstaller::new(name, &self.name, plan, data_dir)))
    }

    fn wrong(&self, reason: &'static str) -> ConfigError {
        ConfigError::Component { component: self.name.clone(), reason }
    }
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/fleetseal")
}

const fn yes() -> bool {
    true
}

/// When this software was built, if the build says so (`SOURCE_DATE_EPOCH`, as reproducible builds have it).
fn built_at() -> UnixTime {
    let seconds = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    UnixTime::from_secs(seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "model = 'm'\nhardware_revision = 'a'\n";

    fn components(text: &str) -> Result<BTreeMap<Component, Fitting>, String> {
        let config: Config = toml::from_str(&format!("{HEAD}{text}")).map_err(|error| error.to_string())?;
        config.components().map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn every_kind_of_installer_can_be_described() {
        let temp = tempfile::tempdir().unwrap();
        let text = format!(
            "[[component]]\nname = 'app'\ninstaller = 'slots'\nversion = '1.0.0'\nslots.dir = '{}'\n\
             slots.health = {{ argv = ['{{slot}}/artifact', '--version'], prints = '{{version}}' }}\n\
             [[component]]\nname = 'system'\ninstaller = 'rauc'\nprograms.health.argv = ['true']\n\
             [[component]]\nname = 'radio'\ninstaller = 'swupdate'\n\
             [[component]]\nname = 'plc'\ninstaller = 'command'\nprograms.install.argv = ['cat']\n",
            temp.path().display()
        );
        let components = components(&text).unwrap();
        let names: Vec<_> = components.values().map(|fitting| fitting.installer.name().to_string()).collect();
        assert_eq!(names, ["slots", "command", "swupdate", "rauc"]);
        assert_eq!(components[&"app".parse().unwrap()].version, "1.0.0".parse().ok());
    }

    #[tokio::test]
    async fn what_is_half_described_or_unknown_is_refused() {
        for (text, why) in [
            ("[[component]]\nname = 'app'\ninstaller = 'slots'\n", "`slots` is missing"),
            ("[[component]]\nname = 'app'\ninstaller = 'command'\n", "`programs.install` is missing"),
            ("[[component]]\nname = 'app'\ninstaller = 'magic'\n", "unknown variant"),
            ("[[component]]\nname = 'app'\ninstaller = 'rauc'\ncolour = 'red'\n", "unknown field"),
            ("[[component]]\nname = 'app'\ninstaller = 'rauc'\nslots.dir = '/x'\n", "`slots` goes with"),
            (
                "[[component]]\nname = 'a'\ninstaller = 'rauc'\n[[component]]\nname = 'a'\ninstaller = 'rauc'\n",
                "twice",
            ),
            ("insecure = true\n", "unknown field"),
        ] {
            let error = components(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
