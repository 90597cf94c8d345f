//! The fleet's root of trust: metadata as The Update Framework 1.0 specifies it.
//!
//! Who signs makes [`Root`], [`Targets`], [`Snapshot`] and [`Timestamp`] and puts them into
//! [`Signed`] files. Who trusts keeps a [`TrustedState`] and runs a [`Client`] over it, which asks
//! for one file after the other and never does I/O itself. What comes out is a
//! `Verified<TargetsView>`.
//!
//! Flat, Ed25519 alone, consistent snapshots on. Delegations are not followed.

mod client;
pub(crate) mod copies;
mod json;
mod key;
mod metadata;
mod signed;
mod state;
mod target;

#[cfg(test)]
mod tests;

pub use client::{Client, Fetched, Need};
pub use copies::StateLost;
pub use key::{Key, KeyId};
pub use metadata::{
    Hashes, MetaFile, Metadata, Role, RoleKeys, Roles, Root, Snapshot, TRUST_KEYS_TARGET, TargetCustom,
    TargetFile, Targets, Timestamp, TimestampMeta, VersionJump, next_online_version,
};
use model::{TargetName, UnixTime};
pub use signed::{Signature, Signed, Standing};
pub use state::{Bundled, TrustedState};
pub use target::{TargetHash, TargetInfo, TargetsView};

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why metadata or a target was not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no metadata of this role.
    #[error("malformed {role} metadata: {reason}")]
    Malformed {
        /// Whose metadata it should have been.
        role: Role,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is longer than it may be.
    #[error("{role} metadata is longer than {max_bytes} bytes")]
    TooLarge {
        /// Whose metadata it should have been.
        role: Role,
        /// The longest that was taken.
        max_bytes: u64,
    },
    /// The repository has no such file.
    #[error("the repository has no {role} metadata")]
    NotFound {
        /// Whose metadata is missing.
        role: Role,
    },
    /// Too few different keys of the role signed it.
    #[error("{role} metadata is signed by {have} of the {need} keys that it takes")]
    ThresholdNotMet {
        /// Whose metadata it is.
        role: Role,
        /// How many signed.
        have: u32,
        /// How many must.
        need: u32,
    },
    /// It is older than what is trusted already.
    #[error("{role} metadata of version {offered} would go back behind {trusted}")]
    Rollback {
        /// Whose version would go back.
        role: Role,
        /// The version that is trusted.
        trusted: u64,
        /// The version that was offered.
        offered: u64,
    },
    /// It is not the version that was asked for.
    #[error("{role} metadata of version {found} in place of {expected}")]
    VersionMismatch {
        /// Whose metadata it is.
        role: Role,
        /// The version that was asked for.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// It is not the file that the metadata above names.
    #[error("{role} metadata differs from what was signed for it")]
    HashMismatch {
        /// Whose metadata it is.
        role: Role,
    },
    /// It has lapsed.
    #[error("{role} metadata expired at {expires}")]
    Expired {
        /// Whose metadata it is.
        role: Role,
        /// When it lapsed.
        expires: UnixTime,
    },
    /// It was issued after the moment that it shall have been valid at.
    #[error("targets metadata issued at {issued_at}, after the bundle")]
    NotYetIssued {
        /// When it was issued.
        issued_at: UnixTime,
    },
    /// The repository offers more new roots than one refresh takes.
    #[error("more than {max} new roots in one refresh")]
    TooManyRoots {
        /// How many one refresh takes.
        max: u32,
    },
    /// The refresh has not come to its end.
    #[error("the refresh is not complete")]
    Incomplete,
    /// A copy of a file is of other content.
    #[error("the copy of the {role} metadata has other content")]
    OtherContent {
        /// Whose metadata it is.
        role: Role,
    },
    /// The bytes are not the target's.
    #[error("the content of {name} is not what was signed")]
    TargetMismatch {
        /// The target.
        name: TargetName,
    },
}
