//! Consent: what a screen asks for is shown in the vault's window, in words made here from what will
//! really be done, and is done only once a person gives it there.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{Digest, JobId, UnixTime};
use protocol::ErrorCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::oneshot;
use ts_rs::TS;

use crate::{
    App, Error,
    command::{
        DeviceReplacePreview, DeviceRetirePreview, DeviceRevokePreview, FleetRecoverBackendPreview,
        RequestRead, RequestShow, RolloutAddPreview, RolloutPreview,
    },
    digest_words,
    dto::{
        AddToRollout, Change, ChangeKind, Commit, DeviceName, Nothing, PlanRollout, Preview, ReplaceDevice,
        RequestFileName, RequestName, RevokeDevice, RolloutPlan, SignRequest, SignRequestFile, Statement,
        UpdateDevices,
    },
    job,
    plan::expect_same_plan,
    release::expect_same,
};

/// How many may wait. A screen that asks for more has gone wrong, or bad.
const WAITING_MOST: usize = 8;

/// Something that waits for consent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
pub struct Ceremony {
    /// Its number.
    pub id: u32,
    /// Which command was asked for.
    pub command: String,
    /// What it would do, in a sentence.
    pub title: String,
    /// What stands in it.
    pub lines: Vec<CeremonyLine>,
    /// The SHA-256 of exactly that: of the bytes that are signed where there are such, else of command
    /// and request.
    pub digest: Digest,
    /// The digest as eight words, to compare by voice with a second machine.
    pub words: Vec<String>,
    /// In which workspace.
    pub workspace: String,
    /// Whether that is for training only.
    pub training: bool,
    /// Since when it waits.
    pub asked_at: UnixTime,
}

/// One line of what is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct CeremonyLine {
    /// What, in snake_case: a field's name.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// One ceremony.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct CeremonyName {
    /// Its number.
    pub id: u32,
}

/// What a ceremony says, before it has a number.
#[derive(Debug)]
pub(crate) struct Shown {
    title: String,
    lines: Vec<CeremonyLine>,
    digest: Digest,
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Ceremonies(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u32,
    all: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    shown: Ceremony,
    /// The job that asked for it.
    job: Option<JobId>,
    decide: oneshot::Sender<Decision>,
}

/// What a person decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Do it, and say here how it went.
    Given(oneshot::Sender<Result<(), Error>>),
    /// Leave it.
    Refused,
}

impl Ceremonies {
    pub(crate) fn pending(&self) -> Vec<Ceremony> {
        self.lock().all.iter().map(|pending| pending.shown.clone()).collect()
    }

    /// Puts it among those that wait.
    pub(crate) fn add(
        &self,
        command: &str,
        shown: Shown,
        (workspace, training): (String, bool),
        now: UnixTime,
    ) -> Result<(u32, oneshot::Receiver<Decision>), Error> {
        let mut waiting = self.lock();
        if waiting.all.len() >= WAITING_MOST {
            return Err(Error::new(ErrorCode::Busy, "too much waits for consent already")
                .hint("decide in the vault's window what waits there"));
        }
        waiting.next += 1;
        let id = waiting.next;
        let (decide, decision) = oneshot::channel();
        let shown = Ceremony {
            id,
            command: command.to_owned(),
            title: shown.title,
            lines: shown.lines,
            words: digest_words(&shown.digest).map(str::to_owned).to_vec(),
            digest: shown.digest,
            workspace,
            training,
            asked_at: now,
        };
        waiting.all.push(Pending { shown, job: job::current(), decide });
        Ok((id, decision))
    }

    /// Whether something waits that this job asked for.
    pub(crate) fn wait_for(&self, job: JobId) -> bool {
        self.lock().all.iter().any(|pending| pending.job == Some(job))
    }

    /// Takes one out, to decide it.
    pub(crate) fn take(&self, id: u32) -> Option<oneshot::Sender<Decision>> {
        let mut waiting = self.lock();
        let at = waiting.all.iter().position(|pending| pending.shown.id == id)?;
        Some(waiting.all.remove(at).decide)
    }

