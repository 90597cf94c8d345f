//! The backend's state: what must outlive it.
//!
//! [`Store`] is the sum of one trait per noun, in domain operations that take batches; it is used as
//! `Arc<dyn Store>`. [`SqliteStore`] keeps it in one SQLite file: a writer thread commits what is
//! waiting as one group, so that a durable write costs a share of an fsync, and readers run beside it.
//! [`Blobs`] keeps artifacts as content-addressed files.
//!
//! Time comes in as arguments; nothing here reads a clock.

use std::pin::Pin;

mod audit;
mod blob;
#[cfg(feature = "conformance")]
pub mod conformance;
mod coverage;
mod deployment;
mod device;
mod digest;
mod document;
mod enrolment;
mod error;
mod journal;
mod link;
mod page;
mod person;
mod release;
mod rollout;
mod sqlite;

pub use audit::{Audit, AuditEntry, AuditHead, NewAuditEntry};
pub use blob::{Blob, Blobs};
pub use deployment::{
    Canceled, Delivery, DeploymentFilter, DeploymentRow, Deployments, Exclusion, NewDeployment, Offer,
    Report, Reported, Ticket, TicketAction, TicketTaken, TimedOut,
};
pub use device::{
    Basis, Certificate, CheckIn, CheckedIn, Device, DeviceCounts, DeviceFilter, DeviceKey, DeviceOrder,
    DeviceState, Devices, Identity, InstalledVersion, Reservation, Reserved, VersionReport, Withdrawn,
};
pub use document::{Document, DocumentInfo, Documents};
pub use enrolment::{
    Enrolment, EnrolmentRequest, EnrolmentState, Enrolments, Requested, Token, TokenChoice, TokenRecord,
    TokenState,
};
pub use error::{Error, Result};
pub use journal::{Alarm, Event, Journal, NewEvent, Timeline};
pub use link::{
    CONFIRM_WITHIN, EndedLink, Link, LinkChoice, LinkCounts, LinkEvent, LinkFate, LinkFilter, LinkRow, Links,
    SWEEP_MOST, Served, ServedRange,
};
pub use page::{Cursor, Page, PageRequest};
pub use person::{People, Person};
pub use release::{Comment, Release, ReleaseContent, Releases, SealedArtifact};
pub use rollout::{
    FailureCluster, NewRollout, Pause, Progress, READY_MOST, Rollout, RolloutPhase, RolloutStep, Rollouts,
};
pub use sqlite::{SqliteOptions, SqliteStore};

/// What a store answers: a future, boxed so that [`Store`] is usable as a trait object. An operation
/// that writes may go on although its future is dropped.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The backend's state. When a write has answered, it is durable; of a write that failed, nothing is
/// kept; a read sees every write that answered before it was asked.
pub trait Store:
    People
    + Enrolments
    + Devices
    + Journal
    + Audit
    + Documents
    + Releases
    + Rollouts
    + Deployments
    + Links
    + Send
    + Sync
    + 'static
{
}

impl<T> Store for T where
    T: People
        + Enrolments
        + Devices
        + Journal
        + Audit
        + Documents
        + Releases
        + Rollouts
        + Deployments
        + Links
        + Send
        + Sync
        + 'static
{
}
