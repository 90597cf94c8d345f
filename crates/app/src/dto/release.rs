use model::{
    Component, Digest, HardwareRevision, InstallerName, ModelName, ReleaseId, SecurityCounter, Version,
};
use protocol::operator::Verdict;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Proposes a release that consists of one file.
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
    pub security_counter: SecurityCounter,
    /// Who writes it on the device.
    pub installer: InstallerName,
    /// What other components must run at least.
    #[serde(default)]
    pub requires: Vec<(Component, Version)>,
    /// What changed, for people.
    #[serde(default)]
    pub notes: String,
}

/// One release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ReleaseName {
    /// Its id.
    pub release: ReleaseId,
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

/// Encrypts a release's artifact once and uploads the ciphertext.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct SealRelease {
    /// Which.
    pub release: ReleaseId,
    /// The file, which must be what was signed.
    pub file: String,
}
