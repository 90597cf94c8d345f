//! The devices: simulated ones, some with a part to play, and a few that are processes of their own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use agent::{Blob, EnrolmentToken, MemoryStorage, Storage as _};
use model::{DeviceId, Seconds, SecurityCounter, Serial};
use protocol::ErrorCode;
use sim::{Arrivals, Fault, Fleet, Plan, SimDevice};
use tokio::process::{Child, Command};

use super::{
    Options, Scene,
    artifact::Artifact,
    rules::{Rule, Rules},
    stage::{MODEL, Stage},
};
use crate::{
    App, Error,
    command::{DeviceApprove, DeviceToken},
    dto::{ApproveEnrolments, MakeToken},
    workspace::write_secret,
};

/// How many devices are processes of their own.
pub(crate) const AGENTS: usize = 3;
/// How long a download link lives in the demo.
pub(crate) const LINK_LIFE: Seconds = Seconds(5);

/// Who plays which part, by number.
pub(crate) const LAPSES: usize = 0;
pub(crate) const CUT_OFF: usize = 1;
pub(crate) const TRIAL_FAILS: usize = 2;
pub(crate) const BIT_FLIPS: usize = 3;
pub(crate) const THIEF: usize = 4;
pub(crate) const REVOKED: usize = 5;
pub(crate) const ALPHA: usize = 6;
pub(crate) const BETA: usize = 7;
pub(crate) const GAMMA: usize = 8;
pub(crate) const CLONED: usize = 9;
pub(crate) const GARBLED: usize = 10;
pub(crate) const DELTA: usize = 11;
pub(crate) const PARTS: usize = 12;

pub(crate) struct Field {
    pub(crate) devices: Vec<Arc<SimDevice>>,
    pub(crate) ids: Vec<DeviceId>,
    pub(crate) agents: Vec<AgentProcess>,
}

/// The field at work.
pub(crate) struct Running {
    pub(crate) devices: Vec<Arc<SimDevice>>,
    pub(crate) ids: Vec<DeviceId>,
    pub(crate) agents: Vec<AgentProcess>,
    pub(crate) fleet: Option<Fleet>,
    children: Vec<Child>,
}

/// A device that is a process of its own.
pub(crate) struct AgentProcess {
    pub(crate) serial: Serial,
    pub(crate) dir: PathBuf,
}

