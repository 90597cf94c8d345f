//! Sealing to one X25519 key: COSE_Encrypt0 (RFC 9052) with integrated HPKE (RFC 9180, base mode).
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, COSE algorithm 42
//! (HPKE-4); the encapsulated key is the unprotected header -4 (`ek`), as in draft-ietf-cose-hpke-23.
//!
//! ```text
//! 16([ << {1: 42, 4: KEM key id (b8)} >>, {-4: ek (b32)}, ciphertext ])
//! HPKE info = empty
//! HPKE aad  = ["Encrypt0", << {1: 42, 4: KEM key id} >>, << [typ, recipient] >>]
//! ```
//!
//! where `recipient` is the device id (b16), or the KEM key id (b8) where the recipient is a vault, a
//! bench or a device that has no id yet. HPKE's ephemeral key comes from the provider's generator; that
//! is the one randomness that this crate does not take as an argument.

use std::fmt;

use aws_lc_rs::agreement;
use model::{DeviceId, KemKeyId, Random};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as HPKE_4,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use zeroize::Zeroizing;

use crate::{
    Error, KemPublicKey,
    cbor::{Limits, Reader, Writer},
};

/// Whom a sealed object names as its recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// A device, by its id.
    Device(DeviceId),
    /// A vault, a bench, or a device that has no id yet, by its KEM key.
    Key(KemKeyId),
}

/// An X25519 private key: opens what was sealed to its public half.
pub struct KemSecret {
    secret: HpkePrivateKey,
    public: KemPublicKey,
}

/// The COSE tag of COSE_Encrypt0.
const ENCRYPT0: u64 = 16;
const HPKE_4_ID: i64 = 42;
const ALG: i64 = 1;
const KID: i64 = 4;
const EK: i64 = -4;

impl KemSecret {
    /// A fresh key.
    ///
    /// # Errors
    /// The provider failed.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self::from_bytes(&bytes)
    }

    /// The key with these bytes (RFC 7748, section 5).
    ///
    /// # Errors
    /// The provider failed.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let Some(public) = agreement::PrivateKey::from_private_key(&agreement::X25519, bytes)
            .ok()
            .and_then(|key| key.compute_public_key().ok())
            .and_then(|public| public.as_ref().try_into().ok())
        else {
            return Err(Error::Key { kind: "X25519" });
        };
        Ok(Self { secret: HpkePrivateKey::from(bytes.to_vec()), public: KemPublicKey(public) })
    }

    /// The bytes, to be kept sealed or in a 0600 file.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.secret_bytes().try_into().expect("made of 32 bytes"))
    }

    /// The public half.
    pub const fn public(&self) -> KemPublicKey {
        self.public
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemSecret({})", self.public.id())
    }
}

/// Seals `plaintext`, an object of type `typ`, to `key`, naming `recipient`.
///
/// # Errors
/// The key is of small order (its shared secret would be all zero), or the provider failed.
pub fn seal(typ: &str, key: &KemPublicKey, recipient: Recipient, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let protected = protected(key.id());
    let aad = enc_structure(&protected, typ, recipient);
    let (ek, ciphertext) =
        HPKE_4.seal(&[], &aad, plaintext, &HpkePublicKey(key.0.to_vec())).map_err(|_| Error::Seal)?;
    let mut out = Writer::with_capacity(ciphertext.len() + 80);
    out.tag(ENCRYPT0).array(3).bytes(&protected);
    out.map(|map| {
        map.key(EK).bytes(&ek.0);
    });
    out.bytes(&ciphertext);
    Ok(out.into_bytes())
}

/// Opens what [`seal`] made for this type, key and recipient. What comes out is whoever's who knew the
/// public key: only a signature inside says more.
///
/// # Errors
/// The encoding or algorithm is another, the object is longer than `max` bytes, or it was sealed for
/// another type, key or recipient, or altered.
pub fn open(
    typ: &str,
    secret: &KemSecret,
    recipient: Recipient,
    sealed: &[u8],
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut reader = Reader::new(sealed, &Limits { bytes: max, depth: 3, tag: Some(ENCRYPT0) })?;
    if reader.array()? != 3 {
        return Err(Error::Open);
    }
    let header = reader.bytes()?;
    let ek: [u8; 32] = reader.map(|map| map.required(EK, "ek", Reader::fixed))?;
    let ciphertext = reader.bytes()?;
    let algorithm = Reader::new(header, &Limits { bytes: 64, depth: 1, tag: None })?.map(|map| {
        let algorithm = map.required(ALG, "alg", Reader::int)?;
        map.required(KID, "kid", Reader::fixed::<8>)?;
        Ok(algorithm)
    })?;
    if algorithm != HPKE_4_ID {
        return Err(Error::Algorithm { found: algorithm });
    }
    let protected = protected(secret.public.id());
    if header != protected {
        return Err(Error::Open);
    }
    let aad = enc_structure(&protected, typ, recipient);
    HPKE_4
        .open(&EncapsulatedSecret(ek.to_vec()), &[], &aad, ciphertext, &secret.secret)
        .map(Zeroizing::new)
        .map_err(|_| Error::Open)
}

fn protected(kem: KemKeyId) -> Vec<u8> {
    let mut out = Writer::with_capacity(16);
    out.map(|map| {
        map.key(ALG).int(HPKE_4_ID);
        map.key(KID).bytes(kem.as_bytes());
    });
    out.into_bytes()
}

fn enc_structure(protected: &[u8], typ: &str, recipient: Recipient) -> Vec<u8> {
    let mut external = Writer::with_capacity(typ.len() + 24);
    external.array(2).text(typ);
    match recipient {
        Recipient::Device(id) => external.bytes(id.as_bytes()),
        Recipient::Key(id) => external.bytes(id.as_bytes()),
    };
    let external = external.into_bytes();
    let mut out = Writer::with_capacity(external.len() + 32);
    out.array(3).text("Encrypt0").bytes(protected).bytes(&external);
    out.into_bytes()
}

#[cfg(test)]
mod tests;
