use serde::{Deserialize, Serialize};

use crate::{Component, DeploymentId, DeviceId, RolloutId, UnixTime};

/// One device's execution of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Deployment {
    /// This deployment.
    pub id: DeploymentId,
    /// The rollout that it belongs to.
    pub rollout: RolloutId,
    /// Who executes it.
    pub device: DeviceId,
    /// What it updates. One deployment is open per device and component.
    pub component: Component,
    /// The phase of the rollout that it belongs to, counted from 0.
    pub phase: u32,
    /// Where it stands.
    pub state: DeploymentState,
    /// How often it was offered.
    pub attempts: u32,
    /// When it came to stand there.
    pub changed_at: UnixTime,
}

/// Where a deployment stands. Only [`Succeeded`](Self::Succeeded) means that the device booted the
/// new software and confirmed it (R14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Waits for its phase, its ticket, the window or the rate limit.
    Queued,
    /// A link was made and pushed.
    Offered,
    /// The device fetches ciphertext.
    Downloading,
    /// All of it is staged, opened and verified.
    Downloaded,
    /// The installer writes.
    Installing,
    /// The device boots the new software on trial.
    Rebooting,
    /// The new software runs and checks itself.
    Confirming,
    /// Booted and confirmed.
    Succeeded,
    /// The device tried and reported why it could not.
    Failed,
    /// The device did not finish in time.
    TimedOut,
    /// The device refused what it was offered.
    Rejected,
    /// A person, or a newer rollout, took it back.
    Canceled,
    /// The trial boot failed and the device went back to the old software.
    RolledBack,
    /// Nothing to do: the device already ran it, or is no longer eligible.
    Skipped,
}

/// A step that a deployment cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a deployment that is {from} cannot become {to}", from = .from.as_str(), to = .to.as_str())]
pub struct IllegalStep {
    /// Where it stands.
    pub from: DeploymentState,
    /// Where it was asked to go.
    pub to: DeploymentState,
}

impl DeploymentState {
    /// Every state, in the order of the words.
    pub const ALL: [Self; 14] = [
        Self::Queued,
        Self::Offered,
        Self::Downloading,
        Self::Downloaded,
        Self::Installing,
        Self::Rebooting,
        Self::Confirming,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Rejected,
        Self::Canceled,
        Self::RolledBack,
        Self::Skipped,
    ];

    /// The state as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Downloading => "downloading",
            Self::Downloaded => "downloaded",
            Self::Installing => "installing",
            Self::Rebooting => "rebooting",
            Self::Confirming => "confirming",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
            Self::RolledBack => "rolled_back",
            Self::Skipped => "skipped",
        }
    }

    /// The state of this wire form.
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing further happens by itself.
    pub const fn ended(self) -> bool {
        self as u8 >= Self::Succeeded as u8
    }

    /// Whether the device holds an offer and has not ended.
    pub const fn in_progress(self) -> bool {
        !self.ended() && !matches!(self, Self::Queued)
    }

    /// Whether it counts against the failure threshold.
    pub const fn counts_as_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Rejected | Self::RolledBack)
    }

    /// Whether from here on nothing may replace the device's ticket: the installer has begun.
    pub const fn past_recall(self) -> bool {
        matches!(self, Self::Installing | Self::Rebooting | Self::Confirming)
    }

    /// What a device's report makes of this state. A report that was lost on the way may be skipped,
    /// so any later state is taken; an earlier one, a late repeat, leaves the state as it is.
    ///
    /// # Errors
    /// The deployment has ended otherwise, was not offered, or the state is none that a device reports.
    pub fn reported(self, report: Self) -> Result<Self, IllegalStep> {
        let illegal = Err(IllegalStep { from: self, to: report });
        match report {
            Self::Queued | Self::Offered | Self::TimedOut | Self::Canceled | Self::Skipped => illegal,
            _ if self == report => Ok(self),
            // A device that was given up may still come home with the truth.
            Self::Succeeded | Self::RolledBack | Self::Failed if self == Self::TimedOut => Ok(report),
            _ if self.ended() || self == Self::Queued => illegal,
            Self::Downloading
            | Self::Downloaded
            | Self::Installing
            | Self::Rebooting
            | Self::Confirming
            | Self::Succeeded
            | Self::Failed
            | Self::Rejected
            | Self::RolledBack => Ok(self.max(report)),
        }
    }

    /// What the backend's own decision makes of this state: offer, time out, cancel, skip, or queue
    /// again for another attempt.
    ///
    /// # Errors
    /// The step would undo what a device reported, or recall what is being installed.
    pub fn decided(self, to: Self) -> Result<Self, IllegalStep> {
        let allowed = self == to
            || match to {
                Self::Offered => matches!(self, Self::Queued),
                Self::Skipped => matches!(self, Self::Queued | Self::Offered),
                Self::Canceled => !self.ended() && !self.past_recall(),
                Self::TimedOut => self.in_progress(),
                Self::Queued => {
                    matches!(
                        self,
                        Self::Offered | Self::Downloading | Self::Failed | Self::TimedOut | Self::RolledBack
                    )
                }
                Self::Downloading
                | Self::Downloaded
                | Self::Installing
                | Self::Rebooting
                | Self::Confirming
                | Self::Succeeded
                | Self::Failed
                | Self::Rejected
                | Self::RolledBack => false,
            };
        if allowed { Ok(to) } else { Err(IllegalStep { from: self, to }) }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeploymentState::*, *};

    #[test]
    fn a_device_cannot_report_what_only_the_backend_decides() {
        for state in DeploymentState::ALL {
            for to in [Queued, Offered, TimedOut, Canceled, Skipped] {
                assert!(state.reported(to).is_err(), "{state:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn reports_only_ever_move_forward() {
        for from in DeploymentState::ALL {
            for report in DeploymentState::ALL {
                if let Ok(next) = from.reported(report) {
                    assert!(next >= from || from == TimedOut, "{from:?} + {report:?} = {next:?}");
                }
            }
        }
        assert_eq!(Installing.reported(Downloading), Ok(Installing));
        assert_eq!(Offered.reported(Succeeded), Ok(Succeeded));
        assert!(Succeeded.reported(Failed).is_err());
        assert!(Canceled.reported(Installing).is_err());
    }

    #[test]
    fn nothing_recalls_what_is_being_installed() {
        for state in [Installing, Rebooting, Confirming] {
            for to in [Canceled, Queued, Skipped, Offered] {
                assert!(state.decided(to).is_err(), "{state:?} -> {to:?}");
            }
        }
        assert!(Succeeded.decided(Queued).is_err());
    }

    #[test]
    fn every_state_reads_back_from_the_wire() {
        for state in DeploymentState::ALL {
            assert_eq!(DeploymentState::from_wire(state.as_str()), Some(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.as_str()));
        }
    }
}
