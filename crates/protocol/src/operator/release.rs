use std::collections::BTreeMap;

use model::{
    ArtifactId, Component, Digest, HardwareRevision, InstallerName, ModelName, PersonName, ReleaseId,
    ReleaseState, SecurityCounter, SpkiDigest, TargetName, UnixTime, Version,
};
use serde::{Deserialize, Serialize};

use super::{Signature, SignatureRequest};
use crate::Base64;

/// One artifact of a release, as it will stand in the TUF targets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReleaseArtifact {
    /// Its TUF target name.
    pub target: TargetName,
    /// SHA-256 of the plaintext.
    pub digest: Digest,
    /// Length of the plaintext in bytes.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub length: u64,
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
    /// The lowest confirmed version that other components must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "ts", ts(as = "Option<BTreeMap<Component, Version>>", optional))]
    pub requires: BTreeMap<Component, Version>,
    /// No device jumps over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(as = "Option<bool>", optional))]
    pub must_pass: bool,
}

/// Proposes a release: the whole next targets metadata, unsigned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProposeRelease {
    /// A fresh id.
    pub id: ReleaseId,
    /// What people call it.
    pub version: Version,
    /// What changed, for people.
    pub notes: String,
    /// Its artifacts.
    pub artifacts: Vec<ReleaseArtifact>,
    /// The canonical `signed` part of the targets metadata that holds them: what key holders sign.
    pub targets: Base64,
    /// Until when it may be signed; 14 days if left out, 60 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
    /// Put it down as a draft, which nobody is asked to sign yet.
    #[serde(default)]
    pub draft: bool,
}

/// A release in a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReleaseRow {
    /// The release.
    pub id: ReleaseId,
    /// What people call it.
    pub version: Version,
    /// Where it stands.
    pub state: ReleaseState,
    /// Who proposed it.
    pub author: PersonName,
    /// The key of the author's certificate.
    pub author_spki: SpkiDigest,
    /// When it came to stand there.
    pub changed_at: UnixTime,
    /// Signatures that count.
    pub signatures: u32,
    /// Signatures that it takes.
    pub threshold: u32,
    /// One person alone could release it. That stays on record for good.
    pub no_separation_of_duties: bool,
}

/// Everything about a release.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ReleaseDetail {
    /// As in the list.
    pub row: ReleaseRow,
    /// What changed, for people.
    pub notes: String,
    /// Its artifacts.
    pub artifacts: Vec<ReleaseArtifact>,
    /// What key holders sign.
    pub targets: Base64,
    /// The version of the targets metadata that it would become.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub targets_version: u64,
    /// The request for signatures over it; none in a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub request: Option<SignatureRequest>,
    /// Who signed.
    pub signed_by: Vec<Signature>,
    /// What reviewers said.
    pub reviews: Vec<Review>,
    /// How each artifact was sealed, newest first.
    pub sealed: Vec<SealedArtifactRow>,
}

/// What a reviewer found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good as it is.
    Approve,
    /// Something has to change first.
    RequestChanges,
}

/// A reviewer's verdict: advice, no authority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Review {
    /// Who.
    pub by: PersonName,
    /// What they found.
    pub verdict: Verdict,
    /// What they said; required where changes are requested.
    pub comment: String,
    /// When.
    pub at: UnixTime,
}

/// Hands in a verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostReview {
    /// SHA-256 of [`ReleaseDetail::targets`] as the reviewer saw them.
    pub digest: Digest,
    /// What was found.
    pub verdict: Verdict,
    /// What is said.
    pub comment: String,
}

/// Takes a release back. The backend offers it no more from now on; devices learn of it once the
/// threshold signed the metadata that no longer holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithdrawRelease {
    /// The canonical `signed` part of the next targets metadata, without the release's artifacts: what
    /// key holders sign, in the place of [`ReleaseDetail::targets`].
    pub targets: Base64,
    /// Why, for the audit trail.
    pub reason: String,
}

/// How one artifact was sealed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct SealedArtifactRow {
    /// This sealing.
    pub id: ArtifactId,
    /// SHA-256 of the plaintext.
    pub artifact: Digest,
    /// The signed record (`fleetseal-sealed/1`).
    pub record: Base64,
    /// SHA-256 of the ciphertext.
    pub ciphertext: Digest,
    /// Length of the ciphertext in bytes.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub ciphertext_bytes: u64,
}

/// Hands in a sealed artifact whose ciphertext and segment list were uploaded before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadSealed {
    /// A fresh id.
    pub id: ArtifactId,
    /// The signed record (`fleetseal-sealed/1`).
    pub record: Base64,
    /// SHA-256 of the ciphertext.
    pub ciphertext: Digest,
    /// The SHA-256 of every segment, one after the other.
    pub segments: Base64,
}

/// How far an upload has come: `PUT /v1/operator/blobs/{sha256}` with `Content-Range` goes on from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ArtifactUpload {
    /// Bytes that are safely stored.
    pub stored_bytes: u64,
    /// Whether all of it is there and its digest is right.
    pub complete: bool,
}
