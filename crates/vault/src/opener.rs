//! What a person brings to open a slot.

use std::fmt;

use crate::{Error, Share, SlotKind, TokenSerial, Tokens, file::KeyFile, sealed::Secret, share::combine};

/// What opens a slot of a vault.
pub enum Opener<'a> {
    /// A passphrase.
    Passphrase(&'a str),
    /// A passphrase, together with this computer's keyring.
    Keyring(&'a str),
    /// Recovery shares, at least as many as their set asks for.
    Shares(&'a [Share]),
    /// A token and its PIN.
    Token {
        /// Where it is looked for.
        tokens: &'a Tokens,
        /// Which one.
        serial: &'a TokenSerial,
        /// Its PIN.
        pin: &'a str,
    },
}

impl Opener<'_> {
    /// Refuses what can open none of these slots, before it counts as a try.
    pub(crate) fn check(&self, file: &KeyFile) -> Result<(), Error> {
        let kinds = || file.slots.iter().map(|slot| &slot.info.kind);
        match self {
            Self::Passphrase(_) | Self::Keyring(_) => {}
            Self::Token { serial, .. } => {
                let known = |kind: &SlotKind| match kind {
                    SlotKind::Token(agreement) => Some(agreement.serial().clone()),
                    SlotKind::Passphrase(_) | SlotKind::Keyring(_) | SlotKind::Shares { .. } => None,
                };
                let known: Vec<TokenSerial> = kinds().filter_map(known).collect();
                if !known.is_empty() && !known.contains(serial) {
                    return Err(Error::TokenForeign { serial: (*serial).clone(), known });
                }
            }
            Self::Shares(shares) => {
                let Some(first) = shares.first() else {
                    return Err(Error::SharesTooFew { have: 0, need: 2 });
                };
                for (at, share) in shares.iter().enumerate() {
                    if (share.set(), share.threshold()) != (first.set(), first.threshold()) {
                        return Err(Error::SharesMixed);
                    }
                    if shares.iter().take(at).any(|before| before.index() == share.index()) {
                        return Err(Error::ShareTwice { index: share.index() });
                    }
                }
                let of_set =
                    |kind: &SlotKind| matches!(kind, SlotKind::Shares { set, .. } if *set == first.set());
                if !kinds().any(of_set) {
                    return Err(Error::SharesForeign { set: first.set() });
                }
                if shares.len() < first.threshold().into() {
                    return Err(Error::SharesTooFew { have: shares.len(), need: first.threshold().into() });
                }
            }
        }
        if kinds().any(|kind| self.fits(kind)) { Ok(()) } else { Err(Error::NoSlot { kind: self.as_str() }) }
    }

    /// Whether this could open slots of this kind.
    pub(crate) fn fits(&self, kind: &SlotKind) -> bool {
        match (self, kind) {
            (Self::Passphrase(_), SlotKind::Passphrase(_)) | (Self::Keyring(_), SlotKind::Keyring(_)) => true,
            (Self::Shares(shares), SlotKind::Shares { set, .. }) => {
                shares.iter().any(|share| share.set() == *set)
            }
            (Self::Token { serial, .. }, SlotKind::Token(agreement)) => agreement.serial() == *serial,
            (Self::Passphrase(_) | Self::Keyring(_) | Self::Shares(_) | Self::Token { .. }, _) => false,
        }
    }

    /// The key that this gives for a slot of this kind.
    pub(crate) fn key(&self, kind: &SlotKind) -> Result<Secret, Error> {
        match (self, kind) {
            (Self::Passphrase(passphrase), SlotKind::Passphrase(derivation)) => derivation.derive(passphrase),
            (Self::Keyring(passphrase), SlotKind::Keyring(part)) => part.open(passphrase),
            (Self::Shares(shares), SlotKind::Shares { set, threshold, .. }) => {
                let of_set = |share: &&Share| share.set() == *set;
                let shares: Vec<&Share> = shares.iter().filter(of_set).take((*threshold).into()).collect();
                combine(&shares)
            }
            (Self::Token { tokens, pin, .. }, SlotKind::Token(agreement)) => {
                agreement.open(tokens, pin, &|| Ok(()))
            }
            (Self::Passphrase(_) | Self::Keyring(_) | Self::Shares(_) | Self::Token { .. }, _) => {
                Err(Error::NoSlot { kind: self.as_str() })
            }
        }
    }

    /// The token that is asked for its PIN.
    pub(crate) fn token(&self) -> Option<&TokenSerial> {
        match self {
            Self::Token { serial, .. } => Some(serial),
            Self::Passphrase(_) | Self::Keyring(_) | Self::Shares(_) => None,
        }
    }

    /// Why it opens nothing.
    pub(crate) fn refused(&self, wait: model::Seconds) -> Error {
        match self {
            Self::Passphrase(_) | Self::Keyring(_) => Error::WrongPassphrase { wait },
            Self::Shares(_) => Error::SharesWrong { wait },
            // The very key agreed on another secret: the slot was edited.
            Self::Token { serial, .. } => Error::TokenKeyOther { serial: (*serial).clone() },
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Keyring(_) => "keyring",
            Self::Shares(_) => "shares",
            Self::Token { .. } => "token",
        }
    }
}

impl fmt::Debug for Opener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({})", self.as_str())
    }
}
