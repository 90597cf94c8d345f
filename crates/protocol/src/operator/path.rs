//! The paths of the operator API.

use model::{DeviceId, Digest, LinkId, ReleaseId, RequestId, RolloutId, SpkiDigest, TokenId};

/// `GET`: [`super::FleetSummary`].
pub const FLEET: &str = "/v1/operator/fleet";
/// `GET`: [`super::FleetOverview`].
pub const OVERVIEW: &str = "/v1/operator/overview";
/// `GET`: [`super::BackendIdentity`].
pub const BACKEND: &str = "/v1/operator/backend";
/// `PUT` [`super::PutCertificate`]: another issuing CA under the fleet's root, such as a new station's.
pub const CAS: &str = "/v1/operator/cas";
/// `PUT` [`super::PutCertificate`]: the backend's next certificate, over the key that it has.
pub const SERVER_CERTIFICATE: &str = "/v1/operator/server-certificate";
/// `GET`: all of [`super::Person`]. `PUT` [`super::PutPerson`]: [`super::Person`].
pub const PEOPLE: &str = "/v1/operator/people";
/// `GET` a page of [`super::AlarmRow`].
pub const ALARMS: &str = "/v1/operator/alarms";
/// `GET` a page of [`super::AuditRow`].
pub const AUDIT: &str = "/v1/operator/audit";
/// `GET`: [`super::LogHead`] of the backend's log, with `?size=` as it was at so many entries. `POST` [`super::LogHead`], cosigned by a vault: one that the
/// log does not lead to shows that the backend was restored from a backup, and locks it.
pub const AUDIT_HEAD: &str = "/v1/operator/audit/head";
/// `GET` [`super::LogProof`] that the backend's log grew over a [`super::LogSpan`].
pub const AUDIT_GROWTH: &str = "/v1/operator/audit/growth";
/// `GET` a page of [`super::LogLeaf`]: the entries as they are hashed.
pub const AUDIT_LEAVES: &str = "/v1/operator/audit/leaves";
/// `GET` [`super::Cosigned`].
pub const AUDIT_COSIGNED: &str = "/v1/operator/audit/cosigned";
/// `POST` [`super::VaultHead`]: [`super::LogHead`], cosigned by the backend. The last one is read below.
pub const AUDIT_VAULTS: &str = "/v1/operator/audit/vaults";
/// `GET`: [`super::RecoveryState`]. `POST` [`super::Recover`]: [`super::Recovered`].
pub const RECOVERY: &str = "/v1/operator/recovery";
/// `GET` a stream of [`super::Hint`], one JSON object a line.
pub const EVENTS: &str = "/v1/operator/events";
/// `POST` [`super::PublishMetadata`]. Metadata is read below [`crate::device::path::TUF`].
pub const METADATA: &str = "/v1/operator/metadata";
/// `GET` the newest signed list of revoked keys (`fleetseal-revoked/1`), once there is one.
pub const REVOKED: &str = "/v1/tuf/revoked.cbor";
/// `POST` [`super::SnapshotRequest`].
pub const SNAPSHOT: &str = "/v1/operator/metadata/snapshot";
/// `POST` [`super::NewToken`].
pub const TOKENS: &str = "/v1/operator/tokens";
/// `GET` all of [`super::Enrolment`] that wait for a vault: pending ones, and issued ones whose proof
/// came in.
pub const ENROLMENTS: &str = "/v1/operator/enrolments";
/// `GET` a page of [`super::DeviceRow`] by [`super::DeviceFilter`].
pub const DEVICES: &str = "/v1/operator/devices";
/// `GET`: all of [`super::DeviceModel`]. `PUT` [`super::DeviceModel`].
pub const MODELS: &str = "/v1/operator/models";
/// `GET` a page of [`super::ReleaseRow`]. `POST` [`super::ProposeRelease`]: [`super::ReleaseDetail`].
pub const RELEASES: &str = "/v1/operator/releases";
/// `GET`: all of [`super::SignatureRequest`] of the last months, newest first. `POST`
/// [`super::NewRequest`]: [`super::SignatureRequest`].
pub const REQUESTS: &str = "/v1/operator/requests";
/// `GET` a page of [`super::RolloutRow`]. `POST` [`super::NewRollout`]: [`super::RolloutDetail`].
pub const ROLLOUTS: &str = "/v1/operator/rollouts";
/// `GET` a page of [`super::LinkRow`], soonest to lapse first (optional `state`, `rollout`, `device`,
/// `expires_before`, `descending`).
pub const LINKS: &str = "/v1/operator/links";
/// `GET` a page of [`super::LinkEvent`], newest first (optional `fate`).
pub const LINK_EVENTS: &str = "/v1/operator/link-events";
/// `POST` [`super::HandInReceipt`]: what was done to a device on the service bench.
pub const RECEIPTS: &str = "/v1/operator/receipts";
/// `POST` [`super::LayOutBundle`]: for benches on the network.
pub const BUNDLES: &str = "/v1/operator/bundles";
/// Ciphertexts are uploaded below, and read for offline bundles.
pub const BLOBS: &str = "/v1/operator/blobs";

/// `GET`: [`super::LogHead`], the last head of this vault's log (the end of its name) that the backend
/// cosigned.
pub fn vault_head(vault: &str) -> String {
    format!("{AUDIT_VAULTS}/{vault}")
}

/// `GET` [`super::LogProof`] that an entry of the backend's log is among its first `size`.
pub fn audit_entry(number: u64, size: u64) -> String {
    format!("{AUDIT}/{number}/{size}")
}

