//! The rollout planner: what to do next, from what was decided and what was observed.
//!
//! A pure function. The executor observes, asks, and carries out each [`Action`]; carrying one out
//! twice, or after a crash, does nothing twice, because the next observation already shows it.

use std::fmt;

use crate::{DeploymentState, FailureThreshold, Gate, Percent, Policy, RolloutState, UnixTime};

/// How many deployments stand in each state. On the wire it is a map that leaves out the zeros.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(as = "std::collections::BTreeMap<DeploymentState, usize>"))]
pub struct Counts {
    by_state: [u32; DeploymentState::ALL.len()],
}

/// What is known of one phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhaseObserved {
    /// Its deployments, by state.
    pub counts: Counts,
    /// When it was opened, if it was.
    pub opened_at: Option<UnixTime>,
    /// Its earliest time, as signed into its tickets.
    pub not_before: UnixTime,
    /// Queued deployments that could be offered now: they have a ticket that is in force, and their
    /// device is not held up by another deployment.
    pub ready: u32,
    /// Whether a person opened the phase after this one. It overrides the success threshold, for that
    /// is the person's to judge, but never a signed earliest time.
    pub gate_opened: bool,
    /// Failures that a person had seen when resuming: they no longer pause the rollout.
    pub forgiven: u32,
}

/// What is known of a rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Where it stands.
    pub state: RolloutState,
    /// Its phases, in order.
    pub phases: Vec<PhaseObserved>,
    /// Offers made within the span of the policy's rate limit; 0 without one.
    pub offers_in_span: u32,
}

/// What the executor shall do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open this phase.
    Open {
        /// Counted from 0.
        phase: u32,
    },
    /// Offer to so many of this phase's ready deployments, at most.
    Offer {
        /// Counted from 0.
        phase: u32,
        /// How many.
        at_most: u32,
    },
    /// Pause: too many failed.
    Pause(PauseCause),
    /// Every deployment has ended: the rollout is finished.
    Finish,
}

/// Why the planner pauses a rollout: rule, observed value and sample, for the person who must decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum PauseCause {
    /// More failed than the failure threshold allows.
    Failures {
        /// The phase in which they failed, counted from 0.
        phase: u32,
        /// How many failed ...
        failed: u32,
        /// ... of so many that ended.
        ended: u32,
        /// The rule that was broken.
        threshold: FailureThreshold,
    },
    /// Everything in the phase has ended, and too few confirmed for the next one to open.
    SuccessOutOfReach {
        /// The phase, counted from 0.
        phase: u32,
        /// How many confirmed ...
        confirmed: u32,
        /// ... of so many.
        judged: u32,
        /// The share that it takes.
        success: Percent,
    },
}

impl fmt::Display for PauseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures { phase, failed, ended, threshold } => {
                write!(f, "{failed} of {ended} failed in phase {}, above {}", phase + 1, threshold.share)
            }
            Self::SuccessOutOfReach { phase, confirmed, judged, success } => {
                write!(f, "{confirmed} of {judged} confirmed in phase {}, below {success}", phase + 1)
            }
        }
    }
}

impl Counts {
    /// How many stand in `state`.
    pub const fn get(&self, state: DeploymentState) -> u32 {
        self.by_state[state as usize]
    }

    /// Counts `n` more in `state`.
    pub const fn add(&mut self, state: DeploymentState, n: u32) {
        let slot = &mut self.by_state[state as usize];
        *slot = slot.saturating_add(n);
    }

    /// How many there are in all.
    pub fn total(&self) -> u32 {
        self.of(|_| true)
    }

    /// How many of the states that `which` picks.
    pub fn of(&self, which: impl Fn(DeploymentState) -> bool) -> u32 {
        DeploymentState::ALL
            .into_iter()
            .filter(|state| which(*state))
            .fold(0, |sum, state| sum.saturating_add(self.get(state)))
    }
}

impl serde::Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            DeploymentState::ALL.into_iter().map(|state| (state, self.get(state))).filter(|(_, n)| *n > 0),
        )
    }
}

impl<'de> serde::Deserialize<'de> for Counts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<DeploymentState, u32>::deserialize(deserializer)?;
        let mut counts = Self::default();
        for (state, n) in map {
            counts.add(state, n);
        }
        Ok(counts)
    }
}

