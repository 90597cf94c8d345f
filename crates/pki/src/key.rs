use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey},
};
use model::{Digest, SpkiDigest};

use crate::{
    Error, SignError,
    asn1::{sequence, tlv},
};

/// A P-256 key that signs without showing itself: a CA's in its vault, or a device's identity.
pub trait P256Signer: Send + Sync {
    /// The public half as an uncompressed point (SEC 1, 2.3.3): 0x04, x, y.
    fn public_key_sec1(&self) -> [u8; 65];

    /// Signs the SHA-256 of `message` (FIPS 186-5) and gives `r || s`, 32 bytes each, big-endian.
    ///
    /// # Errors
    /// The key is locked, or its container failed.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A public key on P-256, known to be a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct P256PublicKey([u8; 65]);

/// SubjectPublicKeyInfo (RFC 5480) of P-256 up to the point: id-ecPublicKey, secp256r1, BIT STRING.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl P256PublicKey {
    /// The key that is this uncompressed point (SEC 1, 2.3.4).
    ///
    /// # Errors
    /// The bytes are no point on P-256.
    pub fn from_sec1(point: [u8; 65]) -> Result<Self, Error> {
        if point[0] != 0x04 {
            return Err(Error::NotP256);
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| Error::NotP256)?;
        Ok(Self(point))
    }

    /// Reads a DER-encoded SubjectPublicKeyInfo (RFC 5480): named curve, uncompressed point.
    ///
    /// # Errors
    /// It is of another kind, another curve or another form.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        let point = der.strip_prefix(&SPKI_PREFIX).ok_or(Error::NotP256)?;
        Self::from_sec1(point.try_into().map_err(|_| Error::NotP256)?)
    }

    /// The uncompressed point (SEC 1, 2.3.3): 0x04, x, y.
    pub const fn sec1(&self) -> &[u8; 65] {
        &self.0
    }

    /// The DER-encoded SubjectPublicKeyInfo (RFC 5480).
    pub fn spki_der(&self) -> [u8; 91] {
        let mut der = [0; 91];
        der[..26].copy_from_slice(&SPKI_PREFIX);
        der[26..].copy_from_slice(&self.0);
        der
    }

    /// The SHA-256 of [`Self::spki_der`].
    pub fn spki_digest(&self) -> SpkiDigest {
        SpkiDigest::new(*sha256(&self.spki_der()).as_bytes())
    }

    /// The key identifier: the leftmost 160 bits of the SHA-256 of the point (RFC 7093, 2, method 1).
    pub fn key_id(&self) -> [u8; 20] {
        let digest = sha256(&self.0);
        let (head, _) = digest.as_bytes().split_at(20);
        head.try_into().expect("split at twenty bytes")
    }

    /// Whether `signature`, an Ecdsa-Sig-Value in DER (RFC 3279, 2.2.3), signs the SHA-256 of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for P256PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p256:{}", self.spki_digest())
    }
}

/// An Ecdsa-Sig-Value (RFC 3279, 2.2.3) from `r || s`.
pub(crate) fn signature_der(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    sequence(&[&unsigned(r), &unsigned(s)])
}

/// An INTEGER that is not negative, from big-endian octets.
pub(crate) fn unsigned(octets: &[u8]) -> Vec<u8> {
    let skip = octets.iter().take_while(|&&octet| octet == 0).count();
    let digits = &octets[skip..];
    match digits.first() {
        Some(first) if first & 0x80 == 0 => tlv(0x02, &[digits]),
        _ => tlv(0x02, &[&[0], digits]),
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}
