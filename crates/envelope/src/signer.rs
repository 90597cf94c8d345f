//! Who signs: people's vaults, the backend's online keys and devices all look the same from here.

use std::fmt;

use model::{Digest, KemKeyId};

/// A public key that verifies signatures of signed objects.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), 32 bytes as they are encoded there.
    Ed25519([u8; 32]),
    /// ECDSA over P-256 with SHA-256, as an uncompressed point (SEC 1): 0x04, x, y.
    P256([u8; 65]),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is behind a lock.
    #[error("the vault is locked")]
    Locked,
    /// The key refused or its container failed.
    #[error("failed to sign: {reason}")]
    Failed {
        /// What its container said.
        reason: String,
    },
}

/// Something that signs with one private key without showing it.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// Signs `message`: Ed25519 as in RFC 8032; P-256 as `r || s`, 32 bytes each, over its SHA-256.
    ///
    /// # Errors
    /// The key is locked, or its container failed.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

impl PublicKey {
    /// The key's bytes in its own encoding: 32 for Ed25519, 65 for P-256.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
            Self::P256(bytes) => bytes,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Ed25519(_) => "ed25519:",
            Self::P256(_) => "p256:",
        };
        f.write_str(name)?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An X25519 public key (RFC 7748): to whom something is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KemPublicKey(pub [u8; 32]);

impl KemPublicKey {
    /// The first eight bytes of the key's SHA-256, by which sealed objects name their recipient.
    pub fn id(&self) -> KemKeyId {
        let digest = crate::sha256(&self.0);
        let (head, _) = digest.as_bytes().split_at(8);
        KemKeyId::new(head.try_into().expect("split at eight bytes"))
    }
}

/// The SHA-256 (FIPS 180-4) of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    Digest::new(digest.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}
