//! The rollout, and what is tried against links and devices while it runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agent::{Blob, Storage as _};
use envelope::{KemSecret, Recipient};
use model::{
    DeploymentState, DeviceId, FailureThreshold, Gate, Percent, ReleaseId, RolloutId, RolloutState, Seconds,
    planner::Counts,
};
use protocol::{
    Base64, ErrorCode,
    device::{CheckInRequest, CheckInResponse, path as device_path},
    operator::{DeploymentRow, DeviceState, LinkCounts, RolloutDetail},
};
use sim::{Intruder, is_refusal};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::sleep,
};

use super::{
    Scene,
    artifact::Artifact,
    field::{self, LINK_LIFE, Running},
    links::{self, Links},
    rules::{Rule, Rules},
    stage::Stage,
};
use crate::{
    Error, Shutdown,
    command::{
        DeviceRevoke, DeviceRevokePreview, DeviceShow, FleetShow, RolloutDeployments, RolloutPreview,
        RolloutShow, RolloutStart,
    },
    dto::{
        Commit, DeviceName, ListDeployments, Nothing, PageRequest, PhaseSize, PlanRollout, RevokeDevice,
        RolloutName, Size,
    },
};

/// How the main rollout ended.
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    pub(crate) links: LinkCounts,
    /// What is not where it should be.
    pub(crate) astray: Vec<String>,
}

/// What a TLS record begins with that says why the connection ends (RFC 8446, 5.1).
const ALERT: u8 = 21;
/// How long the rollout may take.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) async fn rollout(
    stage: &Stage,
    field: &mut Running,
    release: ReleaseId,
    artifact: &Artifact,
    rules: &Rules<'_>,
    watch: &(dyn Fn(Scene) + Send + Sync),
) -> Result<Outcome, Error> {
    let alice = &stage.alice;
    let request = plan(release);
    let planned = alice.run::<RolloutPreview>(request.clone()).await?;
    watch(Scene::Line {
        text: format!(
            "{} devices in {} phases; each gets a ticket of its own, signed and sealed",
            planned.devices,
            planned.policy.phases.len()
        ),
    });
    let started = alice.run::<RolloutStart>(Commit { request, token: planned.token }).await?;
    let rollout = RolloutName { rollout: started.row.id };

    strangers(stage, field, rules).await?;
    revoke(stage, field, rules).await?;
    let mut seen = Links::default();
    let mut copy = Copy::NotYet;
    let deadline = Instant::now() + PATIENCE;
    let detail = loop {
        let detail = alice.run::<RolloutShow>(rollout).await?;
        let links = alice.run::<FleetShow>(Nothing {}).await?.links;
        watch(Scene::Rollout { counts: detail.row.counts, links });
        seen.look(stage, field, rules).await?;
        copy = copy.go_on(stage, field, rules).await?;
        match detail.row.state {
            state if state.ended() => break detail,
            RolloutState::Paused => {
                let why = stuck(stage, rollout.rollout).await?;
                return Err(Error::new(ErrorCode::Refused, "the rollout paused by itself").detail(why));
            }
            _ if Instant::now() > deadline => {
                let stuck = stuck(stage, rollout.rollout).await?;
                return Err(Error::new(ErrorCode::Timeout, "the rollout did not end in time").detail(stuck));
            }
            RolloutState::Planned
            | RolloutState::Running
            | RolloutState::Finished
            | RolloutState::Aborted => {
                sleep(Duration::from_millis(250)).await;
            }
        }
    };
    let rows = deployments(stage, rollout.rollout).await?;
    let links = alice.run::<FleetShow>(Nothing {}).await?.links;
    afterwards(stage, field, &rows, &seen, artifact, rules).await?;
    Ok(Outcome { counts: detail.row.counts, links, astray: astray(field, &detail, &rows, artifact) })
}

fn plan(release: ReleaseId) -> PlanRollout {
    let share = |percent: u8| Percent::new(percent).expect("a constant share is at most 100");
    let phase =
        |size, success| PhaseSize { size, success: share(success), soak: Seconds(1), gate: Gate::Continue };
    PlanRollout {
        release,
        target: None,
        devices: Vec::new(),
        phases: vec![phase(Size::Devices(5), 20), phase(Size::Percent(share(40)), 50), phase(Size::Rest, 0)],
        failure: FailureThreshold { share: share(30), minimum_sample: 10 },
        device_timeout: Seconds::minutes(3),
        retries: 1,
        rate: None,
        window: None,
        link_life: LINK_LIFE,
        ticket_life: Seconds::days(1),
        start_at: None,
    }
}

