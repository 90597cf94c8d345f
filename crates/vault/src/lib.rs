//! The local key vault: a sealed key file and an audit log in one folder that is the holder's alone.
//!
//! A [`Vault`] is a handle, cheap to clone and safe to share between threads. Public halves of keys
//! can be read while it is locked; everything that touches a private one fails with
//! [`Error::Locked`] then. Before a signature leaves, what it is for stands fsynced in the audit log.
//!
//! Time comes in as an argument. Randomness is the operating system's, through the cryptographic
//! provider: no caller can weaken a key.

mod audit;
mod backup;
mod clock;
mod delay;
mod error;
mod file;
mod harden;
mod inside;
mod key;
mod keyring;
mod opener;
mod params;
mod passphrase;
mod save;
mod sealed;
mod share;
mod signer;
mod slot;
mod slots;
mod symmetric;
mod token;
mod token_keys;
mod vault;

pub use audit::{AuditEntry, AuditHead, Intent, Signed, Witnessed, merkle_root};
pub use error::Error;
pub use file::check_form;
pub use harden::{Hardened, harden};
pub use key::{Algorithm, KeyId, KeyInfo, KeyRole};
pub use opener::Opener;
pub use params::Params;
pub use passphrase::{Strength, check_passphrase, strength};
pub use share::{MOST_SHARES, SetId, Share};
pub use signer::{BatchSigner, CaSigner, VaultSigner};
pub use slot::{Agreement, Derivation, KeyringPart, SlotId, SlotInfo, SlotKind};
pub use token::{TokenInfo, TokenKey, TokenSerial, Tokens};
pub use vault::{Lifetime, Vault, VaultId};

#[cfg(test)]
mod tests;
