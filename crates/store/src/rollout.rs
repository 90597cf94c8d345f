use model::{
    Component, DeviceId, Policy, ReleaseId, RolloutId, RolloutState, SpkiDigest, UnixTime,
    planner::{Counts, Observed, PauseCause},
};

use crate::{Answer, Page, PageRequest};

/// A rollout to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRollout {
    /// The rollout.
    pub id: RolloutId,
    /// What it brings.
    pub release: ReleaseId,
    /// What it updates.
    pub component: Component,
    /// Its name.
    pub name: String,
    /// What was decided about it; checked by the caller ([`Policy::check`]).
    pub policy: Policy,
    /// The earliest time of each phase, as signed into its tickets.
    pub not_before: Vec<UnixTime>,
    /// More, as JSON, opaque here.
    pub detail: String,
    /// Who planned it.
    pub created_by: SpkiDigest,
    /// When.
    pub at: UnixTime,
}

/// A rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollout {
    /// The rollout.
    pub id: RolloutId,
    /// What it brings.
    pub release: ReleaseId,
    /// What it updates.
    pub component: Component,
    /// Its name.
    pub name: String,
    /// What was decided about it.
    pub policy: Policy,
    /// More, as JSON.
    pub detail: String,
    /// Where it stands.
    pub state: RolloutState,
    /// Why it is paused, while it is.
    pub pause: Option<Pause>,
    /// Its phases, in order.
    pub phases: Vec<RolloutPhase>,
    /// Who planned it.
    pub created_by: SpkiDigest,
    /// When.
    pub created_at: UnixTime,
    /// When its state last changed.
    pub changed_at: UnixTime,
}

/// A phase of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RolloutPhase {
    /// Its earliest time, as signed.
    pub not_before: UnixTime,
    /// When it was opened.
    pub opened_at: Option<UnixTime>,
    /// When a person opened the phase after it.
    pub gate_opened_at: Option<UnixTime>,
    /// Failures that a person had seen when resuming.
    pub forgiven: u32,
    /// Its deployments, by state.
    pub counts: Counts,
}

/// Why a rollout is paused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pause {
    /// The planner paused it.
    Rule(PauseCause),
    /// A person did.
    Person {
        /// Who.
        by: SpkiDigest,
        /// Why.
        reason: String,
    },
}

/// A change of a rollout's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RolloutStep {
    /// Planned becomes running.
    Start,
    /// Running becomes paused.
    Pause(Pause),
    /// Paused becomes running; the failures so far are forgiven.
    Resume,
    /// Running becomes finished.
    Finish,
    /// Planned, running or paused becomes aborted. Its deployments are canceled by
    /// [`Deployments::cancel`](crate::Deployments::cancel).
    Abort,
}

/// How often a failure was reported for one cause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureCluster {
    /// The cause as devices reported it; empty where none was given.
    pub code: String,
    /// How many deployments stand failed, timed out, rejected or rolled back with it.
    pub count: u32,
}

/// How a rollout went within one minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The minute's first second.
    pub at: UnixTime,
    /// Deployments that succeeded in it.
    pub succeeded: u32,
    /// Deployments that failed, timed out, were rejected or rolled back in it.
    pub failed: u32,
}

/// The rollouts.
pub trait Rollouts {
    /// Creates a rollout: planned, without deployments. The same again changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): the id is taken. [`Error::Invalid`](crate::Error::Invalid):
    /// not one earliest time per phase.
    fn create_rollout(&self, rollout: NewRollout) -> Answer<'_, ()>;

    /// One rollout.
    fn rollout(&self, id: RolloutId) -> Answer<'_, Option<Rollout>>;

    /// Rollouts, newest first.
    fn rollouts(&self, state: Option<RolloutState>, page: PageRequest) -> Answer<'_, Page<Rollout>>;

    /// Changes a rollout's state. A step that was made already changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Illegal`](crate::Error::Illegal).
    fn step_rollout(&self, id: RolloutId, step: RolloutStep, at: UnixTime) -> Answer<'_, RolloutState>;

    /// Opens a phase. Repeating keeps the first time.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn open_phase(&self, id: RolloutId, phase: u32, at: UnixTime) -> Answer<'_, ()>;

    /// Opens the gate behind `phase`: a person lets the next one follow. Repeating keeps the first time.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn open_gate(&self, id: RolloutId, phase: u32, at: UnixTime) -> Answer<'_, ()>;

    /// Moves the earliest times of phases that are not open, as newly signed tickets say.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn move_phases(&self, id: RolloutId, not_before: Vec<(u32, UnixTime)>) -> Answer<'_, ()>;

    /// What the planner must know, from counters. [`PhaseObserved::ready`](model::planner::PhaseObserved::ready)
    /// is exact up to [`READY_MOST`] and that number beyond it.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    fn observe(&self, id: RolloutId, now: UnixTime) -> Answer<'_, Observed>;

    /// The causes of failure, most frequent first.
    fn failure_clusters(&self, id: RolloutId) -> Answer<'_, Vec<FailureCluster>>;

    /// How it went, minute by minute, oldest first; minutes in which nothing ended are left out.
    fn progress(&self, id: RolloutId, since: UnixTime) -> Answer<'_, Vec<Progress>>;

    /// The open rollout that holds this device's component, if one does.
    fn holder(&self, device: DeviceId, component: Component) -> Answer<'_, Option<RolloutId>>;
}

/// How many ready deployments of a phase are counted at most.
pub const READY_MOST: u32 = 1_024;