/// Those who have no certificate of the fleet.
async fn strangers(stage: &Stage, field: &Running, rules: &Rules<'_>) -> Result<(), Error> {
    let address = stage.address();
    let plain = async {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(b"GET /v1/operator/fleet HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let (held, outcome) = match plain.await {
        Ok(answer) if answer.first() == Some(&ALERT) => (true, "a TLS alert came back, and no HTTP".into()),
        Ok(answer) => (false, format!("{} bytes came back", answer.len())),
        Err(error) => (false, error.to_string()),
    };
    rules.tried(Rule::R1, "speak HTTP without TLS", held, outcome);

    let stranger = Intruder::stranger(&field.devices[field::THIEF].storage())
        .map_err(|source| Error::internal("a stranger could not be made", source))?;
    let answer = stranger.get("/v1/operator/fleet").await;
    let (held, outcome) = match answer {
        Ok(answer) => (false, format!("an answer came back, of status {}", answer.status)),
        Err(error) => (is_refusal(&error), error.to_string()),
    };
    rules.tried(Rule::R1, "connect with a certificate that nobody issued", held, outcome);
    Ok(())
}

/// A device loses its place in the fleet in the middle of a rollout.
async fn revoke(stage: &Stage, field: &Running, rules: &Rules<'_>) -> Result<(), Error> {
    let device = field.ids[field::REVOKED];
    revoke_device(stage, device, "lost in the demo").await?;
    let storage = field.devices[field::REVOKED].storage();
    let answer = intruder(&storage)?.post(device_path::CHECK_IN, &check_in(1_000)).await;
    let held = answer.as_ref().is_ok_and(|answer| answer.status == 403);
    let outcome = answer
        .map_or_else(|error| error.to_string(), |answer| format!("refused with status {}", answer.status));
    rules.tried(Rule::R3, "a revoked device asks once more", held, outcome);
    Ok(())
}

/// A copy of a device's disk comes first; then the device itself.
enum Copy {
    NotYet,
    BothRun(Shutdown, JoinHandle<Result<(), agent::Error>>, Instant),
    Told,
}

impl Copy {
    async fn go_on(self, stage: &Stage, field: &Running, rules: &Rules<'_>) -> Result<Self, Error> {
        let device = &field.devices[field::CLONED];
        let id = field.ids[field::CLONED];
        match self {
            Self::NotYet => {
                // The copy has been in use for a minute, so it is ahead.
                let ahead = (stage.alice.now() + Seconds::minutes(1)).as_secs();
                let Ok(answer) =
                    intruder(&device.storage())?.post(device_path::CHECK_IN, &check_in(ahead)).await
                else {
                    return Ok(self);
                };
                let offers =
                    serde_json::from_slice::<CheckInResponse>(&answer.body).map(|answer| answer.offers);
                let Some(sealed) = offers.unwrap_or_default().into_iter().find_map(|offer| offer.sealed_link)
                else {
                    return Ok(self);
                };
                captured_link(field, id, &sealed, rules);
                let told = Shutdown::new();
                let (device, cancel) = (Arc::clone(device), told.clone());
                let run = tokio::spawn(async move { device.run(cancel, Box::new(|_| ())).await });
                Ok(Self::BothRun(told, run, Instant::now()))
            }
            Self::BothRun(told, run, since) => {
                let state = stage.alice.run::<DeviceShow>(DeviceName { device: id }).await?.row.state;
                if state == DeviceState::Active && since.elapsed() < Duration::from_secs(15) {
                    return Ok(Self::BothRun(told, run, since));
                }
                told.cancel();
                drop(run.await);
                let outcome = if state == DeviceState::Cloned {
                    "their counters fork: the backend raises an alarm and serves neither".to_owned()
                } else {
                    "nobody noticed the copy".to_owned()
                };
                let tried = "run a device beside a copy of its disk";
                rules.tried(Rule::R3, tried, state == DeviceState::Cloned, outcome);
                revoke_device(stage, id, "its disk was copied").await?;
                Ok(Self::Told)
            }
            Self::Told => Ok(self),
        }
    }
}

/// A link as it travels, in the hands of somebody who has another device's key.
fn captured_link(field: &Running, device: DeviceId, sealed: &[u8], rules: &Rules<'_>) {
    let opened = |who: usize| {
        let secret = field.devices[who].storage().read(Blob::KemKey).ok().flatten();
        let secret = secret.and_then(|secret| KemSecret::from_bytes(secret.as_slice().try_into().ok()?).ok());
        let recipient = Recipient::Device(device);
        secret.is_some_and(|secret| {
            envelope::open("fleetseal-link/1", &secret, recipient, sealed, 4_096).is_ok()
        })
    };
    let held = !opened(field::THIEF) && opened(field::CLONED);
    let tried = "open a captured link with another device's key";
    rules.tried(Rule::R9, tried, held, "only its own device's key opens it");
}

/// What can be tried once the rollout has ended.
async fn afterwards(
    stage: &Stage,
    field: &Running,
    rows: &[DeploymentRow],
    seen: &Links,
    artifact: &Artifact,
    rules: &Rules<'_>,
) -> Result<(), Error> {
    let state = |number: usize| state_of(rows, field.ids[number]);
    seen.afterwards(stage, field, rows, rules).await?;

    let succeeded = |number: usize| state(number) == Some(DeploymentState::Succeeded);
    let cut = field.devices[field::CUT_OFF].line_failed() && succeeded(field::CUT_OFF);
    let row = rows.iter().find(|row| row.device == field.ids[field::CUT_OFF]);
    let outcome = row
        .map_or_else(String::new, |row| format!("{} after {} bytes", row.state.as_str(), row.served_bytes));
    rules.tried(Rule::R12, "cut the line in the middle of a download", cut, format!("resumed: {outcome}"));
    let remade = links::happened(stage, field.ids[field::BIT_FLIPS], "link_reissued").await?;
    let whole = !remade.is_empty() && succeeded(field::BIT_FLIPS);
    let outcome = "noticed once all of it was opened and hashed; fetched anew by another link, and installed";
    rules.tried(Rule::R12, "flip a bit of what a device staged", whole, outcome);
    let garbled = field.devices[field::GARBLED].line_failed() && succeeded(field::GARBLED);
    rules.tried(
        Rule::R2,
        "alter a byte between device and backend",
        garbled,
        "the connection broke, nothing of it was taken, and the download went on",
    );
    let failed = state(field::TRIAL_FAILS);
    rules.tried(
        Rule::R14,
        "boot new software that does not come up",
        failed == Some(DeploymentState::RolledBack),
        format!("every byte was written, and it counts as {}", in_words(failed)),
    );
    plaintext(stage, artifact, rules)
}

/// Looks for the artifact on the backend's disk.
fn plaintext(stage: &Stage, artifact: &Artifact, rules: &Rules<'_>) -> Result<(), Error> {
    let (files, found) = artifact.search(&stage.config.data)?;
    let outcome = format!("{files} files searched, found in {found}");
    rules.tried(Rule::R8, "search the backend's disk for the update", found == 0 && files > 0, outcome);
    Ok(())
}

/// What is not where it should be.
fn astray(
    field: &Running,
    detail: &RolloutDetail,
    rows: &[DeploymentRow],
    artifact: &Artifact,
) -> Vec<String> {
    let mut astray = Vec::new();
    if detail.row.state != RolloutState::Finished {
        astray.push(format!("the rollout ended as {}", detail.row.state.as_str()));
    }
    for (number, device) in field.ids.iter().enumerate() {
        let state = state_of(rows, *device);
        let right = match number {
            field::TRIAL_FAILS => state == Some(DeploymentState::RolledBack),
            field::REVOKED | field::CLONED => state == Some(DeploymentState::Canceled),
            _ => state == Some(DeploymentState::Succeeded),
        };
        if !right {
            let part = field::cast().get(&number).copied().unwrap_or("did nothing special");
            astray.push(format!("device {number}, which {part}, ended as {}", in_words(state)));
        }
    }
    for agent in &field.agents {
        let row = rows.iter().find(|row| row.serial == agent.serial);
        if row.map(|row| row.state) != Some(DeploymentState::Succeeded) {
            let code = row.and_then(|row| row.code.clone()).unwrap_or_default();
            let state = in_words(row.map(|row| row.state));
            astray.push(format!("process {} ended as {state} {code}", agent.serial));
        } else if !agent.running().is_some_and(|running| artifact.is(&running)) {
            astray.push(format!("process {} runs something else", agent.serial));
        }
    }
    astray
}

async fn revoke_device(stage: &Stage, device: DeviceId, reason: &str) -> Result<(), Error> {
    let preview = stage.alice.run::<DeviceRevokePreview>(DeviceName { device }).await?;
    let revoke = RevokeDevice { device, reason: reason.into(), token: preview.token };
    stage.alice.run::<DeviceRevoke>(revoke).await.map(drop)
}

async fn deployments(stage: &Stage, rollout: RolloutId) -> Result<Vec<DeploymentRow>, Error> {
    let mut rows = Vec::new();
    let mut page = PageRequest { after: None, limit: Some(500) };
    loop {
        let request = ListDeployments { rollout, state: None, device: None, code: None, page: page.clone() };
        let next = stage.alice.run::<RolloutDeployments>(request).await?;
        rows.extend(next.rows);
        match next.next {
            Some(after) => page.after = Some(after),
            None => return Ok(rows),
        }
    }
}

async fn stuck(stage: &Stage, rollout: RolloutId) -> Result<String, Error> {
    let rows = deployments(stage, rollout).await?;
    let open = rows.iter().filter(|row| !row.state.ended()).take(10);
    Ok(open.map(|row| format!("{} is {}", row.serial, row.state.as_str())).collect::<Vec<_>>().join(", "))
}

pub(crate) fn in_words(state: Option<DeploymentState>) -> &'static str {
    state.map_or("not part of the rollout", DeploymentState::as_str)
}

pub(crate) fn state_of(rows: &[DeploymentRow], device: DeviceId) -> Option<DeploymentState> {
    rows.iter().find(|row| row.device == device).map(|row| row.state)
}

pub(crate) fn intruder(storage: &agent::MemoryStorage) -> Result<Intruder, Error> {
    let intruder = Intruder::with_disk_of(storage);
    intruder.map_err(|source| Error::internal("a device's disk could not be read", source))
}

fn check_in(counter: u64) -> Vec<u8> {
    let request = CheckInRequest { counter, nonce: Base64(vec![7; 16]), components: Vec::new() };
    serde_json::to_vec(&request).unwrap_or_default()
}
