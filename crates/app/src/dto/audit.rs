use model::{Digest, FleetId, UnixTime};
use protocol::Base64;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A file with both logs.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct AuditFile {
    /// Where it is.
    pub file: String,
}

/// Where the logs ended when they were last cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CosignedHeads {
    /// Entries of the backend's log that this vault cosigned.
    #[ts(type = "number")]
    pub backend: u64,
    /// Entries of this vault's log that the backend cosigned; 0 if it did not.
    #[ts(type = "number")]
    pub vault: u64,
}

/// What was written into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ExportedAudit {
    /// The file.
    pub file: String,
    /// Entries of the backend's log.
    #[ts(type = "number")]
    pub backend: u64,
    /// Entries of this vault's log.
    #[ts(type = "number")]
    pub vault: u64,
}

/// `fleetseal-audit-export/1`: both logs with all that others signed about them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditExportFile {
    /// `fleetseal-audit-export/1`.
    pub format: String,
    /// The fleet.
    pub fleet: FleetId,
    /// When it was written.
    pub exported_at: UnixTime,
    /// The backend's log.
    pub backend: ExportedLog,
    /// The vault's log.
    pub vault: ExportedLog,
    /// Signed statements (`fleetseal-recovery/1`) that the backend was restored.
    pub recoveries: Vec<Base64>,
}

/// One log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportedLog {
    /// Its name, as it stands in its checkpoints.
    pub name: String,
    /// The Ed25519 key that signs its heads.
    pub key: Base64,
    /// Its entries as they are hashed, oldest first.
    pub entries: Vec<Base64>,
    /// Heads of it (C2SP `tlog-checkpoint`), with cosignatures.
    pub heads: Vec<String>,
}

/// An export in which everything holds together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VerifiedAudit {
    /// The backend's log, then the vault's.
    pub logs: Vec<VerifiedLog>,
    /// For each release and certificate, the proof that it is in its log.
    pub proofs: Vec<AuditProof>,
}

/// One log that holds together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VerifiedLog {
    /// Its name.
    pub name: String,
    /// How many entries it has.
    #[ts(type = "number")]
    pub size: u64,
    /// Their Merkle tree hash.
    pub root: Digest,
    /// Up to which entry the log signed for itself.
    #[ts(type = "number")]
    pub signed: u64,
    /// Up to which entry the other one cosigned it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "[number, number]")]
    pub cosigned: Option<(u64, UnixTime)>,
    /// Whether this workspace's fleet trusts the key; false where it knows none.
    pub key_trusted: bool,
}

/// That something was done stands in a log (RFC 6962, 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AuditProof {
    /// `release` or `certificate`.
    pub kind: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// When.
    pub at: UnixTime,
    /// In which log.
    pub log: String,
    /// Which entry, from 1.
    #[ts(type = "number")]
    pub entry: u64,
    /// Of how many.
    #[ts(type = "number")]
    pub size: u64,
    /// Its leaf hash.
    pub leaf: Digest,
    /// What the signatures of a vault's entry are over: the Merkle tree hash of the messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub signed: Option<Digest>,
    /// The hashes that lead from the leaf to the root.
    pub path: Vec<Digest>,
}
