//! The bytes that a device trusts: TUF metadata, tickets, links, sealed payloads, and the
//! verification that yields [`Verified`] and nothing less.
//!
//! Pure: time comes in as an argument and randomness as [`model::Random`]; the exceptions are HPKE's
//! ephemeral key, a fresh [`P256Key`] and ECDSA's nonces, which come from the cryptographic provider.

pub mod cbor;
mod cose;
mod error;
mod keys;
mod seal;
mod signer;
mod trust;
pub mod tuf;
mod verified;

pub use error::Error;
pub use keys::{ContentKey, Ed25519Key, P256Key, SystemRandom};
pub use seal::{KemSecret, Recipient, open, seal};
pub use signer::{KemPublicKey, KeyId, PublicKey, Sha256, SignError, Signer, sha256};
pub use trust::KeyRole;
pub use verified::{TargetBytes, Verified};
