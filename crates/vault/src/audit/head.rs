//! The head of the vault's own log, signed, and the heads of other logs that it watches.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use envelope::{
    Ed25519Key, Signer as _, Verified,
    log::{self, Checkpoint, LogKey, LogName, SignedCheckpoint, leaf_hash, verify_consistency},
};
use model::{Digest, UnixTime};

use crate::{Error, KeyRole, Signed, Vault, inside::Inner};

/// The newest entry of an audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its place; 0 if the log is empty.
    pub seq: u64,
    /// Its leaf hash (RFC 6962, 2.1: SHA-256 of a zero byte and the entry); all zero if the log is empty.
    pub hash: Digest,
}

/// A head of another log that this vault wrote down as verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The head, with the signatures that stood below it and the vault's own.
    pub note: SignedCheckpoint,
    /// When.
    pub at: UnixTime,
}

/// The action of the entry that precedes a cosignature.
const COSIGN: &str = "log.cosign";
/// The action of the entry that takes a log's recovery for true.
const RECOVER: &str = "log.recover";

impl AuditHead {
    /// The head of a log without entries.
    pub const EMPTY: Self = Self { seq: 0, hash: Digest::new([0; 32]) };
}

impl Vault {
    /// The name of the vault's own log.
    ///
    /// # Errors
    /// The log has no entry yet, or cannot be read.
    pub fn log_name(&self) -> Result<LogName, Error> {
        self.inner().log_name()
    }

    /// The name of the vault's own log, and the public half of the key that signs its heads.
    ///
    /// # Errors
    /// The vault has no such key, or its log no entry yet.
    pub fn log_key(&self) -> Result<LogKey, Error> {
        let key = self.key(KeyRole::Audit)?;
        let public = key.verifying_key().ok_or(Error::WrongUse { role: KeyRole::Audit })?;
        Ok(LogKey::new(self.log_name()?, public)?)
    }