/// `POST` nothing: somebody looked at an alarm.
pub fn acknowledge(alarm: u64) -> String {
    format!("{ALARMS}/{alarm}/acknowledge")
}

/// `POST` nothing: a person found that no disk was copied after all.
pub fn clear_cloned(device: DeviceId) -> String {
    format!("{DEVICES}/{device}/clear-cloned")
}

/// `POST` nothing: ends a person's access at once.
pub fn revoke_person(person: SpkiDigest) -> String {
    format!("{PEOPLE}/{person}/revoke")
}

/// `POST` [`super::Reserve`]: [`super::Reservation`].
pub fn reserve(token: TokenId) -> String {
    format!("{ENROLMENTS}/{token}/reserve")
}

/// `POST` [`super::IssueCertificate`].
pub fn issue(token: TokenId) -> String {
    format!("{ENROLMENTS}/{token}/issue")
}

/// `POST` [`super::RefuseEnrolment`].
pub fn refuse(token: TokenId) -> String {
    format!("{ENROLMENTS}/{token}/refuse")
}

/// `POST` nothing: the vault verified the device's proof of both keys.
pub fn proven(token: TokenId) -> String {
    format!("{ENROLMENTS}/{token}/proven")
}

/// `GET`: [`super::DeviceDetail`].
pub fn device(device: DeviceId) -> String {
    format!("{DEVICES}/{device}")
}

/// `GET` [`super::LaidOutBundle`].
pub fn device_bundle(device: DeviceId) -> String {
    format!("{DEVICES}/{device}/bundle")
}

/// `GET` a page of [`super::TimelineEntry`].
pub fn timeline(device: DeviceId) -> String {
    format!("{DEVICES}/{device}/timeline")
}

/// `POST` [`super::RevokeDevice`].
pub fn revoke_device(device: DeviceId) -> String {
    format!("{DEVICES}/{device}/revoke")
}

/// `GET`: [`super::ReleaseDetail`].
pub fn release(release: ReleaseId) -> String {
    format!("{RELEASES}/{release}")
}

/// `POST` [`super::PostReview`]: [`super::ReleaseDetail`].
pub fn reviews(release: ReleaseId) -> String {
    format!("{RELEASES}/{release}/reviews")
}

/// `GET`: [`super::RequestFile`].
pub fn request(request: RequestId) -> String {
    format!("{REQUESTS}/{request}")
}

/// `POST` [`super::AddSignature`]: [`super::SignatureRequest`].
pub fn signatures(request: RequestId) -> String {
    format!("{REQUESTS}/{request}/signatures")
}

/// `POST`: puts into force what enough have signed, where the last signature could not; answered with
/// [`super::SignatureRequest`].
pub fn publish_request(request: RequestId) -> String {
    format!("{REQUESTS}/{request}/publish")
}

/// `POST` nothing: nobody shall sign it any more.
pub fn close_request(request: RequestId) -> String {
    format!("{REQUESTS}/{request}/close")
}

/// `POST` [`super::UploadSealed`]: [`super::ReleaseDetail`].
pub fn sealed(release: ReleaseId) -> String {
    format!("{RELEASES}/{release}/sealed")
}

/// `POST` nothing: [`super::ReleaseDetail`].
pub fn publish(release: ReleaseId) -> String {
    format!("{RELEASES}/{release}/publish")
}

/// `POST` [`super::WithdrawRelease`]: [`super::ReleaseDetail`].
pub fn withdraw(release: ReleaseId) -> String {
    format!("{RELEASES}/{release}/withdraw")
}

/// `PUT` bytes with `Content-Range` (RFC 9110; `bytes */N` asks how far it has come):
/// [`super::ArtifactUpload`].
pub fn blob(ciphertext: Digest) -> String {
    format!("{BLOBS}/{ciphertext}")
}

/// `GET` the part of a ciphertext that [`super::BlobPart`] names, as it is.
pub fn blob_part(ciphertext: Digest) -> String {
    format!("{BLOBS}/{ciphertext}/part")
}

/// `GET`: [`super::RolloutDetail`].
pub fn rollout(rollout: RolloutId) -> String {
    format!("{ROLLOUTS}/{rollout}")
}

/// `GET`: [`super::RolloutProgress`].
pub fn progress(rollout: RolloutId) -> String {
    format!("{ROLLOUTS}/{rollout}/progress")
}

/// `GET` a page of [`super::DeploymentRow`] (optional `state`, `device`, `code`). `POST` [`super::AddDeployments`]:
/// [`super::AddedDeployments`].
pub fn deployments(rollout: RolloutId) -> String {
    format!("{ROLLOUTS}/{rollout}/deployments")
}

/// `GET` a page of [`super::SignedDeployment`].
pub fn signed(rollout: RolloutId) -> String {
    format!("{ROLLOUTS}/{rollout}/signed")
}

/// `POST` [`super::RolloutStep`]: [`super::RolloutDetail`].
pub fn step(rollout: RolloutId) -> String {
    format!("{ROLLOUTS}/{rollout}/step")
}

/// `POST` nothing: takes a link back.
pub fn revoke_link(link: LinkId) -> String {
    format!("{LINKS}/{link}/revoke")
}

/// `POST` nothing: remakes a link and pushes it.
pub fn reissue_link(link: LinkId) -> String {
    format!("{LINKS}/{link}/reissue")
}
