use model::{
    Component, Digest, HardwareRevision, InstallerName, ModelName, ReleaseId, Seconds, SecurityCounter,
    TargetName, Version,
};
use protocol::{
    ErrorCode,
    operator::{ReleaseArtifact, Verdict},
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Proposes a release.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ProposeRelease {
    /// What people call it.
    pub version: Version,
    /// What it consists of: one artifact for each model, hardware and component.
    pub artifacts: Vec<ProposeArtifact>,
    /// What changed, for people.
    #[serde(default)]
    pub notes: String,
    /// Put it down as a draft: nobody is asked to sign it yet.
    #[serde(default)]
    pub draft: bool,
    /// How long it may wait for signatures; 14 days if left out, 60 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub sign_within: Option<Seconds>,
}

/// One file of a release.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ProposeArtifact {
    /// The file.
    pub file: String,
    /// For which devices.
    pub model: ModelName,
    /// For which revisions of their hardware.
    pub hardware_revisions: Vec<HardwareRevision>,
    /// What it updates.
    pub component: Component,
    /// Its version.
    pub version: Version,
    /// Its security counter.
    #[serde(default)]
    pub security_counter: SecurityCounter,
    /// Who writes it on the device.
    pub installer: InstallerName,
    /// What other components must run at least.
    #[serde(default)]
    pub requires: Vec<(Component, Version)>,
    /// No device jumps over it: one below gets it before anything above it.
    #[serde(default)]
    pub must_pass: bool,
}

/// What was found of a release before it is proposed.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct Checks {
    /// Its artifacts as they would be proposed.
    pub artifacts: Vec<ReleaseArtifact>,
    /// Every check of each.
    pub checks: Vec<Check>,
}

/// One check of one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Check {
    /// The artifact.
    pub target: TargetName,
    /// What was checked.
    pub kind: CheckKind,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub message: String,
    /// More of it; may be empty.
    pub detail: String,
    /// The code with which a proposal is refused, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub code: Option<ErrorCode>,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// It is a file that its installer takes.
    Container,
    /// It says of itself what is said of it.
    Claims,
    /// The fleet knows its model and hardware.
    Model,
    /// It fits its slot.
    Slot,
    /// Version and security counter rise.
    Rises,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It could not be checked, or a person should look.
    Warned,
    /// It does not hold: the release cannot be proposed.
    Failed,
}

/// One release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ReleaseName {
    /// Its id.
    pub release: ReleaseId,
}

/// Takes a release back.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct WithdrawRelease {
    /// Which.
    pub release: ReleaseId,
    /// Why, for those who sign the withdrawal and for the audit trail.
    pub reason: String,
}

/// A verdict on a release.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ReviewRelease {
    /// Which.
    pub release: ReleaseId,
    /// SHA-256 of the [`ReleaseDetail::targets`](protocol::operator::ReleaseDetail::targets) that were
    /// looked at; those of this moment if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub digest: Option<Digest>,
    /// What was found.
    pub verdict: Verdict,
    /// What is said; required where changes are requested.
    #[serde(default)]
    pub comment: String,
}

/// Encrypts a release's artifact once and uploads the ciphertext. What is sealed to the members of today
/// already stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct SealRelease {
    /// Which.
    pub release: ReleaseId,
    /// The file, which must be what was signed.
    pub file: String,
    /// Seal it anew under a fresh content key, though it is sealed: the key of before is in wrong hands.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub again: bool,
}
