//! Sealing one 32-byte secret under another.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use aws_lc_rs::{hkdf, rand};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::Error;

/// A secret of 32 bytes: wiped when dropped, never shown. It stays in one place for all its life: what moves is
/// where to find it, and leaves no copy behind.
#[derive(Clone, Default)]
pub(crate) struct Secret(Box<[u8; 32]>);

impl Deref for Secret {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl From<[u8; 32]> for Secret {
    fn from(mut bytes: [u8; 32]) -> Self {
        let mut secret = Self::default();
        secret.copy_from_slice(&bytes);
        bytes.zeroize();
        secret
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A secret under XChaCha20-Poly1305, with a commitment to the key that opens it: that cipher alone
/// would let one ciphertext open under two keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) nonce: [u8; 24],
    pub(crate) commitment: [u8; 32],
    /// 32 bytes and Poly1305's tag.
    pub(crate) ciphertext: [u8; 48],
}

impl Sealed {
    /// Seals `secret` under `key`, bound to `aad`.
    pub(crate) fn seal(key: &Secret, aad: &[u8], secret: &Secret) -> Result<Self, Error> {
        let nonce: [u8; 24] = random()?;
        let mut ciphertext = [0; 48];
        let (body, tag) = ciphertext.split_at_mut(32);
        body.copy_from_slice(&secret[..]);
        let made = cipher(key, &nonce)
            .encrypt_inout_detached(&nonce.into(), aad, body.into())
            .map_err(|_| Error::Provider)?;
        tag.copy_from_slice(&made);
        Ok(Self { nonce, commitment: *commitment(key, &nonce), ciphertext })
    }

    /// Opens it, if `key` and `aad` are those it was sealed with.
    pub(crate) fn open(&self, key: &Secret, aad: &[u8]) -> Option<Secret> {
        if !bool::from(commitment(key, &self.nonce)[..].ct_eq(&self.commitment[..])) {
            return None;
        }
        let (body, tag) = self.ciphertext.split_at(32);
        let mut secret = Secret::default();
        secret.copy_from_slice(body);
        let tag: [u8; 16] = tag.try_into().expect("48 less 32 bytes");
        cipher(key, &self.nonce)
            .decrypt_inout_detached(&self.nonce.into(), aad, (&mut secret[..]).into(), &tag.into())
            .ok()?;
        Some(secret)
    }
}

/// HKDF-Expand (RFC 5869) with SHA-256 of a uniform key, for one use named by `info`.
pub(crate) fn expand(key: &Secret, info: &[&[u8]]) -> Secret {
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &key[..]);
    let mut out = Secret::default();
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out[..]))
        .expect("HKDF gives as many bytes as its hash");
    out
}

/// Fresh bytes from the provider's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Provider)?;
    Ok(bytes)
}

/// A fresh secret.
pub(crate) fn random_secret() -> Result<Secret, Error> {
    let mut secret = Secret::default();
    rand::fill(&mut secret[..]).map_err(|_| Error::Provider)?;
    Ok(secret)
}

fn cipher(key: &Secret, nonce: &[u8; 24]) -> XChaCha20Poly1305 {
    let key = expand(key, &[b"fleetseal-vault/1 seal", nonce]);
    XChaCha20Poly1305::new((&*key).into())
}

fn commitment(key: &Secret, nonce: &[u8; 24]) -> Secret {
    expand(key, &[b"fleetseal-vault/1 commitment", nonce])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_with_its_key_and_its_context_alone() {
        let (key, secret) = (random_secret().unwrap(), random_secret().unwrap());
        let sealed = Sealed::seal(&key, b"context", &secret).unwrap();
        assert!(*sealed.open(&key, b"context").unwrap() == *secret);
        assert!(sealed.open(&key, b"contexT").is_none());
        assert!(sealed.open(&random_secret().unwrap(), b"context").is_none());
    }

    #[test]
    fn a_ciphertext_without_the_commitment_of_its_key_is_refused() {
        let (key, secret) = (random_secret().unwrap(), random_secret().unwrap());
        let mut sealed = Sealed::seal(&key, b"", &secret).unwrap();
        sealed.commitment[31] ^= 1;
        assert!(sealed.open(&key, b"").is_none());
    }

    #[test]
    fn the_same_secret_never_seals_to_the_same_bytes() {
        let (key, secret) = (random_secret().unwrap(), random_secret().unwrap());
        let one = Sealed::seal(&key, b"", &secret).unwrap();
        let two = Sealed::seal(&key, b"", &secret).unwrap();
        assert!(one.nonce != two.nonce && one.ciphertext != two.ciphertext);
    }
}
