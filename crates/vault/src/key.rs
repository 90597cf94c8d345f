//! Keys: what each is for, its public half, and what its private half computes.

use std::{fmt, thread};

use aws_lc_rs::{
    agreement, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use envelope::{KemPublicKey, KemSecret, PublicKey};
use model::UnixTime;

use crate::{
    Error, TokenSerial,
    sealed::{Secret, expand, random_secret},
    token::GoOn,
};

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
    /// Whether a backup that holds it was restored as a test. No backup holds a key that lives in a token.
    pub backup_proven: bool,
    /// The token that it lives in; nothing if it is in the vault itself.
    pub token: Option<TokenSerial>,
}

/// Fewer signatures than this are not worth a thread.
const LEAST_SHARE: usize = 512;

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 13] = [
        Self::Root,
        Self::Targets,
        Self::Ticket,
        Self::Seal,
        Self::Grant,
        Self::Kem,
        Self::Audit,
        Self::CaRoot,
        Self::CaDevices,
        Self::CaPeople,
        Self::CaServers,
        Self::Token,
        Self::Memory,
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

    /// Whether a vault holds at most one such key: what it derived or authenticated could otherwise not
    /// be recomputed.
    pub const fn is_single(self) -> bool {
        matches!(self, Self::Token | Self::Memory)
    }

    /// Whether the loss of such a key could be made good by no other one, so that its backup must be
    /// proven before the fleet relies on it.
    pub const fn is_irreplaceable(self) -> bool {
        match self {
            Self::Root | Self::CaRoot | Self::CaDevices | Self::CaPeople | Self::CaServers => true,
            Self::Targets
            | Self::Ticket
            | Self::Seal
            | Self::Grant
            | Self::Kem
            | Self::Audit
            | Self::Token
            | Self::Memory => false,
        }
    }

    /// The role's number in the key file.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Root => 1,
            Self::Targets => 2,
            Self::Ticket => 3,
            Self::Seal => 4,
            Self::Grant => 5,
            Self::Kem => 6,
            Self::Audit => 7,
            Self::CaRoot => 8,
            Self::CaDevices => 9,
            Self::CaPeople => 10,
            Self::CaServers => 11,
            Self::Token => 12,
            Self::Memory => 13,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
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

impl Algorithm {
    /// The algorithm's number in the key file.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::P256 => 2,
            Self::X25519 => 3,
            Self::Hmac => 4,
        }
    }

    /// Whether it makes signatures.
    pub const fn signs(self) -> bool {
        match self {
            Self::Ed25519 | Self::P256 => true,
            Self::X25519 | Self::Hmac => false,
        }
    }

    /// How long a public half is, in bytes.
    pub(crate) const fn public_len(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::Ed25519 | Self::X25519 | Self::Hmac => 32,
        }
    }

    /// A fresh key and its public half.
    pub(crate) fn generate(self) -> Result<(Secret, Vec<u8>), Error> {
        // One in 2^32 random scalars is none of P-256; a second miss is a broken generator.
        for _ in 0..2 {
            let secret = random_secret()?;
            if let Some(public) = self.public_half(&secret) {
                return Ok((secret, public));
            }
        }
        Err(Error::Provider)
    }

    /// The public half of `secret`, or for a symmetric key a value that one can only check it with.
    pub(crate) fn public_half(self, secret: &Secret) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519 => Some(SigningKey::from_bytes(secret).verifying_key().to_bytes().to_vec()),
            Self::X25519 => Some(KemSecret::from_bytes(secret).ok()?.public().0.to_vec()),
            Self::P256 => {
                let key = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &secret[..]).ok()?;
                Some(key.compute_public_key().ok()?.as_ref().to_vec())
            }
            Self::Hmac => Some(expand(secret, &[b"fleetseal-vault/1 key check"]).to_vec()),
        }
    }

    /// Signs every message, in order, and verifies every signature before it gives any out. Stops with what
    /// `go_on` says, asked every few messages.
    pub(crate) fn sign_all(
        self,
        secret: &Secret,
        public: &[u8],
        messages: &[&[u8]],
        go_on: GoOn<'_>,
    ) -> Result<Vec<[u8; 64]>, Error> {
        let lanes = thread::available_parallelism().map_or(1, usize::from);
        let share = messages.len().div_ceil(lanes).max(LEAST_SHARE);
        if messages.len() <= share {
            return self.sign_share(secret, public, messages, go_on);
        }
        thread::scope(|scope| {
            let work = |part| scope.spawn(move || self.sign_share(secret, public, part, go_on));
            let parts: Vec<_> = messages.chunks(share).map(work).collect();
            let mut signatures = Vec::with_capacity(messages.len());
            for part in parts {
                signatures.extend(part.join().map_err(|_| Error::SelfCheck)??);
            }
            Ok(signatures)
        })
    }

    fn sign_share(
        self,
        secret: &Secret,
        public: &[u8],
        messages: &[&[u8]],
        go_on: GoOn<'_>,
    ) -> Result<Vec<[u8; 64]>, Error> {
        match self {
            Self::Ed25519 => {
                let key = SigningKey::from_bytes(secret);
                let mut signatures = Vec::with_capacity(messages.len());
                for messages in messages.chunks(256) {
                    go_on()?;
                    let made: Vec<Signature> = messages.iter().map(|message| key.sign(message)).collect();
                    let good = match (messages, made.as_slice()) {
                        ([message], [one]) => key.verifying_key().verify_strict(message, one),
                        _ => {
                            let keys = vec![key.verifying_key(); messages.len()];
                            ed25519_dalek::verify_batch(messages, &made, &keys)
                        }
                    };
                    good.map_err(|_| Error::SelfCheck)?;
                    signatures.extend(made.iter().map(Signature::to_bytes));
                }
                Ok(signatures)
            }
            Self::P256 => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &secret[..], public)
                    .map_err(|_| Error::Provider)?;
                let sign = |message: &&[u8]| {
                    go_on()?;
                    let made = key.sign(&SystemRandom::new(), message).map_err(|_| Error::Provider)?;
                    let made = made.as_ref().try_into().map_err(|_| Error::Provider)?;
                    verify(self, public, message, &made).map(|()| made)
                };
                messages.iter().map(sign).collect()
            }
            Self::X25519 | Self::Hmac => Err(Error::Provider),
        }
    }
}

