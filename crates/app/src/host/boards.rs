//! The bench of the training fleet: a technician, two devices of the fleet on simulated boards, one board that
//! is a stranger, and a bundle for the two.

use std::{path::Path, sync::Arc, time::Duration};

use model::{ReleaseId, Role, Seconds, Version};
use protocol::operator::RequestState;

use crate::{
    App, BoardPlan, Error, RunningBoard, Wire,
    command::{
        BenchBundle, BenchKeep, FleetAddPerson, FleetJoin, RequestList, RequestShow, RequestSign, VaultCard,
        VaultLock,
    },
    demo::{Rules, Stage, member},
    dto::{AddPerson, BundleFile, FoundingFile, MakeBundle, Nothing, RequestName, SignRequest},
    job::step,
};

/// The model of devices that come to the bench.
const MODEL: &str = "demo-meter";
/// How long their program is, in bytes: half a minute on their line.
const PROGRAM_BYTES: usize = 300_000;
/// Bits a second.
const BAUD: u32 = 115_200;

/// The boards on the table, and who stands at it.
pub(super) struct Boards {
    pub(super) technician: Arc<App>,
    boards: Vec<RunningBoard>,
}

impl Boards {
    /// Lets a technician join, releases something for the boards, enrols them and makes a bundle for them.
    pub(super) async fn begin(stage: &Stage, rules: &Rules<'_>) -> Result<Self, Error> {
        step("boards for the bench", 0, 1)?;
        let technician = join(stage).await?;
        let constant = "a constant parses";
        let mut plans = [plan("TRN-B1-"), plan("TRN-B2-"), plan("STRANGER-1")];
        let (update, version): (_, Version) =
            (stage.dir.join("demo-meter-1.1.0"), "1.1.0".parse().expect(constant));
        plans[0].write_image(&version, &update)?;
        let release = release(stage, rules, &update).await?;
        let mut devices = Vec::new();
        for plan in &mut plans[..2] {
            let model = MODEL.parse().expect(constant);
            devices.push(stage.alice.enrol_board(plan, model, "main".parse().expect(constant)).await?);
        }
        let bundle = MakeBundle {
            release,
            target: None,
            devices,
            bench: Some("tom".parse().expect(constant)),
            unproven: false,
            life: Seconds::days(14),
            file: stage.dir.join("demo-meter-visit.fsb").display().to_string(),
        };
        let file = bundle.file.clone();
        stage.alice.run::<BenchBundle>(bundle).await?;
        technician.run::<BenchKeep>(BundleFile { file }).await?;
        technician.run::<VaultLock>(Nothing {}).await?;
        let boards = plans.iter().map(BoardPlan::start).collect::<Result<_, _>>()?;
        step("boards for the bench", 1, 1)?;
        Ok(Self { technician, boards })
    }

    /// Where they are.
    pub(super) fn ports(&self) -> Vec<String> {
        self.boards.iter().map(|board| board.address().to_owned()).collect()
    }
}

fn plan(serial: &str) -> BoardPlan {
    BoardPlan {
        serial: serial.to_owned(),
        model: MODEL.to_owned(),
        version: "1.0.0".parse().expect("a constant parses"),
        program_bytes: PROGRAM_BYTES,
        tcp: None,
        recovery: true,
        starts_in_recovery: false,
        provisioning: true,
        wire: Wire { baud: Some(BAUD), turnaround: Duration::ZERO, ..Wire::default() },
        keys: None,
    }
}

/// Tom joins, and the threshold signs that his bench counts.
async fn join(stage: &Stage) -> Result<Arc<App>, Error> {
    let tom = member(&stage.dir, "tom").await?;
    let invitation = stage.dir.join("tom.invitation.json").display().to_string();
    let add = AddPerson {
        card: tom.run::<VaultCard>(Nothing {}).await?,
        roles: vec![Role::Technician],
        models: Vec::new(),
        not_after: None,
        key_holder: false,
        invitation: invitation.clone(),
    };
    stage.alice.run::<FleetAddPerson>(add).await?;
    tom.run::<FleetJoin>(FoundingFile { file: invitation }).await?;
    for app in [&stage.alice, &stage.bob] {
        for request in app.run::<RequestList>(Nothing {}).await?.rows {
            if request.state == RequestState::Open {
                let name = RequestName { request: request.id };
                let digest = app.run::<RequestShow>(name).await?.digest;
                app.run::<RequestSign>(SignRequest { request: request.id, digest, release: None }).await?;
            }
        }
    }
    Ok(Arc::new(tom))
}

async fn release(stage: &Stage, rules: &Rules<'_>, file: &Path) -> Result<ReleaseId, Error> {
    stage.release_for((MODEL, "mcuboot"), file, "1.1.0", rules, &|_| ()).await
}
