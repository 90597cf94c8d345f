//! Private keys in memory, and randomness.
//!
//! [`SystemRandom`] is the adapter that callers pass wherever this crate takes a [`Random`].

use std::fmt;

use aws_lc_rs::{
    hmac, rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use model::{Digest, Random};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Error, PublicKey, SignError, Signer};

/// The cryptographic provider's random generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        rand::fill(bytes).expect("the provider's generator stops the process rather than fail");
    }
}

/// An Ed25519 private key in memory: the backend's online keys, a vault's opened ones.
///
/// It signs with the provider, in half the time that ed25519-dalek takes; the bytes are the same.
pub struct Ed25519Key {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl Ed25519Key {
    /// The key of this seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 key has 32 bytes");
        Self { seed: Zeroizing::new(*seed), pair, public }
    }

    /// A fresh key.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The seed, to be kept sealed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }
}

impl Signer for Ed25519Key {
    fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519(self.public)
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.pair.sign(message);
        signature.as_ref().try_into().map_err(|_| refused())
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({:?})", self.public_key())
    }
}

/// An ECDSA P-256 private key in memory: a device's, an operator's.
pub struct P256Key {
    pair: EcdsaKeyPair,
    public: [u8; 65],
}

impl P256Key {
    /// A fresh key; its randomness is the provider's own.
    ///
    /// # Errors
    /// The provider failed.
    pub fn generate() -> Result<Self, Error> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| P256)?;
        Self::new(pair)
    }

    /// The key in this PKCS#8 document (RFC 5958), DER.
    ///
    /// # Errors
    /// It is no P-256 private key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| P256)?;
        Self::new(pair)
    }

    /// The key as a PKCS#8 document (RFC 5958), DER, to be kept sealed or in a 0600 file.
    ///
    /// # Errors
    /// The provider failed.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let document = self.pair.to_pkcs8v1().map_err(|_| P256)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    fn new(pair: EcdsaKeyPair) -> Result<Self, Error> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| P256)?;
        Ok(Self { pair, public })
    }
}

/// What every failure with a P-256 key says.
const P256: Error = Error::Key { kind: "P-256" };

impl Signer for P256Key {
    fn public_key(&self) -> PublicKey {
        PublicKey::P256(self.public)
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.pair.sign(&rand::SystemRandom::new(), message).map_err(|_| refused())?;
        signature.as_ref().try_into().map_err(|_| refused())
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256Key({:?})", self.public_key())
    }
}

fn refused() -> SignError {
    SignError::Failed { reason: "the provider refused".to_owned() }
}

/// The secret that opens one artifact as sealed once (AES-256). Made by whoever seals, carried inside
/// tickets, shown nowhere.
pub struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// A fresh key.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(bytes)
    }

    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, from which OTAP derives its keys.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 (RFC 2104) under this key over `fleetseal-content-key/1`: which key it is, without
    /// saying what it is. It stands in the sealed-artifact record.
    pub fn commitment(&self) -> Digest {
        Digest::new(hmac_sha256(&*self.0, b"fleetseal-content-key/1"))
    }
}

impl PartialEq for ContentKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for ContentKey {}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

/// HMAC-SHA256 (RFC 2104) of `message` under `key`.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_sign_the_same() {
        let key = Ed25519Key::generate(&mut SystemRandom);
        let again = Ed25519Key::from_seed(&key.seed());
        assert_eq!(again.sign(b"text").unwrap(), key.sign(b"text").unwrap());
        let key = P256Key::generate().unwrap();
        let again = P256Key::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let signature = again.sign(b"text").unwrap();
        assert!(key.public_key().verify(b"text", &signature).is_ok());
        assert!(key.public_key().verify(b"test", &signature).is_err());
        assert!(P256Key::from_pkcs8(b"no key").is_err());
    }

    #[test]
    fn keys_do_not_show_themselves() {
        let key = Ed25519Key::from_seed(&[0xaa; 32]);
        let seed = "aa".repeat(8);
        assert!(!format!("{key:?} {:?}", ContentKey::from_bytes(&[0xaa; 32])).contains(&seed));
    }

    #[test]
    fn a_commitment_is_of_one_key() {
        let [one, two] = [1, 2].map(|byte| ContentKey::from_bytes(&[byte; 32]));
        assert_ne!(one.commitment(), two.commitment());
        assert_eq!(one.commitment(), ContentKey::from_bytes(&[1; 32]).commitment());
        assert!(one != two);
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        let text = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(Digest::new(mac).to_string(), text);
    }
}
