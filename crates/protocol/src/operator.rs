//! The operator API, for people's tools, stations and the desktop: `/v1/operator/...`, over mutual
//! TLS with a person's certificate. What a caller may do hangs on the roles that the backend's own
//! record gives to the certificate's key.

mod bench;
mod device;
mod enrolment;
mod event;
mod fleet;
mod link;
mod log;
mod model;
mod overview;
pub mod path;
mod release;
mod request;
mod rollout;

pub use self::model::{DeviceModel, Slot};
pub use bench::{BlobPart, HandInReceipt, LaidOutBundle, LayOutBundle};
pub use device::{
    Connectivity, DeviceCounts, DeviceDetail, DeviceFilter, DeviceRow, DeviceSort, DeviceState, ProofRecord,
    RevokeDevice,
};
pub use enrolment::{
    Enrolment, EnrolmentState, IssueCertificate, NewToken, RefuseEnrolment, Reservation, Reserve,
};
pub use event::{AlarmKind, AlarmRow, AuditRow, Hint, TimelineEntry};
pub use fleet::{
    Adopt, BackendIdentity, FleetSummary, Person, PublishMetadata, PutCertificate, PutPerson, SnapshotRequest,
};
pub use link::{LinkCounts, LinkEvent, LinkFate, LinkRow};
pub use log::{
    Cosigned, LogHead, LogLeaf, LogProof, LogSize, LogSpan, Recover, Recovered, RecoveryState, VaultHead,
};
pub use overview::{
    CertificateEnd, EXPIRING_MOST, FailureCluster, FleetOverview, ModelCount, ProgressPoint, RolloutProgress,
    ServedMinute, VersionCount,
};
pub use release::{
    ArtifactUpload, PostReview, ProposeRelease, ReleaseArtifact, ReleaseDetail, ReleaseRow, Review,
    SealedArtifactRow, UploadSealed, Verdict, WithdrawRelease,
};
pub use request::{
    AddSignature, NewRequest, Purpose, RequestFile, RequestState, Signature, SignatureRequest,
};
pub use rollout::{
    AddDeployments, AddedDeployments, DeploymentRow, Excluded, NewDeployment, NewRollout, PhaseRow,
    RolloutDetail, RolloutRow, RolloutStep, SignedDeployment,
};

use serde::{Deserialize, Serialize};

/// One page of a list, in a stable order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Hand this back as `after` for the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct PageRequest {
    /// [`Page::next`] of the page before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub after: Option<String>,
    /// How many rows, at most 500; 100 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub limit: Option<u32>,
}

impl PageRequest {
    /// How many rows to give: 1 to 500.
    pub fn rows(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, 500)
    }
}
