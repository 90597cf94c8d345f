//! Watching one another's logs: this vault cosigns the backend's head, and the backend cosigns the vault's.
//!
//! Each time somebody works with an unlocked vault, the heads are compared with the last ones that were
//! cosigned. A backend that was set back is shown what it forgot, and locks itself.

use std::fs;

use envelope::{
    KeyRole, PublicKey, Recovery, TrustKeys,
    log::{self, LogKey, LogName, SignedCheckpoint, verify_consistency},
    trust::KeyMaterial,
    tuf::{Bundled, Role},
};
use model::UnixTime;
use protocol::{
    ErrorCode,
    operator::{Cosigned, LogHead, LogProof, LogSpan, VaultHead, path},
};
use vault::{Vault, Witnessed};

use crate::{
    App, Error,
    client::Client,
    trust::{Trust, untrusted},
    workspace::replace,
};

/// Where this desktop keeps what key holders signed, beside its own trusted state.
const TRUST_KEYS: &str = "trust-keys.cbor";

impl App {
    /// Compares and cosigns heads, if somebody works with an unlocked vault.
    ///
    /// # Errors
    /// A log was cut or rewritten, or the backend was restored from a backup. That heads could not be
    /// compared for another reason is only logged.
    pub(crate) async fn watch_logs(&self, refresh: bool) -> Result<(), Error> {
        let unlocked = self.vault_at_hand().is_some_and(|vault| vault.is_unlocked());
        if !unlocked || self.workspace().membership().is_err() {
            return Ok(());
        }
        let watched = async {
            if refresh {
                // What key holders signed is kept here too, for a backend that loses it.
                let trust = self.trust().await?;
                self.revoked(&trust).await?;
            }
            self.exchange_heads().await
        };
        match watched.await {
            Err(error) if broken(error.code()) => Err(error),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not compare the logs' heads");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Cosigns the backend's head, and has the vault's own cosigned.
    pub(crate) async fn exchange_heads(&self) -> Result<(), Error> {
        let session = self.session().await?;
        let client = &session.client;
        let vault = self.unlocked()?;
        let _one_at_a_time = self.heads.lock().await;
        let note = head(&client.get::<LogHead>(path::AUDIT_HEAD).await?)?;
        let backend = self.backend_key(&note).await?;
        self.cosign_backend(client, &vault, note, &backend).await?;
        let cosigned = cosign_vault(client, &vault, &backend).await;
        match cosigned {
            Err(error) if error.code() == ErrorCode::Forbidden => Ok(()),
            other => other,
        }
    }

    async fn cosign_backend(
        &self,
        client: &Client,
        vault: &Vault,
        note: SignedCheckpoint,
        backend: &LogKey,
    ) -> Result<(), Error> {
        let found = note.unverified();
        let mut known = vault.witnessed(backend.name())?;
        if let Some(last) = &known
            && !self.follows(client, last, &note).await?
        {
            match self.recovery_since(client, last.at, found.size).await? {
                Some(recovery) => self.accept(client, vault, backend, &recovery).await?,
                None => return Err(self.accuse(client, last).await),
            }
            known = vault.witnessed(backend.name())?;
        }
        let path = match &known {
            Some(last) if last.note.unverified() == found => return Ok(()),
            Some(last) => growth(client, last.note.unverified().size, found.size).await?,
            None => Vec::new(),
        };
        let cosigned = vault.cosign(&note, backend, &path, self.now())?;
        let told = client.tell(path::AUDIT_HEAD, &LogHead { checkpoint: cosigned.to_string() }).await;
        match told {
            Err(error) if error.code() == ErrorCode::Forbidden => Ok(()),
            other => other,
        }
    }

    async fn follows(
        &self,
        client: &Client,
        last: &Witnessed,
        note: &SignedCheckpoint,
    ) -> Result<bool, Error> {
        let (old, new) = (last.note.unverified(), note.unverified());
        if new.size < old.size {
            return Ok(false);
        }
        let path = growth(client, old.size, new.size).await?;
        Ok(verify_consistency((old.size, old.root), (new.size, new.root), &path).is_ok())
    }

    /// Shows the backend a head of its own that it no longer leads to. What it answers is the error: an
    /// honest one locks itself.
    async fn accuse(&self, client: &Client, last: &Witnessed) -> Error {
        let shown = client.tell(path::AUDIT_HEAD, &LogHead { checkpoint: last.note.to_string() }).await;
        match shown {
            Err(error) if error.code() == ErrorCode::BackendRestored => error,
            Ok(()) | Err(_) => {
                Error::new(ErrorCode::LogForked, "the backend's log is not the one that this vault cosigned")
                    .detail(format!(
                        "it had {} entries at {}, and what it shows now does not follow on them",
                        last.note.unverified().size,
                        last.at
                    ))
                    .hint("trust nothing that it says until somebody has looked at the machine")
            }
        }
    }

    /// What an admin signed after a head was cosigned: that the backend was restored, and goes on.
    async fn recovery_since(
        &self,
        client: &Client,
        known_at: UnixTime,
        size: u64,
    ) -> Result<Option<Recovery>, Error> {
        let cosigned: Cosigned = client.get(path::AUDIT_COSIGNED).await?;
        let fleet = self.workspace().membership()?.fleet;
        let trust = match self.kept_trust()? {
            Some(trust) => trust,
            None => self.trust().await?,
        };
        let verified = cosigned
            .recoveries
            .iter()
            .filter_map(|bytes| Recovery::verify(bytes, fleet, &trust.keys, self.now()).ok())
            .map(envelope::Verified::into_inner);
        Ok(verified.filter(|recovery| recovery.issued_at >= known_at && recovery.kept.0 <= size).last())
    }

    async fn accept(
        &self,
        client: &Client,
        vault: &Vault,
        backend: &LogKey,
        recovery: &Recovery,
    ) -> Result<(), Error> {
        let (size, root) = recovery.kept;
        let kept = head(&client.get::<LogHead>(&format!("{}?size={size}", path::AUDIT_HEAD)).await?)?;
        let said = kept.verify(backend).map_err(forked)?;
        if (said.size, said.root) != (size, root) {
            return Err(forked(log::Error::Fork { known: size, found: said.size }));
        }
        let (since, proof) = common(client, vault, backend.name(), (size, root)).await?;
        let reason = format!("restored from a backup after {} entries", recovery.lost.0);
        vault.accept_recovery(&kept, backend, since, &proof, &reason, self.now())?;
        Ok(())
    }

    /// Whose head it is: the log of this fleet's backend, signed by a key that the fleet trusts for it.
    pub(crate) async fn backend_key(&self, note: &SignedCheckpoint) -> Result<LogKey, Error> {
        let name = LogName::backend(self.workspace().membership()?.fleet);
        let of = |trust: &Trust| {
            let keys = trust.keys.entries().iter().filter_map(|entry| match entry.material {
                KeyMaterial::Signer(key)
                    if entry.role == KeyRole::Audit && entry.holder.as_str() == TrustKeys::BACKEND =>
                {
                    LogKey::new(name.clone(), key).ok()
                }
                KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) | KeyMaterial::Root { .. } => None,
            });
            keys.into_iter().find(|key| note.verify(key).is_ok())
        };
        // A backend that was set back cannot be asked for metadata: what is kept here comes first.
        if let Some(key) = self.kept_trust()?.as_ref().and_then(of) {
            return Ok(key);
        }
        of(&self.trust().await?).ok_or_else(|| {
            Error::new(ErrorCode::Untrusted, "the head of the backend's log is signed by nobody it should be")
        })
    }

    /// The keys of vaults and backend that sign heads of logs, as far as this desktop knows.
    pub(crate) fn known_audit_keys(&self) -> Result<Vec<PublicKey>, Error> {
        let Some(trust) = self.kept_trust()? else { return Ok(Vec::new()) };
        let entries = trust.keys.entries().iter().filter(|entry| entry.role == KeyRole::Audit);
        Ok(entries
            .filter_map(|entry| match entry.material {
                KeyMaterial::Signer(key) => Some(key),
                KeyMaterial::Recipient(_) | KeyMaterial::Root { .. } => None,
            })
            .collect())
    }

    /// What this desktop verified last, whatever the backend says now. Whether it has lapsed does not
    /// matter here.
    pub(crate) fn kept_trust(&self) -> Result<Option<Trust>, Error> {
        let Some(state) = self.trusted_state()? else { return Ok(None) };
        let Ok(keys) = fs::read(self.signed_file(TRUST_KEYS)) else { return Ok(None) };
        let Some(targets) = state.targets() else { return Ok(None) };
        let issued_at = targets.signed().issued_at.unwrap_or(UnixTime::EPOCH);
        let bundle = Bundled { issued_at, expires: UnixTime::MAX };
        let view = state.clone().accept_bundle(&[], targets.raw(), bundle).map_err(untrusted)?;
        let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
        let Some(target) = view.target(&name) else { return Ok(None) };
        // Keys of other targets than the newest: the backend is asked for those.
        let Ok(bytes) = target.verify(keys) else { return Ok(None) };
        let keys = TrustKeys::from_target(&bytes)?;
        Ok(Some(Trust { targets: view, keys, state }))
    }

    /// Keeps a copy of signed metadata as it came.
    pub(crate) fn keep_signed(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.signed_file(name);
        if fs::read(&path).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        fs::create_dir_all(self.workspace().file("signed"))
            .map_err(|source| Error::file("make the folder", &path, &source))?;
        replace(&path, bytes)
    }

    pub(crate) fn keep_trust_keys(&self, bytes: &[u8]) -> Result<(), Error> {
        self.keep_signed(TRUST_KEYS, bytes)
    }

    /// The copy of `trust/keys.cbor`.
    pub(crate) fn kept_trust_keys(&self) -> Option<Vec<u8>> {
        fs::read(self.signed_file(TRUST_KEYS)).ok()
    }

    /// The copies of root metadata behind this version, in order, without a gap.
    pub(crate) fn kept_roots(&self, after: u64) -> Vec<Vec<u8>> {
        let file = |version| fs::read(self.signed_file(&Role::Root.path(version))).ok();
        (after + 1..).map_while(file).collect()
    }

    fn signed_file(&self, name: &str) -> std::path::PathBuf {
        self.workspace().file("signed").join(name)
    }
}

/// Whether a log was cut or rewritten: nobody goes on working then.
fn broken(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::LogForked | ErrorCode::BackendRestored | ErrorCode::VaultUntrusted)
}

