use std::fmt;

use envelope::{KemPublicKey, PublicKey};
use model::UnixTime;

/// What a key is for. Its algorithm follows from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyRole {
    /// Signs TUF root metadata.
    Root,
    /// Signs TUF targets metadata and `trust/keys.cbor`.
    Targets,
    /// Signs tickets and offline bundles.
    Ticket,
    /// Signs sealed-artifact records.
    Seal,
    /// Signs station grants, revocation lists and replacements.
    Grant,
    /// Receives content keys.
    Kem,
    /// Signs the audit log's head.
    Audit,
    /// The fleet's X.509 root.
    CaRoot,
    /// Issues certificates of devices.
    CaDevices,
    /// Issues certificates of people and stations.
    CaPeople,
    /// Issues certificates of servers and gateways.
    CaServers,
    /// Gives enrolment tokens their secrets. One per vault.
    Token,
    /// Authenticates what this vault remembers of devices. One per vault.
    Memory,
}

/// How a key computes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256 with SHA-256 (FIPS 186-5).
    P256,
    /// X25519 (RFC 7748).
    X25519,
    /// HMAC-SHA256 (RFC 2104) with a 32-byte key.
    Hmac,
}

/// The first eight bytes of the SHA-256 of a key's public half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// What may be known of a key while the vault is locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyInfo {
    /// Names the key in this vault.
    pub id: KeyId,
    /// What it is for.
    pub role: KeyRole,
    /// Its public half: 32 bytes for Ed25519 and X25519, 65 for P-256 (SEC 1, uncompressed); for a
    /// symmetric key a 32-byte check value that reveals nothing of it.
    pub public: Vec<u8>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Whether a backup that holds it was restored as a test.
    pub backup_proven: bool,
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 13] = [
        Self::Root, Self::Targets, Self::Ticket, Self::Seal, Self::Grant, Self::Kem, Self::Audit,
        Self::CaRoot, Self::CaDevices, Self::CaPeople, Self::CaServers, Self::Token, Self::Memory,
    ];

    /// The role as screens and logs say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Ticket => "ticket",
            Self::Seal => "seal",
            Self::Grant => "grant",
            Self::Kem => "kem",
            Self::Audit => "audit",
            Self::CaRoot => "ca_root",
            Self::CaDevices => "ca_devices",
            Self::CaPeople => "ca_people",
            Self::CaServers => "ca_servers",
            Self::Token => "token",
            Self::Memory => "memory",
        }
    }

    /// The algorithm of this role's keys.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Root | Self::Targets | Self::Ticket | Self::Seal | Self::Grant | Self::Audit => {
                Algorithm::Ed25519
            }
            Self::Kem => Algorithm::X25519,
            Self::CaRoot | Self::CaDevices | Self::CaPeople | Self::CaServers => Algorithm::P256,
            Self::Token | Self::Memory => Algorithm::Hmac,
        }
    }
}

impl KeyId {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl KeyInfo {
    /// The key that verifies what this one signs; none for KEM and symmetric keys.
    pub fn verifying_key(&self) -> Option<PublicKey> {
        match self.role.algorithm() {
            Algorithm::Ed25519 => Some(PublicKey::Ed25519(self.public.as_slice().try_into().ok()?)),
            Algorithm::P256 => Some(PublicKey::P256(self.public.as_slice().try_into().ok()?)),
            Algorithm::X25519 | Algorithm::Hmac => None,
        }
    }

    /// The key to seal to, if this is a KEM key.
    pub fn kem_key(&self) -> Option<KemPublicKey> {
        match self.role.algorithm() {
            Algorithm::X25519 => Some(KemPublicKey(self.public.as_slice().try_into().ok()?)),
            Algorithm::Ed25519 | Algorithm::P256 | Algorithm::Hmac => None,
        }
    }
}
