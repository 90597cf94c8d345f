//! What a person brings to open a slot.

use std::fmt;

use crate::{Error, Share, SlotKind, file::KeyFile, sealed::Secret, share::combine, slot::Slot};

/// What opens a slot of a vault.
pub enum Opener<'a> {
    /// A passphrase.
    Passphrase(&'a str),
    /// Recovery shares, at least as many as their set asks for.
    Shares(&'a [Share]),
}

impl Opener<'_> {
    /// Refuses what can open none of these slots, before it counts as a try.
    pub(crate) fn check(&self, file: &KeyFile) -> Result<(), Error> {
        let kinds = || file.slots.iter().map(|slot| &slot.info.kind);
        let fits = match self {
            Self::Passphrase(_) => kinds().any(|kind| matches!(kind, SlotKind::Passphrase(_))),
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
                true
            }
        };
        if fits { Ok(()) } else { Err(Error::NoSlot { kind: self.as_str() }) }
    }

    /// The key that this gives for `slot`; nothing if it is not for slots of this kind.
    pub(crate) fn key(&self, slot: &Slot) -> Result<Option<Secret>, Error> {
        match (self, &slot.info.kind) {
            (Self::Passphrase(passphrase), SlotKind::Passphrase(derivation)) => {
                derivation.derive(passphrase).map(Some)
            }
            (Self::Shares(shares), SlotKind::Shares { set, threshold, .. }) => {
                let of_set = |share: &&Share| share.set() == *set;
                let shares: Vec<&Share> = shares.iter().filter(of_set).take((*threshold).into()).collect();
                if shares.is_empty() { Ok(None) } else { combine(&shares).map(Some) }
            }
            (Self::Passphrase(_) | Self::Shares(_), _) => Ok(None),
        }
    }

    /// Why it opens nothing.
    pub(crate) fn refused(&self, wait: model::Seconds) -> Error {
        match self {
            Self::Passphrase(_) => Error::WrongPassphrase { wait },
            Self::Shares(_) => Error::SharesWrong { wait },
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Shares(_) => "shares",
        }
    }
}

impl fmt::Debug for Opener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({})", self.as_str())
    }
}