/// That a signature is good under the public half on record.
pub(crate) fn verify(
    algorithm: Algorithm,
    public: &[u8],
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), Error> {
    match algorithm {
        Algorithm::Ed25519 => {
            let public = public.try_into().map_err(|_| Error::SelfCheck)?;
            let key = VerifyingKey::from_bytes(public).map_err(|_| Error::SelfCheck)?;
            key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| Error::SelfCheck)
        }
        Algorithm::P256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(message, signature)
            .map_err(|_| Error::SelfCheck),
        Algorithm::X25519 | Algorithm::Hmac => Err(Error::SelfCheck),
    }
}

/// HMAC-SHA256 (RFC 2104) of the parts, one after another.
pub(crate) fn mac(secret: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret[..]));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
}

impl KeyId {
    /// The id of the key with this public half.
    pub(crate) fn of(public: &[u8]) -> Self {
        let digest = envelope::sha256(public);
        let (head, _) = digest.as_bytes().split_at(8);
        Self(head.try_into().expect("split at eight bytes"))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_their_numbers_are_one_to_one() {
        for role in KeyRole::ALL {
            assert_eq!(KeyRole::from_number(role.number()), Some(role));
        }
        assert_eq!(KeyRole::from_number(0), None);
        assert_eq!(KeyRole::from_number(14), None);
    }

    #[test]
    fn every_algorithm_recomputes_its_public_half() {
        for algorithm in [Algorithm::Ed25519, Algorithm::P256, Algorithm::X25519, Algorithm::Hmac] {
            let (secret, public) = algorithm.generate().unwrap();
            assert_eq!(public.len(), algorithm.public_len());
            assert_eq!(algorithm.public_half(&secret), Some(public.clone()));
            assert_ne!(public, secret.to_vec());
        }
    }

    #[test]
    fn many_signatures_come_in_the_order_of_their_messages() {
        let (secret, public) = Algorithm::Ed25519.generate().unwrap();
        let messages: Vec<[u8; 4]> = (0..1_500u32).map(u32::to_be_bytes).collect();
        let messages: Vec<&[u8]> = messages.iter().map(<[u8; 4]>::as_slice).collect();
        let signatures = Algorithm::Ed25519.sign_all(&secret, &public, &messages, &|| Ok(())).unwrap();
        let one = |at: usize| {
            Algorithm::Ed25519.sign_all(&secret, &public, &messages[at..=at], &|| Ok(())).unwrap()
        };
        assert_eq!(signatures.len(), 1_500);
        for at in [0, 511, 512, 1_499] {
            assert_eq!(signatures[at], one(at)[0]);
        }
    }

    #[test]
    fn a_signature_under_another_public_half_never_leaves() {
        let (secret, _) = Algorithm::P256.generate().unwrap();
        let (_, other) = Algorithm::P256.generate().unwrap();
        assert!(Algorithm::P256.sign_all(&secret, &other, &[b"message"], &|| Ok(())).is_err());
    }
}
