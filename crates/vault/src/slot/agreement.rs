//! How a key in a token gives a slot's key.
//!
//! The token's key and a point made for this slot alone agree on a secret (ECDH, P-256): whoever made the
//! point knew the secret once and forgot it; from then on only the token can compute it. What the token gives
//! out says nothing of its key and nothing of other slots.

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use minicbor::{Decoder, Encoder};

use crate::{
    Error, TokenKey, TokenSerial, Tokens,
    file::{Malformed, Written, fixed},
    key::mac,
    sealed::Secret,
    token::{GoOn, Login, TokenPlace},
};

/// How a key in a token gives a slot's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// Where the key is.
    pub(crate) place: TokenPlace,
    /// The key's public half: a point on P-256, uncompressed. Its token is told by it.
    pub(crate) public: [u8; 65],
    /// The point that the key agrees with, as long.
    pub(crate) point: [u8; 65],
}

impl Agreement {
    /// A fresh point for this key, and the slot's key that they give.
    pub(crate) fn new(serial: &TokenSerial, key: TokenKey) -> Result<(Self, Secret), Error> {
        let public: [u8; 65] = key.public.try_into().map_err(|_| Error::NotInToken)?;
        let private = PrivateKey::generate(&ECDH_P256).map_err(|_| Error::Provider)?;
        let point = private.compute_public_key().map_err(|_| Error::Provider)?;
        let point = point.as_ref().try_into().map_err(|_| Error::Provider)?;
        let made = Self { place: TokenPlace { serial: serial.clone(), id: key.id }, public, point };
        let other = UnparsedPublicKey::new(&ECDH_P256, &public);
        let key = agreement::agree(&private, other, Error::Provider, |shared| {
            let mut agreed = Secret::default();
            agreed.copy_from_slice(shared);
            Ok(made.key(&agreed))
        })?;
        Ok((made, key))
    }

    /// The slot's key, computed by its token.
    pub(crate) fn open(&self, tokens: &Tokens, pin: &str, go_on: GoOn<'_>) -> Result<Secret, Error> {
        let login = Login { place: &self.place, pin };
        Ok(self.key(&tokens.agree(&login, &self.public, &self.point, go_on)?))
    }

    /// The token that its key lives in.
    pub fn serial(&self) -> &TokenSerial {
        &self.place.serial
    }

    /// The public half of its key: a point on P-256, uncompressed.
    pub fn public(&self) -> &[u8; 65] {
        &self.public
    }

    /// HKDF-Extract (RFC 5869) without a salt, bound to both points.
    fn key(&self, agreed: &Secret) -> Secret {
        let parts = [b"fleetseal-vault/1 slot token", &agreed[..], &self.point, &self.public];
        mac(&Secret::default(), &parts).into()
    }

    pub(super) fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.str(self.place.serial.as_str())?.bytes(&self.place.id)?.bytes(&self.public)?.bytes(&self.point)?;
        Ok(())
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let serial = d.str()?.parse().map_err(|_| Malformed("a token's serial number is none"))?;
        let place = TokenPlace { serial, id: d.bytes()?.to_vec() };
        Ok(Self { place, public: fixed(d)?, point: fixed(d)? })
    }
}