    /// Refuses all that waits.
    pub(crate) fn clear(&self) {
        self.lock().all.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// What `command` would do with `request`.
    pub(crate) async fn of(app: &App, command: &str, request: &Value) -> Result<Self, Error> {
        let mut shown = Self::plain(command, request);
        match command {
            "request.sign" => {
                let sign: SignRequest = read(command, request)?;
                let name = RequestName { request: sign.request };
                shown.statement(&app.run::<RequestShow>(name).await?, sign.digest)?;
            }
            "request.sign_file" => {
                let sign: SignRequestFile = read(command, request)?;
                let name = RequestFileName { file: sign.file };
                shown.statement(&app.run::<RequestRead>(name).await?, sign.digest)?;
            }
            "rollout.start" => {
                let commit: Commit<PlanRollout> = read(command, request)?;
                shown.plan(&app.run::<RolloutPreview>(commit.request).await?, &commit.token)?;
            }
            "device.revoke" | "device.retire" => {
                let revoke: RevokeDevice = read(command, request)?;
                let name = DeviceName { device: revoke.device };
                let preview = match command {
                    "device.retire" => app.run::<DeviceRetirePreview>(name).await?,
                    _ => app.run::<DeviceRevokePreview>(name).await?,
                };
                shown.title = preview.summary;
                shown.lines.clear();
                shown.line("device", &revoke.device);
                shown.line("reason", &revoke.reason);
            }
            "device.replace" => {
                let replace: ReplaceDevice = read(command, request)?;
                let preview = app.run::<DeviceReplacePreview>(DeviceName { device: replace.device }).await?;
                shown.title = preview.summary;
                shown.lines.clear();
                shown.line("device", &replace.device);
            }
            "fleet.recover_backend" => {
                let commit: Commit<Nothing> = read(command, request)?;
                let preview = app.run::<FleetRecoverBackendPreview>(commit.request).await?;
                shown.preview(preview, &commit.token)?;
            }
            "rollout.add" => {
                let commit: Commit<AddToRollout> = read(command, request)?;
                let preview = app.run::<RolloutAddPreview>(commit.request).await?;
                shown.preview(preview, &commit.token)?;
            }
            "bench.update" => {
                let update: UpdateDevices = read(command, request)?;
                shown.title = match update.devices.as_slice() {
                    [_] => "Open the ticket of a device on the bench, and update it".to_owned(),
                    devices => {
                        format!("Open the tickets of {} devices on the bench, and update them", devices.len())
                    }
                };
                shown.lines.clear();
                for device in &update.devices {
                    let file = device.bundle.as_ref().and_then(|file| Path::new(file).file_name());
                    let file =
                        file.map_or("what the backend has for it".into(), |name| name.to_string_lossy());
                    shown.line(&device.line.port, &file);
                }
            }
            _ => {}
        }
        Ok(shown)
    }

    /// What a preview says, which must be what the person saw.
    fn preview(&mut self, preview: Preview, token: &str) -> Result<(), Error> {
        expect_same(&preview, token)?;
        self.title = preview.summary;
        self.lines.clear();
        for effect in &preview.effects {
            self.line(&effect.effect, &effect.count);
        }
        Ok(())
    }

    /// Command and request as they are.
    fn plain(command: &str, request: &Value) -> Self {
        let title = match command {
            "fleet.found" | "backend.found" => "Found a fleet: make its CAs, sign its first root and targets",
            "fleet.sign" => "Sign the founding of a fleet",
            "fleet.add_person" => "Issue a certificate for a new member",
            "fleet.renew_person" => "Issue a fresh certificate for a member",
            "fleet.renew_server" => "Issue a fresh certificate for the backend",
            "device.token" => "Make a one-time enrolment token",
            "device.approve" => "Issue certificates for the devices that wait, if they are right",
            "release.seal" => "Encrypt the artifact once, and sign how",
            "rollout.renew" => "Sign the tickets of a rollout anew",
            "rollout.hold" => "Sign a hold for every device of a rollout",
            other => other,
        };
        let digest = envelope::sha256(format!("{command}\0{request}").as_bytes());
        let mut shown = Self { title: title.to_owned(), lines: Vec::new(), digest };
        shown.fields("", request);
        shown
    }

    /// The fields of a value, one line each.
    fn fields(&mut self, name: &str, value: &Value) {
        let below = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
        match value {
            Value::Null => {}
            Value::Bool(value) => self.line(name, value),
            Value::Number(value) => self.line(name, value),
            Value::String(value) => self.line(name, value),
            Value::Array(values) => {
                for (number, value) in values.iter().enumerate() {
                    self.fields(&below(&number.to_string()), value);
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.fields(&below(field), value);
                }
            }
        }
    }

    /// What a signature over fleet metadata would say, read from the bytes that it covers. What a screen
    /// showed under another digest is not signed.
    fn statement(&mut self, statement: &Statement, seen: Digest) -> Result<(), Error> {
        if statement.digest != seen {
            return Err(Error::new(ErrorCode::PreviewStale, "what was shown is not what would be signed")
                .hint("look at the request anew"));
        }
        self.title = format!("Sign {} metadata, version {}", statement.role, statement.version);
        self.lines.clear();
        self.digest = statement.digest;
        for Change { kind, what, digest } in &statement.changes {
            let label = match kind {
                ChangeKind::Added => "added",
                ChangeKind::Removed => "removed",
                ChangeKind::Changed => "changed",
            };
            self.line(label, what);
            if let Some(digest) = digest {
                self.line("sha256", digest);
            }
        }
        self.line("author", &statement.author);
        self.line("reason", &statement.reason);
        self.line("metadata_expires_at", &statement.metadata_expires_at);
        self.line("signatures", &format!("{} / {}", statement.signatures, statement.threshold));
        Ok(())
    }

    /// What a rollout would sign. A plan other than a screen showed is not signed.
    fn plan(&mut self, plan: &RolloutPlan, seen: &str) -> Result<(), Error> {
        expect_same_plan(plan, seen)?;
        self.title = format!("Sign {} tickets for {} {}", plan.devices, plan.component, plan.version);
        self.lines.clear();
        self.line("target", &plan.target);
        self.line("devices", &plan.devices);
        self.line("phases", &plan.policy.phases.len());
        let excluded: u32 = plan.excluded.iter().map(|exclusion| exclusion.count).sum();
        self.line("excluded", &excluded);
        if let Some(first) = plan.not_before.first() {
            self.line("not_before", first);
        }
        Ok(())
    }

    fn line(&mut self, label: &str, value: &dyn std::fmt::Display) {
        self.lines.push(CeremonyLine { label: label.to_owned(), value: value.to_string() });
    }
}

fn read<T: DeserializeOwned>(command: &str, request: &Value) -> Result<T, Error> {
    serde_json::from_value(request.clone()).map_err(|source| Error::request(command, &source))
}

#[cfg(test)]
mod tests {
    use model::{FailureThreshold, Gate, Percent, Phase, Policy, Seconds};

