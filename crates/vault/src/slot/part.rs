//! A slot that a passphrase opens only together with the keyring of one computer.
//!
//! The keyring keeps a random key; what the passphrase derives is authenticated with it. Whoever copies the
//! vault lacks that key and cannot even begin to guess; whoever gets into the keyring still has to.

use super::Derivation;
use crate::{
    Error, Params,
    key::mac,
    keyring,
    sealed::{Secret, random, random_secret},
    vault::VaultId,
};

/// The part of a slot that is not in the keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyringPart {
    /// How a key comes of the passphrase.
    pub derivation: Derivation,
    /// Names the other part in the keyring.
    pub(crate) entry: [u8; 16],
}

impl KeyringPart {
    /// Puts a fresh part into this computer's keyring, reads it back, and gives the slot's key.
    pub(crate) fn new(vault: &VaultId, passphrase: &str, params: Params) -> Result<(Self, Secret), Error> {
        let made = Self { derivation: Derivation::new(params)?, entry: random()? };
        keyring::write(&made.entry, &format!("Fleetseal {vault}"), &random_secret()?)?;
        match made.open(passphrase) {
            Ok(key) => Ok((made, key)),
            Err(error) => {
                made.forget();
                Err(error)
            }
        }
    }

    /// The slot's key.
    pub(crate) fn open(&self, passphrase: &str) -> Result<Secret, Error> {
        let kept = keyring::read(&self.entry)?;
        let derived = self.derivation.derive(passphrase)?;
        Ok(mac(&kept, &[b"fleetseal-vault/1 slot keyring", &derived[..]]).into())
    }

    /// Takes the other part out of the keyring, once nothing needs it.
    pub(crate) fn forget(&self) {
        if let Err(error) = keyring::remove(&self.entry) {
            tracing::warn!(%error, "failed to remove a part from the keyring");
        }
    }
}
