use std::{path::Path, sync::Arc};

use envelope::{PublicKey, SignError, Signer};
use model::{PersonName, Seconds, TokenId, UnixTime};
use zeroize::Zeroizing;

use crate::{AuditEntry, AuditHead, Error, Intent, KeyId, KeyInfo, KeyRole, Params};

/// A local key vault: a handle to one folder, shared by its clones.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<()>,
}

/// Names a vault for life.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VaultId([u8; 16]);

/// How long a vault stays unlocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Since the last [`Vault::touch`].
    pub idle: Seconds,
    /// Since it was unlocked, whatever happens.
    pub absolute: Seconds,
}

/// Signs with one key of a vault for one purpose; refuses while the vault is locked.
pub struct VaultSigner {
    vault: Vault,
    key: KeyId,
    public: PublicKey,
    intent: Intent,
}

impl Vault {
    /// Makes a vault in `dir`, which must not exist or be empty, and leaves it unlocked.
    pub fn create(dir: &Path, holder: PersonName, passphrase: &str, params: Params, now: UnixTime) -> Result<Self, Error> { unimplemented!() }
    /// Opens the vault in `dir`, locked, and keeps every other program out until dropped.
    pub fn open(dir: &Path) -> Result<Self, Error> { unimplemented!() }
    /// Brings a backup or an older generation back as the newest generation of the vault in `dir`.
    pub fn restore(dir: &Path, from: &Path, passphrase: &str, now: UnixTime) -> Result<Self, Error> { unimplemented!() }
    /// Unlocks it with a passphrase. Takes 0.5 to 1 s: call it off the event loop.
    pub fn unlock(&self, passphrase: &str, now: UnixTime) -> Result<(), Error> { unimplemented!() }
    /// Wipes every secret from memory.
    pub fn lock(&self) { unimplemented!() }
    /// Whether it is unlocked.
    pub fn is_unlocked(&self) -> bool { unimplemented!() }
    /// Locks it if its time is over. To be called every few seconds. Whether it is still unlocked.
    pub fn tick(&self, now: UnixTime) -> bool { unimplemented!() }
    /// As [`Self::tick`], and notes that a person is at work.
    pub fn touch(&self, now: UnixTime) -> bool { unimplemented!() }
    /// Sets how long it stays unlocked.
    pub fn set_lifetime(&self, lifetime: Lifetime) { unimplemented!() }
    /// Its name for life.
    pub fn id(&self) -> VaultId { unimplemented!() }
    /// The person whose vault it is.
    pub fn holder(&self) -> PersonName { unimplemented!() }
    /// How often it was saved.
    pub fn generation(&self) -> u64 { unimplemented!() }
    /// All keys, oldest first.
    pub fn keys(&self) -> Vec<KeyInfo> { unimplemented!() }
    /// The newest key with this role.
    pub fn key(&self, role: KeyRole) -> Result<KeyInfo, Error> { unimplemented!() }
    /// An intent of the holder.
    pub fn intent(&self, action: &str, subject: &str, reason: &str, at: UnixTime) -> Intent { unimplemented!() }
    /// Makes one key per role and saves them together.
    pub fn generate(&self, roles: &[KeyRole], intent: &Intent) -> Result<Vec<KeyInfo>, Error> { unimplemented!() }
    /// A signer with this key for this purpose.
    pub fn signer(&self, key: KeyId, intent: Intent) -> Result<VaultSigner, Error> { unimplemented!() }
    /// Signs all messages under one audit entry, in their order.
    pub fn sign_batch(&self, key: KeyId, intent: &Intent, messages: &[&[u8]]) -> Result<Vec<[u8; 64]>, Error> { unimplemented!() }
    /// The secret of a one-time enrolment token: recomputed, never stored.
    pub fn enrolment_secret(&self, token: &TokenId, binding: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> { unimplemented!() }
    /// A MAC over what this vault remembers.
    pub fn memory_mac(&self, bytes: &[u8]) -> Result<[u8; 32], Error> { unimplemented!() }
    /// Whether `mac` is this vault's over `bytes`, in constant time.
    pub fn memory_verify(&self, bytes: &[u8], mac: &[u8; 32]) -> Result<bool, Error> { unimplemented!() }
    /// Puts a new passphrase in the place of the old one.
    pub fn change_passphrase(&self, old: &str, new: &str, params: Params, now: UnixTime) -> Result<(), Error> { unimplemented!() }
    /// Writes the sealed key file to `path`, which must not exist, and reads it back.
    pub fn backup(&self, path: &Path, now: UnixTime) -> Result<(), Error> { unimplemented!() }
    /// Opens a backup with its passphrase, compares every key, and records that it works.
    pub fn test_restore(&self, path: &Path, passphrase: &str, now: UnixTime) -> Result<(), Error> { unimplemented!() }
    /// When a backup that holds every root and CA key of now was last proven.
    pub fn backup_proven_at(&self) -> Option<UnixTime> { unimplemented!() }
    /// Writes an entry that needs no signature.
    pub fn record(&self, intent: &Intent) -> Result<AuditHead, Error> { unimplemented!() }
    /// Up to `limit` audit entries after the one at `after`, oldest first.
    pub fn audit_entries(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Error> { unimplemented!() }
    /// Recomputes the audit chain from its first entry.
    pub fn verify_audit(&self) -> Result<AuditHead, Error> { unimplemented!() }
}

impl Signer for VaultSigner {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signed = self.vault.sign_batch(self.key, &self.intent, &[message])?;
        signed.first().copied().ok_or(SignError::Locked)
    }
}