/// What to do next. The same observation always gives the same actions.
pub fn plan(policy: &Policy, observed: &Observed, now: UnixTime) -> Vec<Action> {
    if observed.state != RolloutState::Running {
        return Vec::new();
    }
    if let Some(cause) =
        too_many_failures(policy, observed).or_else(|| success_out_of_reach(policy, observed))
    {
        return vec![Action::Pause(cause)];
    }
    let open = open_phases(policy, observed, now);
    if open == observed.phases.len()
        && observed.phases.iter().all(|phase| phase.counts.of(|state| !state.ended()) == 0)
    {
        return vec![Action::Finish];
    }

    let mut actions = Vec::new();
    let mut allowance = offer_allowance(policy, observed, now);
    for (number, phase) in (0_u32..).zip(&observed.phases).take(open) {
        if phase.opened_at.is_none() {
            actions.push(Action::Open { phase: number });
        }
        let at_most = phase.ready.min(allowance);
        if at_most > 0 && phase.not_before <= now {
            allowance -= at_most;
            actions.push(Action::Offer { phase: number, at_most });
        }
    }
    actions
}

/// How many phases, from the first, are open or may open now.
fn open_phases(policy: &Policy, observed: &Observed, now: UnixTime) -> usize {
    let mut open = 0;
    for (index, phase) in observed.phases.iter().enumerate() {
        let gate_met = index == 0 || gate_met(policy, observed, index - 1, now);
        if phase.opened_at.is_none() && !(gate_met && phase.not_before <= now) {
            break;
        }
        open += 1;
    }
    open
}

/// Whether the phase after `index` may open: enough of this one confirmed, it soaked long enough,
/// and a person agreed where one is asked.
fn gate_met(policy: &Policy, observed: &Observed, index: usize, now: UnixTime) -> bool {
    let (Some(rule), Some(phase)) = (policy.phases.get(index), observed.phases.get(index)) else {
        return false;
    };
    let Some(opened_at) = phase.opened_at else {
        return false;
    };
    let by_itself = rule.gate == Gate::Continue
        && rule.success.reached_by(phase.counts.get(DeploymentState::Succeeded), judged(&phase.counts));
    (phase.gate_opened || by_itself) && opened_at + rule.soak <= now
}

/// What speaks for or against the release: all but what was canceled or skipped.
fn judged(counts: &Counts) -> u32 {
    counts.of(|state| !matches!(state, DeploymentState::Canceled | DeploymentState::Skipped))
}

fn too_many_failures(policy: &Policy, observed: &Observed) -> Option<PauseCause> {
    (0_u32..).zip(&observed.phases).find_map(|(number, phase)| {
        let failed = phase.counts.of(DeploymentState::counts_as_failure).saturating_sub(phase.forgiven);
        let ended = failed.saturating_add(phase.counts.get(DeploymentState::Succeeded));
        let threshold = policy.failure;
        (failed > 0 && ended >= threshold.minimum_sample && threshold.share.exceeded_by(failed, ended))
            .then_some(PauseCause::Failures { phase: number, failed, ended, threshold })
    })
}

/// The first opened phase, but the last, in which everything has ended without reaching its success threshold.
fn success_out_of_reach(policy: &Policy, observed: &Observed) -> Option<PauseCause> {
    let followed = observed.phases.len().saturating_sub(1);
    (0_u32..).zip(policy.phases.iter().zip(&observed.phases)).take(followed).find_map(
        |(number, (rule, phase))| {
            let next_open =
                observed.phases.get(number as usize + 1).is_some_and(|next| next.opened_at.is_some());
            let all_ended = phase.opened_at.is_some() && phase.counts.of(|state| !state.ended()) == 0;
            let confirmed = phase.counts.get(DeploymentState::Succeeded);
            let judged = judged(&phase.counts);
            (all_ended && !next_open && !phase.gate_opened && !rule.success.reached_by(confirmed, judged))
                .then_some(PauseCause::SuccessOutOfReach {
                    phase: number,
                    confirmed,
                    judged,
                    success: rule.success,
                })
        },
    )
}

/// How many offers the window and the rate limit leave.
fn offer_allowance(policy: &Policy, observed: &Observed, now: UnixTime) -> u32 {
    if policy.window.is_some_and(|window| !window.open_at(now)) {
        return 0;
    }
    policy.rate.map_or(u32::MAX, |rate| rate.offers.saturating_sub(observed.offers_in_span))
}

#[cfg(test)]
mod tests;
