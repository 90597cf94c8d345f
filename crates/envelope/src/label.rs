//! The label: what a sealed ticket says, in the clear, for backend, bench and screens.

use std::ops::Deref;

use model::{Digest, ModelName, UnixTime};

use crate::{
    Error, Statement, TrustKeys, Verified,
    cbor::{self, Map, Reader, Writer},
    cose::{Object, Sign1},
    sha256,
};

/// A ticket's statement and which sealed ticket says it. Made with the ticket alone
/// ([`Ticket::issue`](crate::Ticket::issue)), so that the two never disagree.
///
/// Its fields have the numbers of the ticket's; 16 is absent, and 18 is the sealed ticket's SHA-256.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    pub(crate) statement: Statement,
    pub(crate) ticket: Digest,
}

impl Label {
    /// Verifies a label: signed by a ticket key that covers `model`, the device's, at `now`.
    ///
    /// # Errors
    /// The encoding, the key, its scope or the signature is not as it must be.
    pub fn verify(
        bytes: &[u8],
        model: &ModelName,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(bytes, Self::MAX)?;
        let key = trust.ticket_key(sign1.kid(), model, now)?;
        let label: Verified<Self> = sign1.verify(key)?;
        if let Some(installation) = label.action.installation() {
            trust.ticket_key(sign1.kid(), &installation.target.model, now)?;
        }
        label.statement.check()?;
        Ok(label)
    }

    /// Verifies a label of whatever model it names itself: that the device is of this model is the caller's
    /// next check.
    ///
    /// # Errors
    /// As [`Self::verify`]; or it is a hold, which names no model.
    pub fn verify_any(
        bytes: &[u8],
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let claimed: Self = Sign1::parse(bytes, Self::MAX)?.unverified()?;
        let hold = Error::Inconsistent { reason: "the label of a hold names no model" };
        let model = claimed.action.installation().map(|installation| installation.target.model.clone());
        Self::verify(bytes, &model.ok_or(hold)?, trust, now)
    }

    /// The SHA-256 of the sealed ticket.
    pub const fn ticket(&self) -> Digest {
        self.ticket
    }

    /// Whether `sealed` is the ticket that this is the label of.
    pub fn fits(&self, sealed: &[u8]) -> bool {
        sha256(sealed) == self.ticket
    }
}

impl Deref for Label {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

impl Object for Label {
    const TYP: &'static str = "fleetseal-label/1";
    const MAX: usize = 4096;

    fn write(&self, map: &mut Writer) {
        self.statement.write(map, None);
        map.key(18).bytes(self.ticket.as_bytes());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        let (statement, _) = Statement::read(map, false)?;
        let ticket = Digest::new(map.required(18, "ticket", Reader::fixed)?);
        Ok(Self { statement, ticket })
    }
}
