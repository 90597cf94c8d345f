//! Where a slot's key comes from, and how that stands in the key file.

use minicbor::{Decoder, Encoder};
use model::UnixTime;

use super::{Agreement, KeyringPart};
use crate::{
    Error, Params,
    file::{Malformed, Written, fixed, instant},
    sealed::{Secret, random},
    share::SetId,
};

/// Where a slot's key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotKind {
    /// A passphrase.
    Passphrase(Derivation),
    /// A passphrase, and a part in the keyring of one computer.
    Keyring(KeyringPart),
    /// A key in a token, and the token's PIN.
    Token(Box<Agreement>),
    /// Any `threshold` of `count` recovery shares.
    Shares {
        /// Which set of shares.
        set: SetId,
        /// How many shares open it.
        threshold: u8,
        /// How many were made.
        count: u8,
        /// When that many were entered and opened it. Nobody can rely on it before.
        proven_at: Option<UnixTime>,
    },
}

/// How a key comes of a passphrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Derivation {
    /// What it costs.
    pub params: Params,
    /// Makes it this slot's alone.
    pub salt: [u8; 16],
}

impl SlotKind {
    /// The kind as screens and logs say it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Keyring(_) => "keyring",
            Self::Token(_) => "token",
            Self::Shares { .. } => "shares",
        }
    }

    /// Whether one can rely on it: a set of shares only once enough of them have opened it, a keyring never, for
    /// it is gone with its computer. A token has opened it before it is kept.
    pub const fn counts(&self) -> bool {
        match self {
            Self::Passphrase(_) | Self::Token(_) => true,
            Self::Keyring(_) => false,
            Self::Shares { proven_at, .. } => proven_at.is_some(),
        }
    }

    /// What the keyring holds of it.
    pub(crate) const fn keyring_part(&self) -> Option<KeyringPart> {
        match self {
            Self::Keyring(part) => Some(*part),
            Self::Passphrase(_) | Self::Token(_) | Self::Shares { .. } => None,
        }
    }

    pub(super) fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        match self {
            Self::Passphrase(derivation) => {
                e.array(5)?.u8(1)?;
                derivation.write(e)?;
            }
            Self::Keyring(part) => {
                e.array(6)?.u8(2)?;
                part.derivation.write(e)?;
                e.bytes(&part.entry)?;
            }
            Self::Token(agreement) => {
                e.array(5)?.u8(3)?;
                agreement.write(e)?;
            }
            Self::Shares { set, threshold, count, proven_at } => {
                e.array(5)?.u8(4)?.bytes(set.as_bytes())?.u8(*threshold)?.u8(*count)?;
                e.u64(proven_at.map_or(0, UnixTime::as_secs))?;
            }
        }
        Ok(())
    }

    pub(super) fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let items = d.array()?;
        Ok(match (d.u8()?, items) {
            (1, Some(5)) => Self::Passphrase(Derivation::read(d)?),
            (2, Some(6)) => Self::Keyring(KeyringPart { derivation: Derivation::read(d)?, entry: fixed(d)? }),
            (3, Some(5)) => Self::Token(Box::new(Agreement::read(d)?)),
            (4, Some(5)) => {
                let (set, threshold, count) = (SetId::new(fixed(d)?), d.u8()?, d.u8()?);
                let proven_at = Some(instant(d)?).filter(|at| *at != UnixTime::EPOCH);
                Self::Shares { set, threshold, count, proven_at }
            }
            _ => return Err(Malformed("a slot of unknown kind")),
        })
    }

    /// The kind without what changes while its key stays the same.
    pub(super) fn fixed(&self) -> Self {
        match self.clone() {
            Self::Shares { set, threshold, count, proven_at: _ } => {
                Self::Shares { set, threshold, count, proven_at: None }
            }
            kind @ (Self::Passphrase(_) | Self::Keyring(_) | Self::Token(_)) => kind,
        }
    }
}

impl Derivation {
    /// A derivation with a fresh salt.
    pub(crate) fn new(params: Params) -> Result<Self, Error> {
        Ok(Self { params, salt: random()? })
    }

    /// The key that `passphrase` gives.
    pub(crate) fn derive(&self, passphrase: &str) -> Result<Secret, Error> {
        self.params.derive(passphrase.as_bytes(), &self.salt)
    }

    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        let (memory, passes, lanes) = self.params.parts();
        e.u32(memory)?.u32(passes)?.u32(lanes)?.bytes(&self.salt)?;
        Ok(())
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let params = Params::new(d.u32()?, d.u32()?, d.u32()?)
            .map_err(|_| Malformed("derivation parameters outside the bounds"))?;
        Ok(Self { params, salt: fixed(d)? })
    }
}
