use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    process::Child,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::installer::program::{self, ProgramError, Values};

/// How long a service has to end by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// The longest pause before a service that ended is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A program that the agent starts and keeps running.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePlan {
    /// The program, then its arguments; `{current}` stands for the folder of the slot that runs.
    pub argv: Vec<String>,
    /// How long it has to run without ending before it counts as well, in seconds.
    #[serde(default = "ServicePlan::default_settle")]
    pub settle_seconds: u64,
}

/// The running program, started again with a growing pause whenever it ends.
#[derive(Debug)]
pub(super) struct Service {
    plan: ServicePlan,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    ends: Arc<AtomicU32>,
}

impl ServicePlan {
    const fn default_settle() -> u64 {
        5
    }
}

impl Service {
    pub(super) const fn new(plan: ServicePlan) -> Self {
        Self { plan, running: None }
    }

    /// Starts it, if it is not running.
    pub(super) fn start(&mut self, values: &Values<'_>) {
        if self.running.is_some() {
            return;
        }
        let mut command = program::command(&self.plan.argv, values);
        let program = program::name(&self.plan.argv);
        let (stop, mut stopped) = oneshot::channel();
        let ends = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let mut pause = Duration::from_secs(1);
            loop {
                match command.spawn() {
                    Ok(mut child) => tokio::select! {
                        status = child.wait() => tracing::warn!(program, ?status, "service ended"),
                        _ = &mut stopped => return end(&mut child).await,
                    },
                    Err(error) => tracing::error!(program, %error, "service cannot be started"),
                }
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    _ = &mut stopped => return,
                }
            }
        });
        self.running = Some(Running { task, stop, ends });
    }

    /// Stops it: by asking, then by force.
    pub(super) async fn stop(&mut self) {
        if let Some(Running { task, stop, .. }) = self.running.take() {
            // A task that ended already needs no word.
            stop.send(()).ok();
            task.await.ok();
        }
    }

    /// Waits until it has run for long enough, or did not.
    pub(super) async fn settled(&self) -> Result<(), ProgramError> {
        sleep(Duration::from_secs(self.plan.settle_seconds)).await;
        let ends = self.running.as_ref().map_or(1, |running| running.ends.load(Ordering::Relaxed));
        if ends > 0 {
            return Err(ProgramError::Unsettled { program: program::name(&self.plan.argv), ends });
        }
        Ok(())
    }
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        // Gone already is as good.
        kill_process(pid, Signal::TERM).ok();
    }
    if timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await.ok();
    }
}