    use super::*;

    fn shown(title: &str) -> Shown {
        Shown { title: title.to_owned(), lines: Vec::new(), digest: Digest::new([1; 32]) }
    }

    #[test]
    fn a_plan_other_than_was_looked_at_is_not_shown_for_consent() {
        let policy = Policy {
            phases: vec![Phase { devices: 4, success: Percent::ALL, soak: Seconds(0), gate: Gate::Continue }],
            failure: FailureThreshold { share: Percent::ALL, minimum_sample: 1 },
            device_timeout: Seconds::hours(1),
            retries: 0,
            rate: None,
            window: None,
            link_life: Seconds::hours(1),
        };
        let plan = RolloutPlan {
            target: "press/main-2.0.0".parse().unwrap(),
            component: "main".parse().unwrap(),
            version: "2.0.0".parse().unwrap(),
            policy,
            not_before: vec![UnixTime::EPOCH],
            devices: 4,
            excluded: Vec::new(),
            traffic_bytes: 0,
            token: "four devices".into(),
        };
        let mut looked_at = shown("");
        let stale = looked_at.plan(&plan, "three devices").unwrap_err();
        assert_eq!((stale.code(), looked_at.lines.len()), (ErrorCode::PreviewStale, 0));
        looked_at.plan(&plan, "four devices").unwrap();
        assert_eq!(looked_at.title, "Sign 4 tickets for main 2.0.0");
    }

    #[tokio::test]
    async fn a_job_is_known_by_its_number_and_not_by_what_it_asks_for() {
        let ceremonies = Ceremonies::default();
        let (one, other) = (JobId::new([1; 16]), JobId::new([2; 16]));
        let place = || ("works".to_owned(), false);
        let add = || ceremonies.add("release.seal", shown("seal"), place(), UnixTime::EPOCH).unwrap();
        let (by_hand, _) = add();
        assert!(!ceremonies.wait_for(one) && !ceremonies.wait_for(other));
        let watch: job::Watch = std::sync::Arc::new(|_| {});
        let (as_job, _) = job::watched(one, watch, crate::Shutdown::new(), async { add() }).await;
        assert!(ceremonies.wait_for(one) && !ceremonies.wait_for(other));
        ceremonies.take(by_hand).unwrap();
        assert!(ceremonies.wait_for(one));
        ceremonies.take(as_job).unwrap();
        assert!(!ceremonies.wait_for(one));
    }
}
