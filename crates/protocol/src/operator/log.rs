//! The backend's audit log as a Merkle log, and the vaults' logs that it watches.

use model::{Digest, UnixTime};
use serde::{Deserialize, Serialize};

use crate::Base64;

/// Where a log ends: a signed checkpoint (C2SP `tlog-checkpoint`), as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LogHead {
    /// The note: origin, size, root, an empty line, and a line per signature or cosignature.
    pub checkpoint: String,
}

/// Heads of the backend's log as its vaults last cosigned them, and of their logs as the backend did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Cosigned {
    /// Heads of the backend's log, each cosigned by one vault.
    pub backend: Vec<String>,
    /// Heads of vaults' logs, cosigned by the backend.
    pub vaults: Vec<String>,
    /// Signed statements (`fleetseal-recovery/1`) that the backend was restored, oldest first.
    pub recoveries: Vec<Base64>,
}

/// Between which sizes a log grew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogSpan {
    /// The smaller size.
    pub from: u64,
    /// The larger size.
    pub to: u64,
}

/// A proof that one head follows on another (RFC 6962, 2.1.2), or that an entry is there (2.1.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogProof {
    /// The hashes, in the order of the RFC.
    pub path: Vec<Digest>,
}

/// A vault's own head, and the proof that it follows on the one that the backend cosigned last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VaultHead {
    /// The note, signed by the vault.
    pub checkpoint: String,
    /// The proof.
    pub path: Vec<Digest>,
}

/// One entry of the backend's log, as it is hashed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LogLeaf {
    /// Its number, from 1.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub number: u64,
    /// Its bytes; the leaf hash is SHA-256 of a zero byte and these.
    pub bytes: Base64,
}

/// A head as such.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LogSize {
    /// How many entries.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub size: u64,
    /// Their Merkle tree hash.
    pub root: Digest,
}

/// What a restored backend has, and would lose or take over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct RecoveryState {
    /// The head that a vault showed and that this log does not lead to; none if all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub lost: Option<LogSize>,
    /// Where its log ends.
    pub kept: LogSize,
    /// Open links, which will be dropped.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub links: u64,
    /// Open enrolment tokens, which will be dropped.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub tokens: u64,
    /// The version of its root metadata.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub root_version: u64,
    /// The version of its targets metadata.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub targets_version: u64,
    /// The number of its revocation list; 0 without one.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub revocation_list: u64,
}

/// What a vault gives back to a backend that was restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recover {
    /// The signed statement (`fleetseal-recovery/1`).
    pub statement: Base64,
    /// Root metadata behind the backend's, in order.
    pub roots: Vec<Base64>,
    /// Targets metadata, if it is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Base64>,
    /// The content of `trust/keys.cbor` that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_keys: Option<Base64>,
    /// The newest revocation list (`fleetseal-revoked/1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_list: Option<Base64>,
}

/// What a recovery did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Recovered {
    /// When.
    pub at: UnixTime,
    /// Links that were dropped.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub links: u64,
    /// Enrolment tokens that were dropped.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub tokens: u64,
    /// Devices that were revoked again.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub devices: u64,
    /// People whose access ended again.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub people: u64,
}
