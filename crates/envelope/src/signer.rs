//! Who signs: people's vaults, the backend's online keys and devices all look the same from here.

use std::fmt;

use aws_lc_rs::{digest, signature::ECDSA_P256_SHA256_FIXED, signature::UnparsedPublicKey};
use ed25519_dalek::{Signature, VerifyingKey};
use model::{Digest, KemKeyId, SpkiDigest};

use crate::Error;

/// A public key that verifies signatures of signed objects.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), 32 bytes as they are encoded there.
    Ed25519([u8; 32]),
    /// ECDSA over P-256 with SHA-256, as an uncompressed point (SEC 1): 0x04, x, y.
    P256([u8; 65]),
}

/// The first eight bytes of the SHA-256 of a public key's bytes ([`PublicKey::as_bytes`]): the `kid` by
/// which signed objects name their signer. It only finds a key; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is behind a lock.
    #[error("the vault is locked")]
    Locked,
    /// The key is not at hand just now: its token is not there, or a lock came in between.
    #[error("{reason}")]
    Unavailable {
        /// What its container said.
        reason: String,
    },
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

/// What precedes the point in the DER SubjectPublicKeyInfo of every P-256 key (RFC 5480).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What precedes the key in the DER SubjectPublicKeyInfo of every Ed25519 key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl PublicKey {
    /// The key's bytes in its own encoding: 32 for Ed25519, 65 for P-256.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes) => bytes,
            Self::P256(bytes) => bytes,
        }
    }

    /// The id by which signed objects name this key.
    pub fn id(&self) -> KeyId {
        KeyId(head(&sha256(self.as_bytes())))
    }

    /// The key in a DER SubjectPublicKeyInfo (RFC 5480, RFC 8410), as it stands in a certificate.
    ///
    /// # Errors
    /// It is neither an Ed25519 key nor an uncompressed P-256 point.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        let p256 = der.strip_prefix(&P256_SPKI).and_then(|point| point.try_into().ok());
        let ed25519 = der.strip_prefix(&ED25519_SPKI).and_then(|key| key.try_into().ok());
        p256.filter(|point: &[u8; 65]| point[0] == 4)
            .map(Self::P256)
            .or(ed25519.map(Self::Ed25519))
            .ok_or(Error::Key { kind: "P-256 or Ed25519" })
    }

    /// The key as a DER SubjectPublicKeyInfo (RFC 5480, RFC 8410).
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(bytes) => [&ED25519_SPKI[..], bytes].concat(),
            Self::P256(bytes) => [&P256_SPKI[..], bytes].concat(),
        }
    }

    /// The SHA-256 of [`Self::spki`].
    pub fn spki_digest(&self) -> SpkiDigest {
        SpkiDigest::new(*sha256(&self.spki()).as_bytes())
    }

    /// Verifies `signature` over `message` strictly: for Ed25519 canonical encodings only and no
    /// small-order point (`verify_strict`); for P-256 `r || s`, both in range.
    ///
    /// # Errors
    /// The signature does not verify, or the key is no key.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
        match self {
            Self::Ed25519(bytes) => ed25519(bytes)?
                .verify_strict(message, &Signature::from_bytes(signature))
                .map_err(|_| Error::Signature),
            Self::P256(bytes) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes)
                .verify(message, signature)
                .map_err(|_| Error::Signature),
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

impl KeyId {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they stand in signed objects.
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

/// An X25519 public key (RFC 7748): to whom something is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KemPublicKey(pub [u8; 32]);

impl KemPublicKey {
    /// The first eight bytes of the key's SHA-256, by which sealed objects name their recipient.
    pub fn id(&self) -> KemKeyId {
        KemKeyId::new(head(&sha256(&self.0)))
    }
}

/// An Ed25519 public key, unless its encoding is not canonical (RFC 8032, section 5.1.3: y below p) or
/// it is of small order.
pub(crate) fn ed25519(bytes: &[u8; 32]) -> Result<VerifyingKey, Error> {
    let canonical =
        bytes[0] < 0xed || bytes[1..31].iter().any(|byte| *byte != 0xff) || bytes[31] & 0x7f != 0x7f;
    VerifyingKey::from_bytes(bytes)
        .ok()
        .filter(|key| canonical && !key.is_weak())
        .ok_or(Error::Key { kind: "Ed25519" })
}

/// The SHA-256 (FIPS 180-4) of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    to_digest(digest::digest(&digest::SHA256, bytes))
}

/// A SHA-256 (FIPS 180-4) that takes its input piece by piece.
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that went in.
    pub fn finish(self) -> Digest {
        to_digest(self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

fn to_digest(digest: digest::Digest) -> Digest {
    Digest::new(digest.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

fn head(digest: &Digest) -> [u8; 8] {
    let (head, _) = digest.as_bytes().split_at(8);
    head.try_into().expect("split at eight bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ed25519Key, P256Key, SystemRandom};

    #[test]
    fn a_key_reads_back_from_its_spki_and_from_nothing_else() {
        let keys =
            [P256Key::generate().unwrap().public_key(), Ed25519Key::generate(&mut SystemRandom).public_key()];
        for key in keys {
            let spki = key.spki();
            assert_eq!(PublicKey::from_spki(&spki).unwrap(), key);
            assert_eq!(key.spki_digest().as_bytes(), sha256(&spki).as_bytes());
            assert!(PublicKey::from_spki(&spki[..spki.len() - 1]).is_err());
            assert!(PublicKey::from_spki(&[&spki[..], &[0]].concat()).is_err());
            let mut other = spki;
            other[8] ^= 1;
            assert!(PublicKey::from_spki(&other).is_err());
        }
    }

    #[test]
    fn ids_are_the_heads_of_digests() {
        let key = PublicKey::Ed25519([7; 32]);
        assert_eq!(key.id().as_bytes(), &sha256(&[7; 32]).as_bytes()[..8]);
        assert_eq!(KemPublicKey([7; 32]).id().as_bytes(), key.id().as_bytes());
    }

    #[test]
    fn a_digest_does_not_depend_on_the_pieces() {
        let mut pieces = Sha256::new();
        [&b"ab"[..], b"", b"c"].into_iter().for_each(|piece| pieces.update(piece));
        // FIPS 180-4, the example "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(pieces.finish().to_string(), abc);
        assert_eq!(sha256(b"abc").to_string(), abc);
    }
}
