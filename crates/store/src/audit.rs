use model::{Digest, SpkiDigest, UnixTime};

use envelope::log;

use crate::{Answer, digest};

/// Who did what to what, when and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAuditEntry {
    /// When.
    pub at: UnixTime,
    /// Whose key; none for the backend's own decisions.
    pub actor: Option<SpkiDigest>,
    /// What, in snake_case.
    pub action: String,
    /// To what: an id or a name.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// More, as JSON; may be empty.
    pub detail: String,
}

/// An audit entry in its chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What it says.
    pub entry: NewAuditEntry,
    /// The hash of the entry before; zeros for the first.
    pub previous: Digest,
    /// The hash of this one: [`NewAuditEntry::hash`].
    pub hash: Digest,
}

/// Where the audit log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// How many entries there are, which is the number of the last one.
    pub size: u64,
    /// The Merkle tree hash (RFC 6962, 2.1) of them all; their leaves are [`NewAuditEntry::leaf`].
    pub root: Digest,
}

/// The audit log: appended to, never changed. It is a Merkle tree, so its head can be signed, and any later
/// head proven to follow on it.
pub trait Audit {
    /// Appends entries, in order, and gives them back chained.
    fn append_audit(&self, entries: Vec<NewAuditEntry>) -> Answer<'_, Vec<AuditEntry>>;

    /// At most `limit` entries after number `after`, oldest first.
    fn audit_entries(&self, after: u64, limit: u32) -> Answer<'_, Vec<AuditEntry>>;

    /// Where the log ends.
    fn audit_head(&self) -> Answer<'_, AuditHead>;

    /// Where the log ended when it had `size` entries.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound): it never had so many.
    fn audit_head_at(&self, size: u64) -> Answer<'_, AuditHead>;

    /// The proof (RFC 6962, 2.1.1) that entry number `seq` is among the first `size`.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound): it is not, or there are not so many.
    fn prove_audit_entry(&self, seq: u64, size: u64) -> Answer<'_, Vec<Digest>>;

    /// The proof (RFC 6962, 2.1.2) that the first `new` entries follow on the first `old`.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound): there are not so many.
    fn prove_audit_growth(&self, old: u64, new: u64) -> Answer<'_, Vec<Digest>>;
}

impl NewAuditEntry {
    /// The hash of entry number `seq` that says this and follows `previous`: SHA-256 of its bytes.
    pub fn hash(&self, seq: u64, previous: Digest) -> Digest {
        digest::sha256(&self.bytes(seq, previous))
    }

    /// The hash of the same entry as a leaf of the log's tree (RFC 6962, 2.1).
    pub fn leaf(&self, seq: u64, previous: Digest) -> Digest {
        log::leaf_hash(&self.bytes(seq, previous))
    }

    /// The bytes of entry number `seq` that says this and follows `previous`: `fleetseal-audit-entry/1`, a
    /// zero byte, `previous`, number and instant (8 bytes each, big-endian), the actor (32 bytes, or zeros),
    /// then action, subject, reason and detail, each behind its length (4 bytes, big-endian).
    pub fn bytes(&self, seq: u64, previous: Digest) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(b"fleetseal-audit-entry/1\0");
        bytes.extend_from_slice(previous.as_bytes());
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&self.at.as_secs().to_be_bytes());
        bytes.extend_from_slice(self.actor.unwrap_or(SpkiDigest::new([0; 32])).as_bytes());
        for text in [&self.action, &self.subject, &self.reason, &self.detail] {
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Reads an entry's bytes back: its number, the hash of the one before, and what it says. None if they are
    /// not those of an entry.
    pub fn parse(bytes: &[u8]) -> Option<(u64, Digest, Self)> {
        let rest = bytes.strip_prefix(b"fleetseal-audit-entry/1\0")?;
        let (previous, rest) = rest.split_first_chunk::<32>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (actor, mut rest) = rest.split_first_chunk::<32>()?;
        let mut text = || {
            let (len, behind) = rest.split_first_chunk::<4>()?;
            let (text, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
            rest = behind;
            String::from_utf8(text.to_vec()).ok()
        };
        let [action, subject, reason, detail] = [text()?, text()?, text()?, text()?];
        let entry = Self {
            at: UnixTime::from_secs(u64::from_be_bytes(*at)),
            actor: (*actor != [0; 32]).then(|| SpkiDigest::new(*actor)),
            action,
            subject,
            reason,
            detail,
        };
        let (seq, previous) = (u64::from_be_bytes(*seq), Digest::new(*previous));
        (entry.bytes(seq, previous) == bytes).then_some((seq, previous, entry))
    }
}
