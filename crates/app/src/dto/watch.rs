use model::{DeploymentState, Gate, Percent, RolloutId, UnixTime};
use protocol::operator::RolloutProgress;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// How a rollout goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct RolloutLive {
    /// What ended, over time and by cause.
    pub progress: RolloutProgress,
    /// What it takes for the next phase to open; none once all are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub gate: Option<NextGate>,
}

/// What it takes for a phase to open. All of it must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct NextGate {
    /// The phase, counted from 0.
    pub phase: u32,
    /// The share of the phase before it that must have confirmed.
    pub success: Percent,
    /// So many confirmed ...
    pub confirmed: u32,
    /// ... of so many that are judged: all but what was canceled or skipped.
    pub judged: u32,
    /// The earliest time, by soak and by signature; none until the phase before it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub not_before: Option<UnixTime>,
    /// Who opens it.
    pub gate: Gate,
}

/// Why a device does not run what it should.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct Why {
    /// In a word.
    pub standing: Standing,
    /// The reasons, the one to act on first.
    pub reasons: Vec<Reason>,
}

/// How a device stands, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is wanted of it.
    Settled,
    /// It is at work.
    Working,
    /// Time will do it.
    Waiting,
    /// Somebody must act.
    Blocked,
}

/// One reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
pub struct Reason {
    /// Which.
    pub code: ReasonCode,
    /// In which rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rollout: Option<RolloutId>,
    /// How its deployment there stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub deployment: Option<DeploymentState>,
    /// When that may change by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub until: Option<UnixTime>,
    /// More, where a device or the planner said it.
    pub detail: String,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// No rollout wants anything of it.
    NoRollout,
    /// It is no longer one of the fleet.
    NotActive,
    /// It has not proven that it holds both keys: nothing may be sealed to it.
    NotProven,
    /// Its last deployment failed.
    Failed,
    /// The rollout was not started.
    NotStarted,
    /// The rollout is paused.
    Paused,
    /// Its phase is not open yet.
    PhaseNotOpen,
    /// It is outside the daily window.
    OutsideWindow,
    /// It has not been seen for longer than it should have.
    Offline,
    /// Its turn has yet to come: the rate limit, or a ticket that is still to be signed.
    Queued,
    /// Its link lapsed or is used up; another one is made when it comes back.
    NoLink,
    /// It has a link, and has fetched nothing over it yet.
    Offered,
    /// It is downloading, installing or booting.
    AtWork,
}
