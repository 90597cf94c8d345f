//! The training fleet: people, a backend, simulated devices and boards on the bench, all real but the devices,
//! so that everything can be tried and nothing broken. It goes when the program ends.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use model::{FailureThreshold, Gate, Percent, Seconds, SecurityCounter};
use protocol::ErrorCode;
use sim::{Arrivals, FaultMix, Fleet};

use super::{
    boards::Boards,
    registry::{Entry, WorkspaceKind},
};
use crate::{
    App, Error, Simulation,
    command::{ReleasePropose, RolloutPreview, RolloutStart, VaultLock},
    demo::{MODEL, Options, Rules, Stage},
    dto::{Commit, Nothing, PhaseSize, PlanRollout, ProposeArtifact, ProposeRelease, Size},
    job::step,
};

/// How many devices, if nobody says.
pub(crate) const DEVICES: u32 = 500;
/// The most that one computer is asked to pretend.
const DEVICES_MOST: u32 = 10_000;
/// How long the artifacts are that are rolled out, in bytes.
const ARTIFACT_BYTES: usize = 3 << 20;
/// The people.
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "tom"];

/// A training fleet at work.
pub(crate) struct Training {
    stage: Stage,
    fleet: Fleet,
    boards: Boards,
}

impl std::fmt::Debug for Training {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Training").finish_non_exhaustive()
    }
}

impl Training {
    /// Founds the fleet, enrols its devices, publishes a release, starts a rollout of it, and proposes
    /// the release after that.
    pub(crate) async fn begin(devices: Option<u32>) -> Result<Self, Error> {
        let devices = devices.unwrap_or(DEVICES);
        if !(12..=DEVICES_MOST).contains(&devices) {
            return Err(Error::new(
                ErrorCode::InvalidRequest,
                format!("a training fleet has 12 to {DEVICES_MOST} devices"),
            ));
        }
        step("a fleet of three people", 0, 1)?;
        let options =
            Options { devices: devices as usize, artifact: None, data: None, agent: PathBuf::new() };
        let rules = Rules::new(&|_| ());
        let stage = Stage::found(&options, &rules, &|_| ()).await?;
        let enrolled = stage.alice.enrol_simulated(&simulation(devices)?).await?;
        let fleet = Fleet::start(enrolled, Arrivals { per_second: 200.0 });

        step("a release and its rollout", 0, 2)?;
        let first = artifact(&stage.dir, "demo-gateway-1.1.0.bin", 1)?;
        let release = stage.release(&first, "1.1.0", &rules, &|_| ()).await?;
        let plan = plan(release);
        let preview = stage.alice.run::<RolloutPreview>(plan.clone()).await?;
        stage.alice.run::<RolloutStart>(Commit { request: plan, token: preview.token }).await?;
        step("a release and its rollout", 1, 2)?;
        let second = artifact(&stage.dir, "demo-gateway-1.2.0.bin", 2)?;
        let boards = Boards::begin(&stage, &rules).await?;
        stage.alice.run::<ReleasePropose>(proposal(&second)?).await?;
        for app in [&stage.alice, &stage.bob] {
            app.run::<VaultLock>(Nothing {}).await?;
        }
        step("a release and its rollout", 2, 2)?;
        Ok(Self { stage, fleet, boards })
    }

    /// Its workspaces, each with the person who works in it.
    pub(crate) fn workspaces(&self) -> Result<Vec<(Entry, Arc<App>)>, Error> {
        let apps = [
            Arc::clone(&self.stage.alice),
            Arc::clone(&self.stage.bob),
            Arc::new(App::open(&self.stage.dir.join("carol"))?),
            Arc::clone(&self.boards.technician),
        ];
        let entry = |(name, app)| {
            let dir = self.stage.dir.join(name);
            (Entry { name: format!("training-{name}"), kind: WorkspaceKind::Training, dir }, app)
        };
        Ok(PEOPLE.into_iter().zip(apps).map(entry).collect())
    }

    /// Where the boards on the bench are.
    pub(crate) fn ports(&self) -> Vec<String> {
        self.boards.ports()
    }

    pub(crate) async fn stop(mut self) {
        self.fleet.stop().await;
        if let Err(error) = self.stage.stop().await {
            tracing::warn!(%error, "the training backend failed");
        }
    }
}

fn simulation(devices: u32) -> Result<Simulation, Error> {
    let constant = "a constant parses";
    Ok(Simulation {
        devices: devices as usize,
        prefix: "TRN-".into(),
        model: MODEL.parse().expect(constant),
        hardware_revision: "1".parse().expect(constant),
        component: "main".parse().expect(constant),
        installer: "slots".parse().expect(constant),
        version: "1.0.0".parse().expect(constant),
        per_second: 200.0,
        faults: FaultMix {
            slow: 400,
            cut_off: 50,
            link_lapses: 150,
            trial_fails: 30,
            staged_bit_flips: 10,
            ..FaultMix::default()
        },
        seed: 7,
    })
}

fn plan(release: model::ReleaseId) -> PlanRollout {
    let share = |percent: u8| Percent::new(percent).expect("a constant share is at most 100");
    let phase = |size, success, soak| PhaseSize { size, success: share(success), soak, gate: Gate::Continue };
    PlanRollout {
        release,
        target: None,
        devices: Vec::new(),
        phases: vec![
            phase(Size::Devices(10), 50, Seconds(30)),
            phase(Size::Percent(share(25)), 80, Seconds::minutes(2)),
            phase(Size::Rest, 0, Seconds(1)),
        ],
        failure: FailureThreshold { share: share(20), minimum_sample: 20 },
        device_timeout: Seconds::minutes(10),
        retries: 2,
        rate: None,
        window: None,
        link_life: Seconds::minutes(2),
        ticket_life: Seconds::days(1),
        start_at: None,
    }
}

fn proposal(file: &Path) -> Result<ProposeRelease, Error> {
    let constant = "a constant parses";
    let artifact = ProposeArtifact {
        file: file.display().to_string(),
        model: MODEL.parse().expect(constant),
        hardware_revisions: vec!["1".parse().expect(constant)],
        component: "main".parse().expect(constant),
        version: "1.2.0".parse().expect(constant),
        security_counter: SecurityCounter(1),
        installer: "slots".parse().expect(constant),
        requires: Vec::new(),
        must_pass: false,
    };
    Ok(ProposeRelease {
        version: artifact.version.clone(),
        artifacts: vec![artifact],
        notes: "Faster start, and a fix for the clock".into(),
        draft: false,
        sign_within: None,
    })
}

/// A file that does not compress, the same for the same seed.
fn artifact(dir: &Path, name: &str, seed: u64) -> Result<PathBuf, Error> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(ARTIFACT_BYTES);
    while bytes.len() < ARTIFACT_BYTES {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|source| Error::file("write", &path, &source))?;
    Ok(path)
}
