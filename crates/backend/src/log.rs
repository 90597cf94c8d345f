//! The backend's audit log as others see it: its signed head, and the heads of the vaults' logs that it
//! watches in turn.

use envelope::{
    KeyRole, PublicKey, Signer as _,
    log::{self, Checkpoint, LogKey, LogName, SignedCheckpoint, verify_consistency},
    trust::KeyMaterial,
};
use model::{Digest, UnixTime};
use protocol::{
    ErrorCode,
    operator::{AlarmKind, LogSize},
};
use store::Document;

use crate::{
    refusal::{Answer, Refusal},
    server::Server,
};

/// Where heads of this log stand that vaults cosigned, by vault.
const COSIGNED: &str = "private/cosigned/";
/// Where heads of vaults' logs stand, by vault.
const VAULTS: &str = "private/vaults/";

impl Server {
    /// Whose head it is: the log's name and the key that signs it.
    pub(crate) fn log_key(&self) -> LogKey {
        let name = LogName::backend(self.fleet().id);
        LogKey::new(name, self.keys.audit.public_key()).expect("the audit key is an Ed25519 key")
    }

    /// Where the log ends, or ended when it had so many entries, signed.
    pub(crate) async fn checkpoint(&self, size: Option<u64>) -> Answer<SignedCheckpoint> {
        let head = match size {
            Some(size) => self.store.audit_head_at(size).await?,
            None => self.store.audit_head().await?,
        };
        let origin = self.log_key().name().clone();
        let checkpoint = Checkpoint { origin, size: head.size, root: head.root };
        checkpoint.sign(&self.keys.audit).map_err(|error| Refusal::internal(&error))
    }

    /// Keeps a head of this log that a vault cosigned. One that the log does not lead to shows that the
    /// backend was restored from a backup: from then on it is locked.
    pub(crate) async fn take_cosigned(&self, note: &SignedCheckpoint) -> Answer<()> {
        let head = note.verify(&self.log_key())?;
        let (witness, at) = self.witness_of(note)?;
        let known = self.store.audit_head().await?;
        let same = head.size <= known.size && self.store.audit_head_at(head.size).await?.root == head.root;
        if same {
            return self.keep_cosigned(&witness, note).await;
        }
        if self.recoveries().await?.iter().any(|recovery| at <= recovery.issued_at) {
            return Err(Refusal::new(ErrorCode::Conflict, "This head was lost, and an admin knows of it."));
        }
        self.lock(LogSize { size: head.size, root: head.root }).await?;
        Err(crate::recovery::restored())
    }

    /// Cosigns the head of a vault's log, if it follows on the last one.
    pub(crate) async fn witness(&self, note: &SignedCheckpoint, path: &[Digest]) -> Answer<SignedCheckpoint> {
        let origin = note.unverified().origin.clone();
        let key = self
            .audit_keys()
            .find_map(|key| LogKey::new(origin.clone(), key).ok().filter(|key| note.verify(key).is_ok()))
            .ok_or_else(|| Refusal::from(log::Error::Unsigned { name: origin.clone() }))?;
        let head = note.verify(&key)?;
        self.notice_another_log(&origin).await?;
        loop {
            let kept = self.kept(VAULTS, &origin).await?;
            if let Some(last) = &kept.note {
                let trusted = |key: PublicKey| {
                    LogKey::new(origin.clone(), key).is_ok_and(|key| last.verify(&key).is_ok())
                };
                if last.verify(&key).is_err() && self.audit_keys().any(trusted) {
                    return Err(log::Error::Signature { name: origin }.into());
                }
                let last = last.unverified();
                if let Err(error) = verify_consistency((last.size, last.root), (head.size, head.root), path) {
                    self.alarm(AlarmKind::LogForked, None, format!("{origin}: {error}.")).await?;
                    return Err(error.into());
                }
            }
            let own = self.log_key();
            let cosignature = note.cosign(own.name().clone(), &self.keys.audit, self.now())?;
            let cosigned = note.clone().with(cosignature);
            // Given out once it is kept, in the very place of the one that it was compared with.
            if self.replace(kept, &cosigned).await? {
                return Ok(cosigned);
            }
        }
    }

