//! What the policy takes, what it refuses, and what verifiers make of what is issued.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use model::{DeviceId, Random, Seconds, Serial, UnixTime};

use crate::{Ca, CaCertificate, CaKind, CaProfile, CertificateDer, P256Signer, RootProfile, SignError};

mod chain;
mod hostile;
mod issue;

pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }
}

impl P256Signer for Key {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().try_into().unwrap())
    }
}

/// Counts up, so that what it gives is known and never twice the same.
pub(crate) struct Counter(pub(crate) u8);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(37);
        }
    }
}

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);
pub(crate) const DEVICE: DeviceId =
    DeviceId::new(*b"\xf8\x1d\x4f\xae\x7d\xec\x41\xd0\xa7\x65\x00\xa0\xc9\x1e\x6b\xf6");
/// The base point: sound, and of prime order.
pub(crate) const KEM: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 9;
    key
};

pub(crate) fn serial() -> Serial {
    "SN_00-17.b".parse().unwrap()
}

/// A root and issuing CAs under it, with their keys.
pub(crate) struct World {
    pub(crate) root_key: Key,
    pub(crate) root: CertificateDer<'static>,
}

pub(crate) struct Issuer {
    pub(crate) key: Key,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) certificate: CaCertificate,
}

impl World {
    pub(crate) fn new() -> Self {
        let root_key = Key::new();
        let profile = RootProfile { organization: "Sample Works".parse().unwrap() };
        let root = profile.issue(&root_key, &mut Counter(0), NOW).unwrap();
        Self { root_key, root }
    }

    pub(crate) fn issuer(&self, kind: CaKind, not_after: UnixTime) -> Issuer {
        let key = Key::new();
        let root = CaCertificate::parse(&self.root).unwrap();
        let public = crate::P256PublicKey::from_sec1(key.public_key_sec1()).unwrap();
        let profile = CaProfile { kind, domain: "fleet.example.com".parse().unwrap(), not_after };
        let der =
            profile.issue(&public, &Ca::new(&root, &self.root_key).unwrap(), &mut Counter(100), NOW).unwrap();
        Issuer { certificate: CaCertificate::parse(&der).unwrap(), der, key }
    }

    pub(crate) fn station(&self, name: &str) -> Issuer {
        self.issuer(CaKind::Devices(name.parse().unwrap()), UnixTime::MAX)
    }
}

impl Issuer {
    pub(crate) fn ca(&self) -> Ca<'_> {
        Ca::new(&self.certificate, &self.key).unwrap()
    }
}

pub(crate) fn years(count: u64) -> UnixTime {
    NOW + Seconds::days(365 * count)
}