impl Field {
    pub(crate) async fn enrol(
        options: &Options,
        stage: &Stage,
        artifact: &Artifact,
        rules: &Rules<'_>,
        watch: &(dyn Fn(Scene) + Send + Sync),
    ) -> Result<Self, Error> {
        if options.devices < PARTS {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                format!("the story needs {PARTS} devices or more"),
            ));
        }
        let devices: Vec<_> =
            (0..options.devices).map(|number| Arc::new(device(number, artifact.bytes()))).collect();
        let agents: Vec<_> = (1..=AGENTS)
            .map(|number| AgentProcess {
                serial: format!("AGENT-{number}")
                    .parse()
                    .expect("a serial number of letters and digits parses"),
                dir: stage.dir.join(format!("agent-{number}")),
            })
            .collect();
        let total = devices.len() + agents.len();
        let mut tokens = Vec::with_capacity(total);
        let serials = devices
            .iter()
            .map(|device| &device.plan().serial)
            .chain(agents.iter().map(|agent| &agent.serial));
        for (done, serial) in serials.enumerate() {
            tokens.push(token(&stage.alice, serial).await?);
            watch(Scene::Progress { what: "one-time tokens", done: done as u64 + 1, total: total as u64 });
        }
        let agent_tokens = tokens.split_off(devices.len());
        let tokens = tokens.iter().map(|token| parse(token)).collect::<Result<Vec<_>, _>>()?;

        let approve = approve(&stage.alice, total, watch);
        let simulated =
            async { Fleet::enrol(&devices, tokens, |_| ()).await.map_err(|source| refused(&source)) };
        let processes = async {
            for (agent, token) in agents.iter().zip(&agent_tokens) {
                agent.prepare(token, artifact)?;
                let mut child = agent.spawn(stage.agent(), &["enrol", "--token-file", "token"])?;
                let status =
                    child.wait().await.map_err(|source| Error::internal("an agent was lost", source))?;
                if !status.success() {
                    return Err(agent.failed("enrol"));
                }
            }
            Ok(())
        };
        tokio::try_join!(approve, simulated, processes)?;
        watch(Scene::Line {
            text: format!(
                "{total} devices made their own keys, were given certificates and proved both keys"
            ),
        });

        let ids = devices.iter().map(|device| id(&device.storage())).collect::<Result<_, _>>()?;
        let field = Self { devices, ids, agents };
        field.try_copied_keys(stage, rules).await?;
        Ok(field)
    }

    /// A second device with the keys of a first one.
    async fn try_copied_keys(&self, stage: &Stage, rules: &Rules<'_>) -> Result<(), Error> {
        let copy = copy_of(&self.devices[THIEF].storage(), &[Blob::IdentityKey, Blob::KemKey])?;
        let mut plan = self.devices[THIEF].plan().clone();
        plan.serial = "SIM-COPY".parse().expect("a constant parses");
        let token = parse(&token(&stage.alice, &plan.serial).await?)?;
        let copied = SimDevice::new(plan).with_storage(copy);
        let enrol = async { copied.enrol(token).await.map(drop).map_err(|source| refused(&source)) };
        let decide = async {
            loop {
                let done = stage.alice.run::<DeviceApprove>(ApproveEnrolments {}).await?;
                if !done.refused.is_empty() {
                    return Ok::<_, Error>(());
                }
                stage.alice.wait_for_enrolments().await?;
            }
        };
        let (outcome, decided) = tokio::join!(enrol, tokio::time::timeout(Duration::from_secs(20), decide));
        decided.unwrap_or(Ok(()))?;
        let tried = "enrol a second device with the keys of a first one";
        rules.expect_refusal(Rule::R3, tried, outcome, &[ErrorCode::KeySeen]);
        Ok(())
    }

    pub(crate) fn start(self, stage: &Stage) -> Result<Running, Error> {
        // The cloned device is switched on later, when its copy was there first.
        let started = self.devices.iter().enumerate().filter(|(number, _)| *number != CLONED);
        let devices = started.map(|(_, device)| Arc::clone(device)).collect();
        let fleet = Fleet::start(devices, Arrivals { per_second: 400.0 });
        let mut children = Vec::new();
        for agent in &self.agents {
            children.push(agent.spawn(stage.agent(), &["run"])?);
        }
        let Self { devices, ids, agents } = self;
        Ok(Running { devices, ids, agents, fleet: Some(fleet), children })
    }
}

impl Running {
    /// Switches everything off.
    pub(crate) async fn stop(&mut self) {
        if let Some(fleet) = self.fleet.take() {
            fleet.stop().await;
        }
        for child in &mut self.children {
            // It may have ended by itself.
            drop(child.kill().await);
        }
    }
}

impl AgentProcess {
    fn prepare(&self, token: &str, artifact: &Artifact) -> Result<(), Error> {
        let failed = |source: std::io::Error| Error::file("prepare", &self.dir, &source);
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let dir = self.dir.display();
        let config = format!(
            "data_dir = {:?}\nmodel = \"{MODEL}\"\nhardware_revision = \"1\"\nserial = \"{}\"\n\n\
             [[component]]\nname = \"main\"\ninstaller = \"slots\"\nversion = \"1.0.0\"\n\
             slots.dir = {:?}\nslots.health = {}\n",
            format!("{dir}/data"),
            self.serial,
            format!("{dir}/slots"),
            artifact.health(),
        );
        fs::write(self.dir.join("agent.toml"), config).map_err(failed)?;
        write_secret(&self.dir.join("token"), token)
    }

    fn spawn(&self, program: &Path, arguments: &[&str]) -> Result<Child, Error> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log"));
        let log = log.map_err(|source| Error::file("write", &self.dir.join("log"), &source))?;
        Command::new(program)
            .args(["--config", "agent.toml"])
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::file("start", program, &source))
    }

    fn failed(&self, what: &str) -> Error {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default().to_owned();
        Error::new(ErrorCode::Internal, format!("agent {} failed to {what}", self.serial)).detail(last)
    }

    /// What runs there now.
    pub(crate) fn running(&self) -> Option<Vec<u8>> {
        fs::read(self.dir.join("slots/current/artifact")).ok()
    }
}

