//! Carrying out what the planner says.
//!
//! One loop observes each running rollout, asks the planner, and acts. Acting twice, or after a crash,
//! does nothing twice: the next observation already shows it.

use std::{sync::Arc, time::Duration};

use model::{
    DeploymentState, RolloutId, RolloutState, UnixTime,
    planner::{Action, Observed, PauseCause, plan},
};
use protocol::operator::{AlarmKind, Hint};
use store::{Delivery, PageRequest, Pause, RolloutStep};
use tokio_util::sync::CancellationToken;

use crate::{
    refusal::Answer,
    server::{Record, Server},
};

/// How many offers are made in one step.
const OFFERED_AT_ONCE: u32 = 512;
/// How many deployments one look times out or queues again.
const MOVED_AT_ONCE: u32 = 1_000;

/// However much is reported, one look covers all of such a span.
const SPAN: Duration = Duration::from_millis(50);

/// Drives the rollouts until `shutdown`.
pub(crate) async fn run(server: Arc<Server>, shutdown: CancellationToken) {
    loop {
        if server.lost().is_none()
            && let Err(refusal) = server.drive_rollouts().await
        {
            tracing::error!(code = %refusal.code(), "failed to drive the rollouts");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = async {
                server.wake.notified().await;
                tokio::time::sleep(SPAN).await;
            } => {}
            () = tokio::time::sleep(server.config.tick) => {}
        }
    }
}

impl Server {
    /// Looks after every running rollout once.
    pub(crate) async fn drive_rollouts(self: &Arc<Self>) -> Answer<()> {
        self.time_out().await?;
        let mut page = PageRequest::first(PageRequest::MOST);
        loop {
            let running = self.store.rollouts(Some(RolloutState::Running), page).await?;
            for rollout in running.rows {
                // One that fails holds no other up.
                if let Err(refusal) = self.drive(rollout.id, &rollout.policy).await {
                    let reason = refusal.0.message;
                    tracing::error!(rollout_id = %rollout.id, reason, "failed to drive a rollout");
                }
            }
            match running.next {
                Some(next) => page = PageRequest::after(next, PageRequest::MOST),
                None => return Ok(()),
            }
        }
    }

    async fn drive(self: &Arc<Self>, rollout: RolloutId, policy: &model::Policy) -> Answer<()> {
        loop {
            let now = self.now();
            let mut observed = self.store.observe(rollout, now).await?;
            if policy.retries > 0 && may_retry(&observed) {
                self.store.requeue(rollout, MOVED_AT_ONCE, now).await?;
                observed = self.store.observe(rollout, now).await?;
            }
            let mut offered = false;
            for action in plan(policy, &observed, now) {
                match action {
                    Action::Open { phase } => {
                        self.store.open_phase(rollout, phase, now).await?;
                        tracing::info!(rollout_id = %rollout, phase, "opened a phase");
                    }
                    Action::Offer { phase, at_most } => {
                        offered |= self.offer(rollout, phase, at_most, now).await? > 0;
                    }
                    Action::Pause(cause) => self.pause(rollout, cause, now).await?,
                    Action::Finish => {
                        self.store.step_rollout(rollout, RolloutStep::Finish, now).await?;
                        tracing::info!(rollout_id = %rollout, "finished a rollout");
                    }
                }
                self.hint(Hint::Rollout { rollout });
            }
            // What was offered changes what may be offered next: look again, until nothing is left.
            if !offered {
                return Ok(());
            }
        }
    }

    async fn offer(
        self: &Arc<Self>,
        rollout: RolloutId,
        phase: u32,
        at_most: u32,
        now: UnixTime,
    ) -> Answer<usize> {
        let ready = self.store.ready(rollout, phase, at_most.min(OFFERED_AT_ONCE), now).await?;
        let mut links = Vec::with_capacity(ready.len());
        for delivery in &ready {
            links.push(self.fresh_link(delivery, now).await?);
        }
        let taken = self.store.offer(links.clone(), now).await?;
        let offered: Vec<_> = ready
            .into_iter()
            .zip(links)
            .zip(taken)
            .filter(|(_, taken)| *taken)
            .map(|((delivery, link), _)| Delivery { link: Some((link.link, link.not_before)), ..delivery })
            .collect();
        let count = offered.len();
        self.push_offers(offered).await?;
        tracing::debug!(rollout_id = %rollout, phase, count, "offered");
        Ok(count)
    }

    async fn pause(&self, rollout: RolloutId, cause: PauseCause, now: UnixTime) -> Answer<()> {
        let reason = cause.to_string();
        // The alarm first: a crash between the two must not leave a rollout that stands still unnoticed.
        self.alarm(AlarmKind::RolloutPaused, None, format!("{rollout}: {reason}")).await?;
        let step = RolloutStep::Pause(Pause::Rule(cause));
        let entry = Record::own("pause_rollout", &rollout, &reason);
        self.audited(entry, self.store.step_rollout(rollout, step, now)).await?;
        tracing::warn!(rollout_id = %rollout, reason, "paused a rollout");
        Ok(())
    }

    async fn time_out(&self) -> Answer<()> {
        let timed_out = self.store.time_out(self.now(), MOVED_AT_ONCE).await?;
        for ended in timed_out {
            self.downloads.end(ended.deployment);
            tracing::info!(deployment_id = %ended.deployment, device_id = %ended.device, "timed out");
            self.hint(Hint::Rollout { rollout: ended.rollout });
        }
        Ok(())
    }
}

/// Whether some deployment stands where another attempt may follow.
fn may_retry(observed: &Observed) -> bool {
    let retried =
        |state: DeploymentState| !matches!(state, DeploymentState::Rejected) && state.counts_as_failure();
    observed.phases.iter().any(|phase| phase.counts.of(retried) > 0)
}
