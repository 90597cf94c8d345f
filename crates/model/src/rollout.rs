use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Seconds, UnixTime};

/// Where a rollout stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Tickets are being made; nothing is offered.
    Planned,
    /// Phases open and links are pushed.
    Running,
    /// Nothing more is offered until somebody resumes it.
    Paused,
    /// Every deployment has ended.
    Finished,
    /// Ended by a person; what was not past recall was canceled.
    Aborted,
}

/// A share from 0 to 100 percent, in whole percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(type = "number"))]
#[serde(try_from = "u8", into = "u8")]
pub struct Percent(u8);

/// One stage of a rollout: which devices, and when the next stage may open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Phase {
    /// How many devices it covers, at least one.
    pub devices: u32,
    /// The share of them that must have confirmed before the next phase opens.
    pub success: Percent,
    /// How long after it opened, at the least, the next phase opens.
    pub soak: Seconds,
    /// Who opens the next phase once both are met.
    pub gate: Gate,
}

/// Who opens the phase after this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The planner.
    Continue,
    /// A person.
    WaitForMe,
}

/// When a rollout pauses by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FailureThreshold {
    /// The share of ended deployments of one phase that may fail.
    pub share: Percent,
    /// How many must have ended before the share says anything.
    pub minimum_sample: u32,
}

/// How many offers are made in how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RateLimit {
    /// At most so many offers ...
    pub offers: u32,
    /// ... within any span of this length.
    pub per: Seconds,
}

/// A daily span in UTC outside which nothing is offered. It may cross midnight.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct MaintenanceWindow {
    /// Minutes after midnight, below 1440.
    pub from_minute: u16,
    /// Length in minutes, 1 to 1440.
    pub minutes: u16,
}

/// Everything that a person decides about a rollout before it starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Policy {
    /// The stages, in order; at least one.
    pub phases: Vec<Phase>,
    /// When it pauses by itself.
    pub failure: FailureThreshold,
    /// How long one device may take from its offer to its confirmation.
    pub device_timeout: Seconds,
    /// How often a failed or timed out deployment is offered again.
    pub retries: u32,
    /// How fast it may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub rate: Option<RateLimit>,
    /// When in the day it may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub window: Option<MaintenanceWindow>,
    /// How long a download link lives.
    pub link_life: Seconds,
}

/// A policy that no rollout can follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// There is no phase.
    #[error("a rollout needs at least one phase")]
    NoPhase,
    /// A phase covers nobody.
    #[error("phase {} covers no device", .phase + 1)]
    EmptyPhase {
        /// Counted from 0.
        phase: usize,
    },
    /// The phases cover more devices than can be counted.
    #[error("the phases cover more than {} devices", u32::MAX)]
    TooManyDevices,
    /// A duration or count that must not be zero.
    #[error("{field} must be above zero")]
    Zero {
        /// Which.
        field: &'static str,
    },
    /// A window outside the day.
    #[error("the maintenance window must begin within the day and last 1 to 1440 minutes")]
    Window,
    /// A share above 100 %.
    #[error("a share must be 0 to 100 percent")]
    Percent,
}

impl Percent {
    /// All of them.
    pub const ALL: Self = Self(100);

    /// `share` in whole percent.
    ///
    /// # Errors
    /// It is above 100.
    pub const fn new(share: u8) -> Result<Self, PolicyError> {
        if share > 100 { Err(PolicyError::Percent) } else { Ok(Self(share)) }
    }

    /// In whole percent.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether `part` of `whole` is at least this share; of nothing, always.
    pub fn reached_by(self, part: u32, whole: u32) -> bool {
        u64::from(part) * 100 >= u64::from(self.0) * u64::from(whole)
    }

    /// Whether `part` of `whole` is more than this share.
    pub fn exceeded_by(self, part: u32, whole: u32) -> bool {
        u64::from(part) * 100 > u64::from(self.0) * u64::from(whole)
    }
}

impl TryFrom<u8> for Percent {
    type Error = PolicyError;

    fn try_from(share: u8) -> Result<Self, Self::Error> {
        Self::new(share)
    }
}

impl From<Percent> for u8 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl RolloutState {
    /// The state as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Aborted => "aborted",
        }
    }

    /// Whether it is over.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Finished | Self::Aborted)
    }
}

impl MaintenanceWindow {
    /// Whether `now` lies within the window.
    pub fn open_at(self, now: UnixTime) -> bool {
        let minute = now.as_secs() / 60 % 1_440;
        let into = (minute + 1_440 - u64::from(self.from_minute) % 1_440) % 1_440;
        into < u64::from(self.minutes)
    }
}

impl Policy {
    /// Checks that a rollout can follow this policy.
    ///
    /// # Errors
    /// The first thing that it cannot.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.phases.is_empty() {
            return Err(PolicyError::NoPhase);
        }
        if let Some(phase) = self.phases.iter().position(|phase| phase.devices == 0) {
            return Err(PolicyError::EmptyPhase { phase });
        }
        if u32::try_from(self.phases.iter().map(|phase| u64::from(phase.devices)).sum::<u64>()).is_err() {
            return Err(PolicyError::TooManyDevices);
        }
        for (field, zero) in [
            ("the device timeout", self.device_timeout.0 == 0),
            ("the link's life", self.link_life.0 == 0),
            ("the rate limit", self.rate.is_some_and(|rate| rate.offers == 0 || rate.per.0 == 0)),
        ] {
            if zero {
                return Err(PolicyError::Zero { field });
            }
        }
        match self.window {
            Some(window) if window.from_minute >= 1_440 || !(1..=1_440).contains(&window.minutes) => {
                Err(PolicyError::Window)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many devices all phases cover together.
    pub fn devices(&self) -> u32 {
        self.phases.iter().fold(0, |sum, phase| sum.saturating_add(phase.devices))
    }

    /// The earliest time of each phase if the rollout starts at `start`: the sum of the soak times
    /// before it. It is signed into the tickets, so that no backend can hurry a phase.
    pub fn earliest(&self, start: UnixTime) -> Vec<UnixTime> {
        self.phases
            .iter()
            .scan(start, |at, phase| {
                let opens = *at;
                *at = *at + phase.soak;
                Some(opens)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_cross_midnight() {
        let window = MaintenanceWindow { from_minute: 23 * 60, minutes: 120 };
        let at = |hour: u64, minute: u64| {
            UnixTime::from_secs(1_790_000_000 / 86_400 * 86_400 + hour * 3_600 + minute * 60)
        };
        assert!(window.open_at(at(23, 0)));
        assert!(window.open_at(at(0, 59)));
        assert!(!window.open_at(at(1, 0)));
        assert!(!window.open_at(at(22, 59)));
    }

    #[test]
    fn shares_are_compared_without_rounding() {
        let share = Percent::new(95).unwrap();
        assert!(share.reached_by(95, 100));
        assert!(!share.reached_by(94, 99));
        assert!(share.exceeded_by(96, 100));
        assert!(!share.exceeded_by(95, 100));
        assert!(Percent::new(101).is_err());
    }
}
