//! Signing and opening with the vault's keys.

use std::fmt;

use envelope::{KemSecret, PublicKey, SignError, Signer};

use crate::{Algorithm, Error, Intent, KeyId, Signed, Vault, audit::merkle_root, sealed::Secret};

/// Signs with one key of a vault for one purpose; refuses while the vault is locked.
pub struct VaultSigner {
    vault: Vault,
    key: KeyId,
    public: PublicKey,
    intent: Intent,
}

impl Vault {
    /// A signer with this key for this purpose: each signature is an audit entry with this intent.
    ///
    /// # Errors
    /// There is no such key, or it makes no signatures.
    pub fn signer(&self, key: KeyId, intent: Intent) -> Result<VaultSigner, Error> {
        let info = self.keys().into_iter().find(|info| info.id == key).ok_or(Error::NoKey { id: key })?;
        let public = info.verifying_key().ok_or(Error::WrongUse { role: info.role })?;
        Ok(VaultSigner { vault: self.clone(), key, public, intent })
    }

    /// Signs all messages under one audit entry, in their order, and verifies every signature. Many
    /// are signed on all processors.
    ///
    /// # Errors
    /// The vault is locked, the key makes no signatures, or the audit log cannot be written; then
    /// nothing was signed.
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
        let (algorithm, public, secret) = self.take(key, Algorithm::signs, intent, Some(signed))?;
        algorithm.sign_all(&secret, &public, messages)
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
        let (_, _, secret) = self.take(key, is_kem, intent, None)?;
        Ok(open(&KemSecret::from_bytes(&secret).map_err(|_| Error::Provider)?))
    }

    /// A copy of a key whose algorithm is `fit`, once the intent stands in the audit log.
    fn take(
        &self,
        key: KeyId,
        fit: impl FnOnce(Algorithm) -> bool,
        intent: &Intent,
        signed: Option<Signed>,
    ) -> Result<(Algorithm, Vec<u8>, Secret), Error> {
        let inner = self.unlocked()?;
        let keys = || inner.file.keys.iter().map(|entry| &entry.public);
        let (at, found) =
            keys().enumerate().find(|(_, public)| public.id == key).ok_or(Error::NoKey { id: key })?;
        let algorithm = found.role.algorithm();
        if !fit(algorithm) {
            return Err(Error::WrongUse { role: found.role });
        }
        inner.audit.append(intent, inner.file.generation, signed)?;
        Ok((algorithm, found.public.clone(), inner.secret(at)?))
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

impl fmt::Debug for VaultSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultSigner({:?})", self.public)
    }
}