/// The id that a device was given.
pub(crate) fn id(storage: &MemoryStorage) -> Result<DeviceId, Error> {
    #[derive(serde::Deserialize)]
    struct Enrolled {
        device: DeviceId,
    }
    let missing = || Error::new(ErrorCode::Internal, "a device did not enrol");
    let bytes = storage.read(Blob::Identity).ok().flatten().ok_or_else(missing)?;
    let enrolled: Enrolled = serde_json::from_slice(&bytes).map_err(|_| missing())?;
    Ok(enrolled.device)
}

/// A disk with copies of these blobs.
pub(crate) fn copy_of(storage: &MemoryStorage, blobs: &[Blob]) -> Result<MemoryStorage, Error> {
    let failed = |source| Error::internal("a simulated disk failed", source);
    let mut copy = MemoryStorage::new();
    for blob in blobs {
        if let Some(content) = storage.read(*blob).map_err(failed)? {
            copy.write(*blob, &content).map_err(failed)?;
        }
    }
    Ok(copy)
}

/// A line fails in the middle of the download, however short that is.
fn device(number: usize, bytes: u64) -> SimDevice {
    let after_bytes = (bytes / 2).min(300_000);
    let fault = match number {
        LAPSES => Fault::LinkLapses { milliseconds: 7_000 },
        CUT_OFF => Fault::CutOff { after_bytes },
        TRIAL_FAILS => Fault::TrialFails,
        BIT_FLIPS => Fault::StagedBitFlips,
        GARBLED => Fault::Garbled { after_bytes },
        // It is revoked while it holds an offer, however fast it would be.
        REVOKED => Fault::LinkLapses { milliseconds: 120_000 },
        _ => Fault::None,
    };
    let constant = "a constant parses";
    SimDevice::new(Plan {
        serial: format!("SIM-{number:04}").parse().expect("a serial number of letters and digits parses"),
        model: MODEL.parse().expect(constant),
        hardware_revision: "1".parse().expect(constant),
        component: "main".parse().expect(constant),
        installer: "slots".parse().expect(constant),
        version: "1.0.0".parse().expect(constant),
        security_counter: SecurityCounter(0),
        fault,
        boots_in: Duration::from_millis(200),
    })
}

async fn token(alice: &App, serial: &Serial) -> Result<String, Error> {
    let constant = "a constant parses";
    let make = MakeToken {
        serial: serial.clone(),
        model: MODEL.parse().expect(constant),
        hardware_revision: "1".parse().expect(constant),
        station: None,
        life: Seconds::hours(1),
    };
    Ok(alice.run::<DeviceToken>(make).await?.token)
}

fn parse(token: &str) -> Result<EnrolmentToken, Error> {
    Ok(token.parse::<EnrolmentToken>()?)
}

/// Issues certificates until `total` devices have proven their keys.
async fn approve(alice: &App, total: usize, watch: &(dyn Fn(Scene) + Send + Sync)) -> Result<(), Error> {
    let mut proven = 0;
    while proven < total {
        let done = alice.run::<DeviceApprove>(ApproveEnrolments {}).await?;
        if let Some((serial, why)) = done.refused.first() {
            return Err(Error::new(ErrorCode::Refused, format!("{serial} was refused")).detail(why.clone()));
        }
        let idle = done.proven.is_empty() && done.issued.is_empty();
        proven += done.proven.len();
        watch(Scene::Progress { what: "devices enrolled", done: proven as u64, total: total as u64 });
        if idle && proven < total {
            alice.wait_for_enrolments().await?;
        }
    }
    Ok(())
}

fn refused(source: &agent::Error) -> Error {
    Error::because(source.code(), "a device could not enrol", source)
}

/// Serial numbers of the devices with a part to play, and which part.
pub(crate) fn cast() -> BTreeMap<usize, &'static str> {
    BTreeMap::from([
        (LAPSES, "let its link expire"),
        (CUT_OFF, "was cut off mid-download"),
        (TRIAL_FAILS, "failed its trial boot"),
        (BIT_FLIPS, "had a bit flip in its flash"),
        (REVOKED, "was revoked"),
        (CLONED, "had its disk copied"),
        (GARBLED, "had a byte altered on its line"),
    ])
}