async fn cosign_vault(client: &Client, vault: &Vault, backend: &LogKey) -> Result<(), Error> {
    let id = vault.log_name()?;
    let id = id.as_str().rsplit('/').next().unwrap_or_default();
    let last = match client.get::<LogHead>(&path::vault_head(id)).await {
        Ok(last) => Some(head(&last)?),
        Err(error) if error.code() == ErrorCode::NotFound => None,
        Err(error) => return Err(error),
    };
    if !last.as_ref().map_or(Ok(true), |last| is_own(vault, last))? {
        return Err(Error::new(
            ErrorCode::Untrusted,
            "the backend shows a head that this vault never signed",
        )
        .hint("your vault is as it should be; do not trust this backend until somebody has looked at it"));
    }
    let own = vault.checkpoint()?;
    let size = own.unverified().size;
    let from = last.as_ref().map_or(0, |last| last.unverified().size);
    if from > size {
        return Err(Error::new(ErrorCode::VaultUntrusted, "the vault's audit log is older than last seen")
            .detail(format!("it has {size} entries; the backend cosigned {from}"))
            .hint("restore the newest backup, and find out who put an older vault in its place"));
    }
    if last.is_some_and(|last| last.unverified() == own.unverified()) {
        return Ok(());
    }
    let body = VaultHead { checkpoint: own.to_string(), path: vault.prove_audit(from, size)? };
    let cosigned = head(&client.post::<_, LogHead>(path::AUDIT_VAULTS, &body).await?)?;
    Ok(vault.keep_cosigned(&cosigned, backend)?)
}

