//! The bytes that a device trusts: TUF metadata, tickets, links, sealed payloads, and the
//! verification that yields `Verified` and nothing less.
//!
//! Pure: time comes in as an argument and randomness as [`model::Random`]; the one exception is
//! HPKE's ephemeral key, which comes from the cryptographic provider.

mod signer;

pub use signer::{KemPublicKey, PublicKey, SignError, Signer, sha256};
