use model::{Digest, PersonName, UnixTime};

use crate::KeyId;

/// Who does what to what, when and why: written down before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The person, usually the vault's holder.
    pub actor: PersonName,
    /// What is done, such as `release.sign`; 1 to 1,024 bytes.
    pub action: String,
    /// To what, such as a release's id; 1 to 1,024 bytes.
    pub subject: String,
    /// Why, in the person's words; at most 1,024 bytes, may be empty.
    pub reason: String,
    /// When.
    pub at: UnixTime,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// Hash of the entry before; all zero for the first.
    pub previous: Digest,
    /// What was meant to be done.
    pub intent: Intent,
    /// The vault's generation then.
    pub generation: u64,
    /// The key that it was done with.
    pub key: Option<KeyId>,
    /// What was signed: SHA-256 of the one message, or the Merkle tree hash (RFC 6962, 2.1) of all.
    pub digest: Option<Digest>,
    /// How many messages were signed.
    pub count: u64,
}

/// The newest entry of an audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its place; 0 if the log is empty.
    pub seq: u64,
    /// Its leaf hash (RFC 6962, 2.1); all zero if the log is empty.
    pub hash: Digest,
}
