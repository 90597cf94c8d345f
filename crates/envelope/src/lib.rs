//! The bytes that a device trusts: TUF metadata, tickets, links, sealed payloads, and the
//! verification that yields [`Verified`] and nothing less.
//!
//! Pure: time comes in as an argument and randomness as [`model::Random`]; the exceptions are HPKE's
//! ephemeral key, a fresh [`P256Key`] and ECDSA's nonces, which come from the cryptographic provider.

mod addressee;
pub mod bundle;
pub mod cbor;
mod checkin;
pub mod container;
mod cose;
pub mod device;
mod enrol;
mod error;
#[cfg(test)]
mod fixture;
mod grant;
mod keys;
mod label;
mod link;
pub mod log;
pub mod otap;
pub mod receipt;
mod recovery;
mod report;
pub mod request;
mod revoked;
mod seal;
mod sealed;
mod signer;
pub mod ticket;
pub mod trust;
pub mod tuf;
mod verified;

pub use addressee::{Addressee, Identity};
pub use checkin::CheckIn;
pub use enrol::{EnrolmentToken, Proof, SealedCertificate, TokenSecret};
pub use error::Error;
pub use grant::{Replace, StationGrant};
pub use keys::{ContentKey, Ed25519Key, P256Key, SystemRandom};
pub use label::Label;
pub use link::{Errand, Link};
pub use receipt::Receipt;
pub use recovery::Recovery;
pub use report::Report;
pub use revoked::{LostStation, RevocationList};
pub use seal::{KemSecret, Recipient, open, seal};
pub use sealed::SealedArtifact;
pub use signer::{KemPublicKey, KeyId, PublicKey, Sha256, SignError, Signer, sha256};
pub use ticket::{Action, Installation, Issued, SealedPayload, Statement, Target, Ticket};
pub use trust::{KeyRole, TrustKeys};
pub use verified::{TargetBytes, Verified};