    /// The head of the vault's own log, signed. This signature alone leaves no entry: it would never be
    /// that of the head.
    ///
    /// # Errors
    /// The vault is locked, has no key for it, or its log cannot be read.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        let inner = self.unlocked()?;
        let (key, _) = inner.audit_key()?;
        let size = inner.audit.head()?.seq;
        let root = inner.audit.root_at(size)?;
        let origin = inner.log_name()?;
        Ok(Checkpoint { origin, size, root }.sign(&key)?)
    }

    /// The proof (RFC 6962, 2.1.2) that the first `new` entries of the vault's own log follow on the first
    /// `old`.
    ///
    /// # Errors
    /// The log cannot be read, or has fewer entries.
    pub fn prove_audit(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        self.inner().audit.prove_consistency(old, new)
    }

    /// Cosigns the head of another log, once it stands in the vault's own that it is about to: the head is
    /// signed by that log, and follows on the last one that this vault cosigned, as `path` proves.
    ///
    /// # Errors
    /// [`Error::Log`] with [`log::Error::Shorter`] or [`log::Error::Fork`]: the log was cut or rewritten, and
    /// somebody must know. The head is not that log's; the vault is locked; its log cannot be written.
    pub fn cosign(
        &self,
        note: &SignedCheckpoint,
        of: &LogKey,
        path: &[Digest],
        now: UnixTime,
    ) -> Result<SignedCheckpoint, Error> {
        let head = note.verify(of)?;
        // Held until it is written down: of two heads offered at once, the second is compared with the first.
        let inner = self.unlocked()?;
        let own = inner.log_name()?;
        if *of.name() == own {
            return Err(log::Error::OwnWitness { name: of.name().clone() }.into());
        }
        let (key, signed_by) = inner.audit_key()?;
        if let Some(last) = inner.audit.witnessed(of.name(), u64::MAX)? {
            let last = last.note.unverified();
            verify_consistency((last.size, last.root), (head.size, head.root), path)?;
        }
        let signed = Signed { key: signed_by, root: leaf_hash(head.body().as_bytes()), count: 1 };
        let intent = inner.intent(COSIGN, &subject(&head), "", now);
        inner.audit.witness(&intent, inner.file.generation, Some(signed), note)?;
        let cosignature = note.cosign(own, &key, now)?;
        let cosigned = note.clone().with(cosignature);
        inner.audit.keep_cosigned(&cosigned)?;
        Ok(cosigned)
    }

    /// The newest head of another log that this vault cosigned, or took for the one to go on from.
    ///
    /// # Errors
    /// The vault's log cannot be read or was edited.
    pub fn witnessed(&self, origin: &LogName) -> Result<Option<Witnessed>, Error> {
        self.inner().audit.witnessed(origin, u64::MAX)
    }

    /// The same among heads of at most `most` entries.
    ///
    /// # Errors
    /// As [`Self::witnessed`].
    pub fn witnessed_up_to(&self, origin: &LogName, most: u64) -> Result<Option<Witnessed>, Error> {
        self.inner().audit.witnessed(origin, most)
    }

    /// Takes `kept` as the head from which another log goes on after it was restored from a backup: the
    /// entries behind it are lost, and whoever holds a grant key said so. `path` proves that it follows on
    /// the head of `since` entries, which this vault cosigned; without one they have in common, 0.
    ///
    /// # Errors
    /// It does not follow; the vault is locked; its log cannot be written.
    pub fn accept_recovery(
        &self,
        kept: &SignedCheckpoint,
        of: &LogKey,
        since: u64,
        path: &[Digest],
        reason: &str,
        now: UnixTime,
    ) -> Result<(), Error> {
        let head: Verified<Checkpoint> = kept.verify(of)?;
        let inner = self.unlocked()?;
        if since > 0 {
            let last = inner.audit.witnessed(of.name(), since)?;
            let last = last.filter(|last| last.note.unverified().size == since);
            let last = last.ok_or(log::Error::Fork { known: since, found: head.size })?;
            let last = last.note.unverified();
            verify_consistency((last.size, last.root), (head.size, head.root), path)?;
        }
        let intent = inner.intent(RECOVER, &subject(&head), reason, now);
        inner.audit.witness(&intent, inner.file.generation, None, kept)
    }

    /// Keeps a head of the vault's own log that `witness` cosigned.
    ///
    /// # Errors
    /// It is not signed by this vault and cosigned by that witness; the log cannot be written.
    pub fn keep_cosigned(&self, note: &SignedCheckpoint, witness: &LogKey) -> Result<(), Error> {
        note.verify(&self.log_key()?)?;
        note.cosigned_at(witness)?;
        self.inner().audit.keep_own(note)
    }

    /// The newest head of the vault's own log that another one cosigned.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, Error> {
        self.inner().audit.own()
    }
}

impl Inner {
    fn log_name(&self) -> Result<LogName, Error> {
        Ok(LogName::vault(self.file.id.as_bytes(), self.audit.first()?))
    }

    fn audit_key(&self) -> Result<(Ed25519Key, crate::KeyId), Error> {
        let role = KeyRole::Audit;
        let at = self.file.keys.iter().rposition(|entry| entry.public.role == role);
        let at = at.ok_or(Error::NoRole { role })?;
        let secret = self.secret(at)?;
        let seed = secret[..].try_into().map_err(|_| Error::Provider)?;
        let key = Ed25519Key::from_seed(seed);
        if key.public_key().as_bytes() != self.file.keys[at].public.public {
            return Err(Error::SelfCheck);
        }
        Ok((key, self.file.keys[at].public.id))
    }
}

impl From<log::Error> for Error {
    fn from(source: log::Error) -> Self {
        if let log::Error::Sign { source: envelope::SignError::Locked } = source {
            return Self::Locked;
        }
        Self::Log { source }
    }
}

/// A head as an entry's subject tells of it.
pub(super) fn subject(head: &Checkpoint) -> String {
    format!("{} {} {}", head.origin, head.size, BASE64.encode(head.root.as_bytes()))
}

pub(super) fn tells_of_a_head(action: &str) -> bool {
    [COSIGN, RECOVER].contains(&action)
}
