//! One deployment, from an accepted ticket to its end. What each step begins is durable before it
//! begins; each may be cut off anywhere and is taken up again after a start.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use envelope::device::{Order, Refusal};
use model::{Component, DeploymentState};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Artifact, Boot, Content, Device, Error, InstallError, Trial, download::Stop, pace::Backoff,
    payload::Plaintext, record::Stage,
};

/// How often a device starts in the middle of a trial before it gives the new software up.
const MOST_STARTS: u8 = 3;
/// How often what was fetched may turn out to be another payload before the ticket is given up.
const MOST_CORRUPT: u8 = 5;
/// How often a step of an installer that has to succeed is tried.
const TRIES: u32 = 3;
/// The pause between those tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the reports before a boot may take: the boot does not wait for the network.
const FAREWELL: Duration = Duration::from_secs(10);

/// What came of working on the deployments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Worked {
    /// There is nothing to do.
    Nothing,
    /// Something was offered meanwhile, and goes first.
    Interrupted,
    /// There is something to fetch, and no link that opens it.
    NeedsLink,
    /// A deployment came to its end.
    Ended,
    /// The device is about to go down, and goes on after its start.
    Restarting,
}

impl Device {
    /// Works on the deployment that is next up, until it ends or something comes in between.
    pub(crate) async fn work(&mut self, interrupt: &AtomicBool) -> Result<Worked, Error> {
        let Some(component) = self.record.next_up().cloned() else { return Ok(Worked::Nothing) };
        let mut corrupt = 0;
        loop {
            if let Some(worked) = self.step(&component, interrupt, &mut corrupt).await? {
                return Ok(worked);
            }
        }
    }

    /// Works on what does not wait for the network for ever: what was installed, or on trial, when the device
    /// went down.
    pub(crate) async fn resume_trial(&mut self) -> Result<Worked, Error> {
        let installed = |device: &Self| {
            let next = device.record.next_up()?;
            let stage = &device.record.underway[next].stage;
            (stage.booting() || *stage == Stage::Installed).then(|| next.clone())
        };
        while let Some(component) = installed(self) {
            if let Some(worked) = self.step(&component, &AtomicBool::new(false), &mut 0).await? {
                return Ok(worked);
            }
        }
        Ok(Worked::Nothing)
    }

    async fn step(
        &mut self,
        component: &Component,
        interrupt: &AtomicBool,
        corrupt: &mut u8,
    ) -> Result<Option<Worked>, Error> {
        let Some(progress) = self.record.underway.get(component) else { return Ok(Some(Worked::Ended)) };
        let (stage, artifact, starts) = (progress.stage.clone(), progress.artifact.clone(), progress.starts);
        if !self.parts.components.contains_key(component) {
            let detail = "the component is no longer set up on this device".to_owned();
            let state = self.record.state.rolled_back().ok();
            self.end(component, state, DeploymentState::Failed, Some("wrong_component"), Some(detail))?;
            return Ok(Some(Worked::Ended));
        }
        match stage {
            Stage::Accepted => self.prepare(component, interrupt, corrupt).await,
            // The power failed while the installer wrote: from pass one on, if an attempt is left.
            Stage::Installing => self.prepare(component, interrupt, corrupt).await,
            Stage::Installed => self.boot_unless_withdrawn(component, &artifact).await,
            Stage::Booting | Stage::Confirming if starts > MOST_STARTS => {
                let detail = format!("the device started {starts} times without a confirmation");
                self.give_up(component, "start_loop", detail)
            }
            Stage::Booting => self.boot(component, &artifact).await,
            Stage::Confirming => self.check(component, &artifact).await,
            Stage::Confirmed => self.confirm(component, &artifact).await,
            Stage::RollingBack { code, detail } => {
                self.roll_back(component, &artifact, &code, detail, starts).await
            }
        }
    }