/// Whether one of the vault's audit keys signed this head of its log.
fn is_own(vault: &Vault, head: &SignedCheckpoint) -> Result<bool, Error> {
    let name = vault.log_name()?;
    let audit = vault.keys().into_iter().filter(|key| key.role == vault::KeyRole::Audit);
    let keys = audit.filter_map(|key| LogKey::new(name.clone(), key.verifying_key()?).ok());
    Ok(keys.into_iter().any(|key| head.verify(&key).is_ok()))
}

async fn growth(client: &Client, from: u64, to: u64) -> Result<Vec<model::Digest>, Error> {
    Ok(client.query::<_, LogProof>(path::AUDIT_GROWTH, &LogSpan { from, to }).await?.path)
}

/// The newest head that this vault cosigned and that `now` follows on: its size, and the proof. What was
/// cosigned behind it is lost. Without any, 0.
pub(crate) async fn common(
    client: &Client,
    vault: &Vault,
    log: &LogName,
    now: (u64, model::Digest),
) -> Result<(u64, Vec<model::Digest>), Error> {
    let mut most = now.0;
    while let Some(older) = vault.witnessed_up_to(log, most)? {
        let older = older.note.unverified();
        let path = growth(client, older.size, now.0).await?;
        if verify_consistency((older.size, older.root), now, &path).is_ok() {
            return Ok((older.size, path));
        }
        most = older.size.saturating_sub(1);
    }
    Ok((0, Vec::new()))
}

pub(crate) fn head(head: &LogHead) -> Result<SignedCheckpoint, Error> {
    head.checkpoint.parse().map_err(|source: log::Error| {
        Error::because(ErrorCode::Untrusted, "the head of a log cannot be read", source)
    })
}

fn forked(source: log::Error) -> Error {
    Error::because(ErrorCode::LogForked, "a log was cut or rewritten", source)
}
