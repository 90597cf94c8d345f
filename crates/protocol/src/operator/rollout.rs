use model::{
    ArtifactId, Component, DeploymentId, DeploymentState, DeviceId, Policy, ReleaseId, RolloutId,
    RolloutState, Serial, TargetName, UnixTime,
    planner::{Counts, PauseCause},
};
use serde::{Deserialize, Serialize};

use crate::Base64;

/// Plans a rollout. Nothing is offered before it is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewRollout {
    /// A fresh id.
    pub id: RolloutId,
    /// What it brings.
    pub release: ReleaseId,
    /// Which of the release's artifacts.
    pub target: TargetName,
    /// How that was sealed.
    pub artifact: ArtifactId,
    /// What it updates.
    pub component: Component,
    /// What a person decided.
    pub policy: Policy,
    /// The earliest time of each phase, as signed into the tickets.
    pub not_before: Vec<UnixTime>,
}

/// One device's part in a rollout, with its ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewDeployment {
    /// A fresh id; ignored where the device has a deployment in this rollout already and only its
    /// ticket is renewed.
    pub id: DeploymentId,
    /// Who.
    pub device: DeviceId,
    /// When, counted from 0.
    pub phase: u32,
    /// The signed label (`fleetseal-label/1`). The backend reads times and sequence number here.
    pub label: Base64,
    /// The sealed ticket (`fleetseal-ticket/1`).
    pub sealed_ticket: Base64,
}

/// Adds devices to a rollout, or renews their tickets; at most 1,000 at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddDeployments {
    /// The devices.
    pub deployments: Vec<NewDeployment>,
}

/// What became of [`AddDeployments`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct AddedDeployments {
    /// New ones.
    pub added: u32,
    /// Renewed tickets.
    pub renewed: u32,
    /// Those that could not be added.
    pub excluded: Vec<Excluded>,
}

/// Why a device is not part of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Excluded {
    /// It is busy with another rollout of the same component.
    InOtherRollout {
        /// Who.
        device: DeviceId,
        /// Which.
        rollout: RolloutId,
    },
    /// It is not, or no longer, one of the fleet.
    NotActive {
        /// Who.
        device: DeviceId,
    },
}

/// A rollout in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RolloutRow {
    /// The rollout.
    pub id: RolloutId,
    /// What it brings.
    pub release: ReleaseId,
    /// Which of the release's artifacts.
    pub target: TargetName,
    /// What it updates.
    pub component: Component,
    /// Where it stands.
    pub state: RolloutState,
    /// Its deployments, by state.
    pub counts: Counts,
    /// When it was planned.
    pub created_at: UnixTime,
}

/// Everything about a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RolloutDetail {
    /// As in the list.
    pub row: RolloutRow,
    /// How its artifact was sealed.
    pub artifact: ArtifactId,
    /// What a person decided.
    pub policy: Policy,
    /// Its phases.
    pub phases: Vec<PhaseRow>,
    /// Why the planner paused it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub pause_cause: Option<PauseCause>,
    /// The backend's clock.
    pub server_time: UnixTime,
}

/// One phase of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PhaseRow {
    /// Its deployments, by state.
    pub counts: Counts,
    /// The earliest time, as signed.
    pub not_before: UnixTime,
    /// When it was opened, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub opened_at: Option<UnixTime>,
}

/// What a person may do with a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RolloutStep {
    /// Start it.
    Start,
    /// Offer nothing more.
    Pause,
    /// Go on; failures so far are forgiven.
    Resume,
    /// End it: cancel what is not past recall.
    Abort,
    /// Open the phase after this one.
    OpenAfter {
        /// Counted from 0.
        phase: u32,
    },
}

/// What was signed for one device of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedDeployment {
    /// Who.
    pub device: DeviceId,
    /// When, counted from 0.
    pub phase: u32,
    /// Where it stands.
    pub state: DeploymentState,
    /// The signed `fleetseal-label/1` of its last ticket that installs; a hold that followed leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Base64>,
}

/// One device's part in a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct DeploymentRow {
    /// The deployment.
    pub id: DeploymentId,
    /// Its rollout.
    pub rollout: RolloutId,
    /// Who.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// When, counted from 0.
    pub phase: u32,
    /// Where it stands.
    pub state: DeploymentState,
    /// How often it was offered.
    pub attempts: u32,
    /// Why it failed, as the device reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub code: Option<String>,
    /// Ciphertext bytes served to it, of [`total_bytes`](Self::total_bytes).
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub served_bytes: u64,
    /// Ciphertext bytes in all.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub total_bytes: u64,
    /// When it came to stand there.
    pub changed_at: UnixTime,
}
