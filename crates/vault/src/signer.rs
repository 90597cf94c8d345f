//! Signing and opening with the vault's keys.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ed25519_dalek::{Signer as _, SigningKey};
use envelope::{
    KemSecret, PublicKey, SignError, Signer,
    log::{Frontier, leaf_hash},
};
use model::Digest;
use pki::P256Signer;
use zeroize::Zeroizing;

use crate::{
    Algorithm, AuditHead, Error, Intent, KeyId, KeyRole, Signed, Tokens, Vault,
    audit::merkle_root,
    inside::Live,
    sealed::Secret,
    token::{Login, TokenPlace},
};

/// Signs with one key of a vault for one purpose; refuses while the vault is locked.
pub struct VaultSigner {
    vault: Vault,
    key: KeyId,
    role: KeyRole,
    public: PublicKey,
    intent: Intent,
}

/// Issues certificates with one CA key of a vault; refuses while the vault is locked.
pub struct CaSigner {
    signer: VaultSigner,
    public: [u8; 65],
}

/// Makes a bounded number of signatures with one Ed25519 key under one audit entry, for messages that
/// come to be only on the way, as a rollout's tickets and labels do. Whoever uses it verifies what it signs, as
/// `envelope::issue_many` does. Once it found the vault locked, it never signs again.
pub struct BatchSigner {
    vault: Vault,
    key: KeyId,
    public: PublicKey,
    intent: Intent,
    batch: Mutex<Batch>,
}

struct Batch {
    /// The key, ready to sign unless it is in a token.
    lent: Option<Arc<(Option<SigningKey>, Hand)>>,
    most: u64,
    count: u64,
    tree: Frontier,
}

impl Vault {
    /// A signer with this key for this purpose: each signature is an audit entry with this intent.
    ///
    /// # Errors
    /// There is no such key, or it makes no signatures.
    pub fn signer(&self, key: KeyId, intent: Intent) -> Result<VaultSigner, Error> {
        let info = self.keys().into_iter().find(|info| info.id == key).ok_or(Error::NoKey { id: key })?;
        let public = info.verifying_key().ok_or(Error::WrongUse { role: info.role })?;
        Ok(VaultSigner { vault: self.clone(), key, role: info.role, public, intent })
    }

    /// A signer of certificates with this CA key for this purpose: each signature is an audit entry.
    ///
    /// # Errors
    /// There is no such key, or it is none of a CA.
    pub fn ca_signer(&self, key: KeyId, intent: Intent) -> Result<CaSigner, Error> {
        let signer = self.signer(key, intent)?;
        match signer.public {
            PublicKey::P256(public) => Ok(CaSigner { signer, public }),
            PublicKey::Ed25519(_) => Err(Error::WrongUse { role: signer.role }),
        }
    }

    /// A signer for at most `most` messages that are not known yet. The audit entry written now names
    /// `plan`, a digest of what shall be signed for ([`merkle_root`] of it, say), in the place of the
    /// messages' root; [`BatchSigner::finish`] adds that.
    ///
    /// # Errors
    /// The vault is locked, the key is no Ed25519 key, or the audit log cannot be written.
    pub fn batch(&self, key: KeyId, intent: &Intent, plan: Digest, most: u64) -> Result<BatchSigner, Error> {
        let signed = Signed { key, root: plan, count: most };
        let is_ed25519 = |algorithm| algorithm == Algorithm::Ed25519;
        let (_, public, hand) = self.take(key, is_ed25519, intent, Some(signed))?;
        let public = PublicKey::Ed25519(public.try_into().map_err(|_| Error::Provider)?);
        let signing = match &hand.holder {
            Holder::Vault(secret) => Some(SigningKey::from_bytes(secret)),
            Holder::Token { .. } => None,
        };
        let batch = Batch { lent: Some(Arc::new((signing, hand))), most, count: 0, tree: Frontier::new() };
        Ok(BatchSigner { vault: self.clone(), key, public, intent: intent.clone(), batch: Mutex::new(batch) })
    }

