//! Secrets and MACs that are recomputed when they are needed, so that none is stored.

use model::TokenId;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Error, KeyRole, Vault, key::mac, sealed::Secret};

impl Vault {
    /// The secret of a one-time enrolment token: HMAC-SHA256 under the token key of the token's id and
    /// `binding`, the canonical bytes of what it is bound to. It is recomputed and never stored.
    ///
    /// # Errors
    /// The vault is locked or has no token key.
    pub fn enrolment_secret(&self, token: &TokenId, binding: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
        let key = self.single(KeyRole::Token)?;
        Ok(mac(&key, &[b"fleetseal-enrolment/1", token.as_bytes(), binding]).into())
    }

    /// A MAC over something that this vault shall recognise as remembered by itself.
    ///
    /// # Errors
    /// The vault is locked or has no memory key.
    pub fn memory_mac(&self, bytes: &[u8]) -> Result<[u8; 32], Error> {
        Ok(mac(&self.single(KeyRole::Memory)?, &[b"fleetseal-memory/1", bytes]))
    }

    /// Whether `mac` is this vault's over `bytes`, in constant time.
    ///
    /// # Errors
    /// The vault is locked or has no memory key.
    pub fn memory_verify(&self, bytes: &[u8], mac: &[u8; 32]) -> Result<bool, Error> {
        Ok(self.memory_mac(bytes)?[..].ct_eq(&mac[..]).into())
    }

    fn single(&self, role: KeyRole) -> Result<Secret, Error> {
        let inner = self.unlocked()?;
        let at = inner.file.keys.iter().position(|entry| entry.public.role == role);
        inner.secret(at.ok_or(Error::NoRole { role })?)
    }
}