    /// Fetches, verifies all of it in pass one, and feeds the installer in pass two.
    async fn prepare(
        &mut self,
        component: &Component,
        interrupt: &AtomicBool,
        corrupt: &mut u8,
    ) -> Result<Option<Worked>, Error> {
        self.ensure_basis().await?;
        if let Some(ended) = self.verify_again(component)? {
            return Ok(ended);
        }
        let length = self.order.as_ref().map(|order| order.installation().payload.length);
        let staged = self.parts.storage.staged_bytes().map_err(Error::storage("read the staged bytes"))?;
        if length != Some(staged) {
            self.report_progress(component, DeploymentState::Downloading)?;
            match self.fetch(component, interrupt).await {
                Ok(()) => {}
                Err(Stop::Interrupted) => return Ok(Some(Worked::Interrupted)),
                Err(Stop::LinkGone) => {
                    self.links.remove(component);
                    self.order = None;
                    return Ok(Some(Worked::NeedsLink));
                }
                Err(Stop::Corrupt) => return self.corrupted(component, corrupt),
                Err(Stop::Full) => {
                    self.end(
                        component,
                        self.give_up_state(),
                        DeploymentState::Failed,
                        Some("storage_full"),
                        None,
                    )?;
                    return Ok(Some(Worked::Ended));
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if !self.pass_one().await? {
            // Damaged where it was staged, or another payload's: away with it.
            self.download = None;
            self.parts.storage.cut_staged(0).map_err(Error::storage("remove the staged bytes"))?;
            return self.corrupted(component, corrupt);
        }
        self.report_progress(component, DeploymentState::Downloaded)?;
        if interrupt.load(Ordering::Relaxed) {
            return Ok(Some(Worked::Interrupted));
        }
        // Much may have lapsed, or been withdrawn, while it was fetched.
        self.refresh().await?;
        if let Some(ended) = self.verify_again(component)? {
            return Ok(ended);
        }
        self.pass_two(component).await
    }

    /// Verifies the accepted ticket once more; ends the deployment if it counts no longer.
    fn verify_again(&mut self, component: &Component) -> Result<Option<Option<Worked>>, Error> {
        let decided = match self.decide_again(component) {
            Err(refusal) if refusal.code().starts_with("link_") => {
                tracing::info!(code = refusal.code(), "the link is taken no longer");
                self.links.remove(component);
                self.decide_again(component)
            }
            decided => decided,
        };
        match decided {
            Ok(Order::Install(install)) => {
                self.order = Some(install);
                Ok(None)
            }
            // The same bytes cannot be a hold now; whatever it is, it is not installed.
            Ok(Order::Hold(_)) => Ok(Some(Some(Worked::Nothing))),
            Err(Refusal::MetadataExpired { .. }) => {
                self.basis = None;
                Err(Error::answer("the metadata lapsed meanwhile"))
            }
            Err(refusal) => {
                let state = self.give_up_state();
                let detail = Some(refusal.to_string());
                self.end(component, state, DeploymentState::Failed, Some(refusal.code()), detail)?;
                Ok(Some(Some(Worked::Ended)))
            }
        }
    }

    async fn pass_one(&mut self) -> Result<bool, Error> {
        let (Some(order), Some(basis)) = (&self.order, &self.basis) else { return Ok(false) };
        let Some(plaintext) = Plaintext::new(&mut *self.parts.storage, order) else { return Ok(false) };
        plaintext
            .matches_artifact(order, basis.targets())
            .await
            .map_err(Error::storage("read the staged bytes"))
    }

    async fn pass_two(&mut self, component: &Component) -> Result<Option<Worked>, Error> {
        let Some(order) = &self.order else { return Ok(Some(Worked::Nothing)) };
        let state = match self.record.state.start_install(order) {
            Ok(state) => state,
            Err(illegal) => {
                let (state, detail) = (self.give_up_state(), Some(illegal.to_string()));
                self.end(component, state, DeploymentState::Failed, Some("attempts_exhausted"), detail)?;
                return Ok(Some(Worked::Ended));
            }
        };
        self.advance(component, Stage::Installing, Some(state), DeploymentState::Installing)?;
        let artifact = self.record.underway[component].artifact.clone();
        let (Some(order), Some(fitting)) = (&self.order, self.parts.components.get_mut(component)) else {
            return Ok(Some(Worked::Nothing));
        };
        let Some(mut plaintext) = Plaintext::new(&mut *self.parts.storage, order) else {
            return Ok(Some(Worked::Nothing));
        };
        let content: &mut dyn Content = &mut plaintext;
        match fitting.installer.install(&artifact, content).await {
            Ok(()) => {
                self.advance(component, Stage::Installed, None, DeploymentState::Installing)?;
                Ok(None)
            }
            Err(error) => {
                let code =
                    if matches!(error, InstallError::Full) { "storage_full" } else { "install_failed" };
                let (state, detail) = (self.give_up_state(), Some(told(&error)));
                self.end(component, state, DeploymentState::Failed, Some(code), detail)?;
                Ok(Some(Worked::Ended))
            }
        }
    }

    /// Asks once more whether the release was withdrawn. Without an answer the device goes on after a
    /// while, but only as long as the metadata that it has is fresh.
    async fn boot_unless_withdrawn(
        &mut self,
        component: &Component,
        artifact: &Artifact,
    ) -> Result<Option<Worked>, Error> {
        let until = Instant::now() + self.parts.pace.withdrawal_wait;
        let mut backoff = Backoff::new(self.parts.pace.retry);
        let withdrawn = loop {
            match timeout(until.saturating_duration_since(Instant::now()), self.refresh()).await {
                Ok(Ok(())) => {
                    let signed =
                        self.basis.as_ref().and_then(|basis| basis.targets().target(&artifact.target));
                    let offered = signed.is_some_and(|target| *target.sha256() == artifact.digest);
                    break (!offered).then_some("withdrawn");
                }
                // What does not verify is no answer either.
                Ok(Err(error)) if Instant::now() < until => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no answer before the boot yet");
                    let pause = backoff.next(&mut *self.parts.random);
                    sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
                }
                Ok(Err(_)) | Err(_) => {
                    let latest = self.time().latest();
                    let timestamp = self.trusted.timestamp();
                    let fresh = timestamp.is_some_and(|timestamp| timestamp.signed().expires > latest);
                    break (!fresh).then_some("withdrawal_unknown");
                }
            }
        };
        if let Some(code) = withdrawn {
            let detail = "the release was not to be booted any more".to_owned();
            return self.give_up(component, code, detail);
        }
        self.advance(component, Stage::Booting, None, DeploymentState::Rebooting)?;
        Ok(None)
    }

    async fn boot(&mut self, component: &Component, artifact: &Artifact) -> Result<Option<Worked>, Error> {
        let installer = self.installer(component);
        let trial = match installer.trial(artifact).await {
            Ok(trial) => trial,
            Err(error) => return self.give_up(component, "trial_unknown", told(&error)),
        };
        match trial {
            Trial::FellBack => {
                let detail = "the boot loader went back to the old software".to_owned();
                return self.give_up(component, "fell_back", detail);
            }
            Trial::NotStarted => {
                if timeout(FAREWELL, self.flush()).await.is_err() {
                    tracing::info!("the reports before the boot will be sent after it");
                }
                match self.installer(component).start_trial(artifact).await {
                    Ok(Boot::Running) => {}
                    Ok(Boot::Restarting) => return Ok(Some(Worked::Restarting)),
                    Err(error) => return self.give_up(component, "boot_failed", told(&error)),
                }
            }
            Trial::Running => {}
        }
        let state = self.record.state.trial_booted().ok();
        self.advance(component, Stage::Confirming, state, DeploymentState::Confirming)?;
        Ok(None)
    }

    async fn check(&mut self, component: &Component, artifact: &Artifact) -> Result<Option<Worked>, Error> {
        match self.installer(component).trial(artifact).await {
            Ok(Trial::Running) => {}
            Ok(Trial::FellBack) => {
                let detail = "the boot loader went back to the old software".to_owned();
                return self.give_up(component, "fell_back", detail);
            }
            Ok(Trial::NotStarted) => {
                let detail = "the mark of the trial is gone".to_owned();
                return self.give_up(component, "trial_lost", detail);
            }
            Err(error) => return self.give_up(component, "trial_unknown", told(&error)),
        }
        match self.installer(component).check(artifact).await {
            Ok(()) => {
                self.advance(component, Stage::Confirmed, None, DeploymentState::Confirming)?;
                Ok(None)
            }
            Err(error) => self.give_up(component, "unhealthy", told(&error)),
        }
    }

    /// The decision that the new software stays is durable; what it takes may be repeated.
    async fn confirm(&mut self, component: &Component, artifact: &Artifact) -> Result<Option<Worked>, Error> {
        // The boot loader may have gone back after the decision, before it could be told of it.
        if let Ok(Trial::FellBack) = self.installer(component).trial(artifact).await {
            let detail = "the boot loader went back to the old software".to_owned();
            return self.give_up(component, "fell_back", detail);
        }
        let mut left = TRIES;
        while let Err(error) = self.installer(component).confirm(artifact).await {
            left -= 1;
            if left == 0 {
                // With its mark gone the new software is permanent, whatever failed after that.
                match self.installer(component).trial(artifact).await {
                    Ok(Trial::NotStarted) => break,
                    Ok(Trial::Running | Trial::FellBack) | Err(_) => {
                        return self.give_up(component, "confirm_failed", told(&error));
                    }
                }
            }
            sleep(PAUSE).await;
        }
        let state = self.record.state.confirmed().ok();
        self.end(component, state, DeploymentState::Succeeded, None, None)?;
        Ok(Some(Worked::Ended))
    }

    async fn roll_back(
        &mut self,
        component: &Component,
        artifact: &Artifact,
        code: &str,
        detail: String,
        starts: u8,
    ) -> Result<Option<Worked>, Error> {
        let mut left = TRIES;
        loop {
            match self.installer(component).roll_back(artifact).await {
                Ok(Boot::Running) => return self.rolled_back(component, code, detail),
                Ok(Boot::Restarting) if starts < MOST_STARTS => return Ok(Some(Worked::Restarting)),
                Ok(Boot::Restarting) => left = 0,
                Err(error) => {
                    left -= 1;
                    tracing::error!(%component, error = &error as &dyn std::error::Error, "failed to roll back");
                }
            }
            if left == 0 {
                let state = self.record.state.rolled_back().ok();
                let detail = format!("the old software could not be brought back, after: {code}: {detail}");
                self.end(component, state, DeploymentState::Failed, Some("roll_back_failed"), Some(detail))?;
                return Ok(Some(Worked::Ended));
            }
            sleep(PAUSE).await;
        }
    }

    /// From here on the old software is to run again.
    fn give_up(
        &mut self,
        component: &Component,
        code: &str,
        detail: String,
    ) -> Result<Option<Worked>, Error> {
        tracing::warn!(%component, code, detail, "the new software is given up");
        let mut next = self.record.clone();
        if let Some(progress) = next.underway.get_mut(component) {
            progress.stage = Stage::RollingBack { code: code.to_owned(), detail };
            progress.starts = 0;
        }
        self.store(next)?;
        Ok(None)
    }

    fn rolled_back(
        &mut self,
        component: &Component,
        code: &str,
        detail: String,
    ) -> Result<Option<Worked>, Error> {
        let state = self.record.state.rolled_back().ok();
        let booted = self.record.underway.get(component).is_some_and(|progress| {
            matches!(progress.reported, DeploymentState::Rebooting | DeploymentState::Confirming)
        });
        let reported = if booted { DeploymentState::RolledBack } else { DeploymentState::Failed };
        self.end(component, state, reported, Some(code), Some(detail))?;
        Ok(Some(Worked::Ended))
    }

    fn corrupted(&mut self, component: &Component, corrupt: &mut u8) -> Result<Option<Worked>, Error> {
        *corrupt += 1;
        tracing::warn!(%component, times = *corrupt, "what came is not what the ticket names");
        self.http.close();
        if *corrupt < MOST_CORRUPT {
            return Ok(None);
        }
        let state = self.give_up_state();
        self.end(component, state, DeploymentState::Failed, Some("payload_corrupt"), None)?;
        Ok(Some(Worked::Ended))
    }

    fn report_progress(&mut self, component: &Component, state: DeploymentState) -> Result<(), Error> {
        let Some(progress) = self.record.underway.get(component) else { return Ok(()) };
        if progress.reported >= state {
            return Ok(());
        }
        let stage = progress.stage.clone();
        self.advance(component, stage, None, state)
    }

    /// The state in which a deployment is given up before its software was booted.
    fn give_up_state(&self) -> Option<envelope::device::State> {
        self.record.state.failed().ok()
    }

    fn installer(&mut self, component: &Component) -> &mut dyn crate::Installer {
        let fitting = self.parts.components.get_mut(component).expect("looked up at the step's begin");
        &mut *fitting.installer
    }
}

/// What failed and why, in one line.
fn told(error: &InstallError) -> String {
    let mut line = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