    /// The last head of a vault's log that this backend cosigned.
    pub(crate) async fn vault_head(&self, vault: &LogName) -> Answer<Option<SignedCheckpoint>> {
        Ok(self.kept(VAULTS, vault).await?.note)
    }

    /// Heads of this log that vaults cosigned, and heads of theirs that it did.
    pub(crate) async fn cosigned(&self) -> Answer<[Vec<String>; 2]> {
        let mut found = [Vec::new(), Vec::new()];
        for (notes, prefix) in found.iter_mut().zip([COSIGNED, VAULTS]) {
            for info in self.store.documents(prefix.to_owned()).await? {
                if let Some(document) = self.store.document(info.name).await? {
                    notes.extend(String::from_utf8(document.bytes));
                }
            }
        }
        Ok(found)
    }

    /// A vault that begins another log was brought back from a backup, or somebody threw its log away.
    async fn notice_another_log(&self, origin: &LogName) -> Answer<()> {
        let (vault, _) = origin.as_str().rsplit_once('.').unwrap_or((origin.as_str(), ""));
        let logs = self.store.documents(format!("{VAULTS}{vault}.")).await?;
        let known = logs.iter().any(|info| info.name == format!("{VAULTS}{origin}"));
        if !known && !logs.is_empty() {
            let detail = format!("{vault} began another log: was it brought back from a backup?");
            self.alarm(AlarmKind::LogForked, None, detail).await?;
        }
        Ok(())
    }

    /// Which vault cosigned a head, and when.
    fn witness_of(&self, note: &SignedCheckpoint) -> Answer<(LogName, UnixTime)> {
        let keys: Vec<PublicKey> = self.audit_keys().collect();
        let witnesses = note.names().flat_map(|name| keys.iter().map(move |key| (name, *key)));
        witnesses
            .filter_map(|(name, key)| LogKey::new(name.clone(), key).ok())
            .find_map(|witness| note.cosigned_at(&witness).ok().map(|at| (witness.name().clone(), at)))
            .ok_or_else(|| {
                Refusal::new(ErrorCode::InvalidObject, "No vault that is trusted cosigned this head.")
            })
    }

    /// The vaults' keys: those that sign heads of logs, but for the backend's own.
    fn audit_keys(&self) -> impl Iterator<Item = PublicKey> {
        let (own, now) = (self.keys.audit.public_key(), self.now());
        let entries = self.trust().keys.entries().to_vec();
        entries.into_iter().filter_map(move |entry| match entry.material {
            KeyMaterial::Signer(key)
                if entry.role == KeyRole::Audit && entry.scope.not_after > now && key != own =>
            {
                Some(key)
            }
            KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) | KeyMaterial::Root { .. } => None,
        })
    }

    /// Keeps the newest head of this log that this vault cosigned. All of them lie on the one log.
    async fn keep_cosigned(&self, witness: &LogName, note: &SignedCheckpoint) -> Answer<()> {
        loop {
            let kept = self.kept(COSIGNED, witness).await?;
            let older = |last: &SignedCheckpoint| last.unverified().size > note.unverified().size;
            if kept.note.as_ref().is_some_and(older) || self.replace(kept, note).await? {
                return Ok(());
            }
        }
    }

    async fn kept(&self, prefix: &str, vault: &LogName) -> Answer<Kept> {
        let name = format!("{prefix}{vault}");
        let document = self.store.document(name.clone()).await?;
        let version = document.as_ref().map_or(0, |document| document.version);
        Ok(Kept { name, version, note: document.and_then(|document| read(&document.bytes)) })
    }

    /// Puts `note` in the place of what was kept. False if somebody else did so since.
    async fn replace(&self, kept: Kept, note: &SignedCheckpoint) -> Answer<bool> {
        let (bytes, version) = (note.to_string().into_bytes(), kept.version + 1);
        let document = Document { name: kept.name, version, bytes, at: self.now() };
        match self.store.put_documents(vec![document]).await {
            Err(store::Error::Stale { .. }) => Ok(false),
            put => Ok(put.map(|()| true)?),
        }
    }
}

/// What is kept of a log's head, as it was read.
struct Kept {
    name: String,
    version: u64,
    note: Option<SignedCheckpoint>,
}

fn read(note: &[u8]) -> Option<SignedCheckpoint> {
    std::str::from_utf8(note).ok()?.parse().ok()
}
