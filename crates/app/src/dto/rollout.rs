use model::{
    Component, DeploymentState, DeviceId, FailureThreshold, Gate, MaintenanceWindow, Percent, Policy,
    RateLimit, ReleaseId, RolloutId, Seconds, TargetName, UnixTime, Version,
};
use protocol::operator::PageRequest;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Plans a rollout of a published and sealed release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PlanRollout {
    /// What it brings.
    pub release: ReleaseId,
    /// Which of its artifacts; may be left out where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub target: Option<TargetName>,
    /// Only these devices; all of the release's model if empty.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
    /// The stages.
    pub phases: Vec<PhaseSize>,
    /// When it pauses by itself.
    pub failure: FailureThreshold,
    /// How long one device may take.
    pub device_timeout: Seconds,
    /// How often a failed deployment is offered again.
    pub retries: u32,
    /// How fast it may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rate: Option<RateLimit>,
    /// When in the day it may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub window: Option<MaintenanceWindow>,
    /// How long a download link lives.
    pub link_life: Seconds,
    /// How long a ticket lives from its phase's earliest time; at most 14 days.
    pub ticket_life: Seconds,
    /// When the first phase may open; now if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub start_at: Option<UnixTime>,
}

/// How many devices a phase covers, and what it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PhaseSize {
    /// How many.
    pub size: Size,
    /// The share of them that must have confirmed before the next phase opens.
    pub success: Percent,
    /// How long after it opened, at the least, the next phase opens.
    pub soak: Seconds,
    /// Who opens the next phase.
    pub gate: Gate,
}

/// A number of devices, or a share of all that are eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// So many.
    Devices(u32),
    /// So many of a hundred; at least one device.
    Percent(Percent),
    /// All that are left.
    Rest,
}

/// What a rollout would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RolloutPlan {
    /// What it brings.
    pub target: TargetName,
    /// To which component.
    pub component: Component,
    /// In which version.
    pub version: Version,
    /// The policy, with the phases' sizes in devices.
    pub policy: Policy,
    /// The earliest time of each phase, as it will be signed.
    pub not_before: Vec<UnixTime>,
    /// Devices that take part.
    pub devices: u32,
    /// Devices that do not, by reason.
    pub excluded: Vec<Exclusion>,
    /// Ciphertext bytes that all of them fetch together.
    #[ts(type = "number")]
    pub traffic_bytes: u64,
    /// Hand this back to start exactly this.
    pub token: String,
}

/// Why some devices take no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Exclusion {
    /// Why.
    pub reason: ExclusionReason,
    /// How many.
    pub count: u32,
    /// The first of them.
    pub examples: Vec<DeviceId>,
    /// The release that they must install first, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub first: Option<PassFirst>,
}

/// A release that devices must install before any later one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
pub struct PassFirst {
    /// The version that it brings.
    pub version: Version,
    /// Which.
    pub release: ReleaseId,
}

/// Why a device takes no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionReason {
    /// The release is for another model or hardware revision.
    Incompatible,
    /// It runs this version or a later one.
    UpToDate,
    /// It must install a release in between first, which no device may jump over.
    MustPassFirst,
    /// It is not, or no longer, one of the fleet.
    NotActive,
    /// Its certificate does not verify here, whatever the backend says.
    Untrusted,
    /// It has not proven that it holds both keys.
    NotProven,
    /// It is busy with another rollout of this component.
    InOtherRollout,
    /// It belongs to none of the phases.
    BeyondPhases,
}

impl ExclusionReason {
    /// Why, said of devices: "3: run this version or a later one".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Incompatible => "of another hardware revision than the release is for",
            Self::UpToDate => "run this version or a later one",
            Self::MustPassFirst => "must install a release in between first",
            Self::NotActive => "revoked, or marked as cloned or lost",
            Self::Untrusted => "whose certificate does not verify here, whatever the backend says",
            Self::NotProven => "have not proven that they hold both of their keys",
            Self::InOtherRollout => "in another rollout of this component, which has not ended",
            Self::BeyondPhases => "in none of the phases",
        }
    }
}

/// One rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RolloutName {
    /// Its id.
    pub rollout: RolloutId,
}

/// Opens the phase after one, before its success threshold is met but never before its signed time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct OpenAfter {
    /// The rollout.
    pub rollout: RolloutId,
    /// The phase before it, counted from 0.
    pub phase: u32,
}

/// Which deployments of a rollout, and which page of them.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ListDeployments {
    /// The rollout.
    pub rollout: RolloutId,
    /// In this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub state: Option<DeploymentState>,
    /// Of this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub device: Option<DeviceId>,
    /// That failed for this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub code: Option<String>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Adds devices that joined since a rollout was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AddToRollout {
    /// The rollout, which has not ended.
    pub rollout: RolloutId,
    /// Only these devices; all of the release's model that could take part if empty.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
}

/// Tickets that were signed while a rollout is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RenewedTickets {
    /// How many.
    pub tickets: u32,
    /// How many devices got none: nothing that was signed before, or no certificate, speaks for them, or they
    /// are revoked.
    pub left_out: u32,
}