    /// Signs all messages under one audit entry, in their order, and verifies every signature. Many
    /// are signed on all processors.
    ///
    /// # Errors
    /// The vault is locked, the key makes no signatures, or the audit log cannot be written; then
    /// nothing was signed. It is locked while signing, or a token that the key lives in is not there, fails
    /// or is exchanged; then nothing is given out.
    pub fn sign_batch(
        &self,
        key: KeyId,
        intent: &Intent,
        messages: &[&[u8]],
    ) -> Result<Vec<[u8; 64]>, Error> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let signed = Signed { key, root: merkle_root(messages), count: messages.len() as u64 };
        let (algorithm, public, hand) = self.take(key, Algorithm::signs, intent, Some(signed))?;
        hand.sign_all(self, algorithm, &public, messages)
    }

    /// Lends a KEM key to `open`, after an audit entry with this intent.
    ///
    /// # Errors
    /// The vault is locked, the key is no KEM key, or the audit log cannot be written.
    pub fn with_kem_secret<T>(
        &self,
        key: KeyId,
        intent: &Intent,
        open: impl FnOnce(&KemSecret) -> T,
    ) -> Result<T, Error> {
        let is_kem = |algorithm| algorithm == Algorithm::X25519;
        let (_, _, hand) = self.take(key, is_kem, intent, None)?;
        let Holder::Vault(secret) = hand.holder else { return Err(Error::NotInToken) };
        Ok(open(&KemSecret::from_bytes(&secret).map_err(|_| Error::Provider)?))
    }

    /// What signs with a key whose algorithm is `fit`, once the intent stands in the audit log.
    fn take(
        &self,
        key: KeyId,
        fit: impl FnOnce(Algorithm) -> bool,
        intent: &Intent,
        signed: Option<Signed>,
    ) -> Result<(Algorithm, Vec<u8>, Hand), Error> {
        let inner = self.unlocked()?;
        let keys = || inner.file.keys.iter().map(|entry| &entry.public);
        let (at, found) =
            keys().enumerate().find(|(_, public)| public.id == key).ok_or(Error::NoKey { id: key })?;
        let algorithm = found.role.algorithm();
        if !fit(algorithm) {
            return Err(Error::WrongUse { role: found.role });
        }
        let holder = match &found.token {
            None => Holder::Vault(inner.secret(at)?),
            Some(place) => Holder::Token {
                tokens: inner.tokens.clone().ok_or_else(|| Error::NoPin { serial: place.serial.clone() })?,
                place: place.clone(),
                pin: inner.pin(&place.serial)?,
            },
        };
        inner.audit.append(intent, inner.file.generation, signed)?;
        let live = inner.open.as_ref().ok_or(Error::Locked)?.live.clone();
        Ok((algorithm, found.public.clone(), Hand { holder, live }))
    }
}

/// A key lent to whoever signs, for as long as the vault stays unlocked.
struct Hand {
    holder: Holder,
    live: Live,
}

enum Holder {
    Vault(Secret),
    Token { tokens: Arc<Tokens>, place: TokenPlace, pin: Zeroizing<String> },
}

impl Hand {
    fn sign_all(
        &self,
        vault: &Vault,
        algorithm: Algorithm,
        public: &[u8],
        messages: &[&[u8]],
    ) -> Result<Vec<[u8; 64]>, Error> {
        let go_on = || {
            if self.live.is_over() || !vault.is_unlocked() {
                return Err(Error::Interrupted { messages: messages.len() });
            }
            Ok(())
        };
        let signatures = match &self.holder {
            Holder::Vault(secret) => algorithm.sign_all(secret, public, messages, &go_on),
            Holder::Token { tokens, place, pin } => vault.with_pin(&place.serial, || {
                tokens.sign(&Login { place, pin }, (algorithm, public), messages, &go_on)
            }),
        }?;
        go_on()?;
        Ok(signatures)
    }
}

impl Signer for VaultSigner {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signatures = self.vault.sign_batch(self.key, &self.intent, &[message])?;
        signatures.first().copied().ok_or(SignError::Failed { reason: "nothing was signed".to_owned() })
    }
}

impl P256Signer for CaSigner {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        self.signer.sign(message).map_err(|error| {
            if matches!(error, SignError::Locked) {
                pki::SignError::Locked
            } else {
                pki::SignError::Failed { reason: error.to_string() }
            }
        })
    }
}

impl Signer for BatchSigner {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let lent = {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            let unlocked = self.vault.is_unlocked();
            if batch.lent.as_ref().is_some_and(|lent| lent.1.live.is_over() || !unlocked) {
                batch.lent = None;
            }
            let lent = batch.lent.clone().ok_or(SignError::Locked)?;
            if batch.count == batch.most {
                return Err(SignError::Failed { reason: "the batch is used up".to_owned() });
            }
            batch.count += 1;
            batch.tree.push(leaf_hash(message));
            lent
        };
        if let Some(signing) = &lent.0 {
            return Ok(signing.sign(message).to_bytes());
        }
        let made = lent.1.sign_all(&self.vault, Algorithm::Ed25519, self.public.as_bytes(), &[message])?;
        made.first().copied().ok_or(SignError::Failed { reason: "nothing was signed".to_owned() })
    }
}

impl BatchSigner {
    /// Writes the audit entry that says what was signed: the Merkle tree hash of all messages in the order
    /// in which they came, and their count.
    ///
    /// # Errors
    /// The audit log cannot be written.
    pub fn finish(self) -> Result<AuditHead, Error> {
        let batch = self.batch.into_inner().unwrap_or_else(PoisonError::into_inner);
        let signed = Signed { key: self.key, root: batch.tree.root(), count: batch.count };
        let inner = self.vault.inner();
        inner.audit.append(&self.intent, inner.file.generation, Some(signed))
    }
}

impl fmt::Debug for CaSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaSigner({:?})", self.signer.public)
    }
}

impl fmt::Debug for BatchSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchSigner({:?})", self.public)
    }
}

impl fmt::Debug for VaultSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultSigner({:?})", self.public)
    }
}
