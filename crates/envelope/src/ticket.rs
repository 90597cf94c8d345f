//! The ticket: the signed and sealed statement that one device shall install one artifact.

use std::{fmt, ops::Deref, sync::Arc};

use ed25519_dalek::Signature;
use model::{
    Component, DeviceId, Digest, FleetId, HardwareRevision, InstallerName, KemKeyId, ModelName, RolloutId,
    Seconds, SecurityCounter, SpkiDigest, TargetName, UnixTime, Version,
};
use zeroize::Zeroizing;

use crate::{
    Addressee, ContentKey, Error, Identity, KemPublicKey, KemSecret, Label, PublicKey, Recipient, Signer,
    TrustKeys, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1, Unsigned},
    seal, sha256, signer,
};

/// What a ticket says, but for the content key: all of it may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// The fleet.
    pub fleet: FleetId,
    /// The one device.
    pub device: DeviceId,
    /// The device's keys. Only a deputy's ticket may leave them out.
    pub identity: Option<Identity>,
    /// The campaign.
    pub rollout: RolloutId,
    /// The part of the device.
    pub component: Component,
    /// Rises with every ticket for this device and component: milliseconds of the signer's clock, and
    /// above the last it knows.
    pub seq: u64,
    /// When it was signed.
    pub issued_at: UnixTime,
    /// From when on it counts.
    pub not_before: UnixTime,
    /// Until when it counts.
    pub not_after: UnixTime,
    /// What to do.
    pub action: Action,
}

/// What a device shall do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Install something newer.
    Install(Box<Installation>),
    /// Stop what was delivered, before the installer is fed.
    Hold,
    /// Install the version that it already runs, once more.
    Reinstall(Box<Installation>),
}

/// What a device shall install, and where it finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installation {
    /// The artifact, as the targets metadata names it too.
    pub target: Target,
    /// The lowest version of the targets metadata that the device must have seen.
    pub min_targets_version: u64,
    /// The artifact as sealed.
    pub payload: SealedPayload,
    /// The bench that opens this ticket in the device's stead.
    pub deputy: Option<KemKeyId>,
}

/// The plaintext artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its path in the targets metadata.
    pub name: TargetName,
    /// Its version.
    pub version: Version,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// The product type it is for.
    pub model: ModelName,
    /// The hardware revision it is for.
    pub hardware_revision: HardwareRevision,
    /// What writes it.
    pub installer: InstallerName,
}

/// The artifact as sealed once (OTAP).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedPayload {
    /// The OTAP header.
    pub header: [u8; 32],
    /// Length of the ciphertext in bytes, header included.
    pub length: u64,
    /// The SHA-256 of the segment list.
    pub segment_list: Digest,
}

/// A statement and, unless it is a hold, the content key. Never logged.
#[derive(PartialEq, Eq)]
pub struct Ticket {
    statement: Statement,
    key: Option<Arc<ContentKey>>,
}

/// A ticket ready to travel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// The signed ticket, sealed to the device or the bench.
    pub sealed: Vec<u8>,
    /// The SHA-256 of [`Self::sealed`], by which reports and labels name it.
    pub digest: Digest,
    /// The signed label that travels beside it.
    pub label: Vec<u8>,
}

/// The longest life of a ticket after its `not_before`.
pub const LIFE: Seconds = Seconds::days(14);
/// The longest life of a ticket in an offline bundle.
pub const LIFE_IN_BUNDLE: Seconds = Seconds::days(30);

/// The longest sealed ticket.
const MAX_SEALED: usize = 4096 + 512;

impl Ticket {
    /// A ticket that says `statement`; `key` opens its payload.
    ///
    /// # Errors
    /// A hold has a key, or an installation has none; or [`Statement::check`] refuses.
    pub fn new(statement: Statement, key: Option<Arc<ContentKey>>) -> Result<Self, Error> {
        statement.check()?;
        if statement.action.installation().is_some() != key.is_some() {
            return Err(Error::Inconsistent {
                reason: "a content key goes with an installation, and only with one",
            });
        }
        Ok(Self { statement, key })
    }

    /// The key that opens the payload; none in a hold.
    pub fn content_key(&self) -> Option<&ContentKey> {
        self.key.as_deref()
    }

    /// The ticket signed by a ticket key, not sealed yet: a secret.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Zeroizing<Vec<u8>>, Error> {
        cose::sign(self, signer).map(Zeroizing::new)
    }

    /// Verifies a ticket that was opened: signed by a ticket key that covers `me.model` (and the
    /// target's) at `now`, and for `me`. Its times and `seq` are the caller's next checks.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        signed: &[u8],
        me: &Addressee,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(signed, Self::MAX)?;
        let key = trust.ticket_key(sign1.kid(), &me.model, now)?;
        let ticket: Verified<Self> = sign1.verify(key)?;
        if let Some(installation) = ticket.action.installation() {
            trust.ticket_key(sign1.kid(), &installation.target.model, now)?;
        }
        ticket.statement.check()?;
        ticket.addressed_to(me)?;
        Ok(ticket)
    }

    /// Opens a sealed ticket with the addressee's KEM key and verifies it ([`Self::verify`]).
    ///
    /// # Errors
    /// It is not sealed to this key and addressee, or does not verify.
    pub fn open(
        sealed: &[u8],
        secret: &KemSecret,
        me: &Addressee,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let signed = seal::open(Self::TYP, secret, me.recipient(), sealed, MAX_SEALED)?;
        Self::verify(&signed, me, trust, now)
    }

    /// Signs, seals and labels this one ticket; see [`issue_many`].
    ///
    /// # Errors
    /// As [`issue_many`].
    pub fn issue(&self, signer: &dyn Signer, recipient: &KemPublicKey) -> Result<Issued, Error> {
        let mut issued = issue_many(std::slice::from_ref(self), signer, &[*recipient])?;
        issued.pop().ok_or(Error::Seal)
    }
}

/// Signs, seals and labels tickets, each to the recipient at the same place, and verifies all
/// signatures together before it hands out any. One thread; callers split large rollouts across cores.
///
/// # Errors
/// The lengths differ, a recipient is not the one that its ticket names, the signer is no Ed25519 key,
/// refused, or signed wrongly, or a recipient's key is of small order.
pub fn issue_many(
    tickets: &[Ticket],
    key: &dyn Signer,
    recipients: &[KemPublicKey],
) -> Result<Vec<Issued>, Error> {
    if tickets.len() != recipients.len() {
        return Err(Error::Inconsistent { reason: "as many recipients as tickets" });
    }
    let public = key.public_key();
    let PublicKey::Ed25519(bytes) = public else {
        return Err(Error::Key { kind: "Ed25519" });
    };
    let verifier = signer::ed25519(&bytes)?;
    let mut messages = Vec::with_capacity(2 * tickets.len());
    let mut signatures = Vec::with_capacity(2 * tickets.len());
    let mut sign = |unsigned: Unsigned| -> Result<Vec<u8>, Error> {
        let message = unsigned.message();
        let signature = key.sign(&message)?;
        messages.push(message);
        signatures.push(Signature::from_bytes(&signature));
        Ok(unsigned.with(&signature))
    };
    let issued = tickets
        .iter()
        .zip(recipients)
        .map(|(ticket, to)| {
            let recipient = ticket.recipient(to)?;
            let signed = Zeroizing::new(sign(Unsigned::new(ticket, &public)?)?);
            let sealed = seal::seal(Ticket::TYP, to, recipient, &signed)?;
            let digest = sha256(&sealed);
            let label = sign(Unsigned::new(
                &Label { statement: ticket.statement.clone(), ticket: digest },
                &public,
            )?)?;
            Ok(Issued { sealed, digest, label })
        })
        .collect::<Result<_, Error>>()?;
    let messages: Vec<&[u8]> = messages.iter().map(|message| message.as_slice()).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &vec![verifier; messages.len()])
        .map_err(|_| Error::Signature)?;
    Ok(issued)
}

impl Statement {
    /// Checks what every statement must keep: keys or a deputy, and a life of at most
    /// [`LIFE_IN_BUNDLE`].
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), Error> {
        if self.identity.is_none() && self.deputy().is_none() {
            return Err(Error::Inconsistent {
                reason: "only a deputy's ticket may leave out the device's keys",
            });
        }
        if self.not_after < self.not_before {
            return Err(Error::Inconsistent { reason: "a ticket lapses before it counts" });
        }
        if self.not_after.since(self.not_before) > LIFE_IN_BUNDLE {
            return Err(Error::Inconsistent { reason: "a ticket lives too long" });
        }
        Ok(())
    }

    /// Checks the times at `now`, and that the life is at most `longest` ([`LIFE`], or
    /// [`LIFE_IN_BUNDLE`] for a bundle).
    ///
    /// # Errors
    /// It does not count yet, or no longer, or lives too long.
    pub fn in_time(&self, now: UnixTime, longest: Seconds) -> Result<(), Error> {
        if self.not_after.since(self.not_before) > longest {
            return Err(Error::Inconsistent { reason: "a ticket lives too long" });
        }
        if now < self.not_before {
            return Err(Error::NotYet { not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(Error::Lapsed { not_after: self.not_after });
        }
        Ok(())
    }

    /// The bench that opens it in the device's stead.
    pub fn deputy(&self) -> Option<KemKeyId> {
        self.action.installation().and_then(|installation| installation.deputy)
    }

    /// Whom it is to be sealed to, if `key` is that one's.
    fn recipient(&self, key: &KemPublicKey) -> Result<Recipient, Error> {
        let (expected, recipient) = match (self.deputy(), self.identity) {
            (Some(bench), _) => (bench, Recipient::Key(bench)),
            (None, Some(identity)) => (identity.kem, Recipient::Device(self.device)),
            (None, None) => return Err(Error::Foreign { field: "kem" }),
        };
        same("kem", &key.id(), &expected)?;
        Ok(recipient)
    }

    fn addressed_to(&self, me: &Addressee) -> Result<(), Error> {
        same("fleet", &self.fleet, &me.fleet)?;
        same("device_id", &self.device, &me.device)?;
        same("deputy", &self.deputy(), &me.deputy)?;
        match (self.identity, me.identity) {
            (Some(named), Some(mine)) => {
                same("kem", &named.kem, &mine.kem)?;
                same("spki", &named.spki, &mine.spki)
            }
            (None, _) if self.deputy().is_some() => Ok(()),
            _ => Err(Error::Foreign { field: "spki" }),
        }
    }

    pub(crate) fn write(&self, map: &mut Writer, key: Option<&ContentKey>) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).bytes(self.device.as_bytes());
        if let Some(identity) = &self.identity {
            map.key(4).bytes(identity.spki.as_bytes());
            map.key(5).bytes(identity.kem.as_bytes());
        }
        map.key(6).bytes(self.rollout.as_bytes());
        map.key(7).text(self.component.as_str());
        map.key(8).uint(self.seq);
        map.key(9).uint(self.issued_at.as_secs());
        map.key(10).uint(self.not_before.as_secs());
        map.key(11).uint(self.not_after.as_secs());
        map.key(12).uint(self.action.code());
        let Some(installation) = self.action.installation() else { return };
        map.key(13).map(|map| installation.target.write(map));
        map.key(14).uint(installation.min_targets_version);
        map.key(15).map(|map| {
            map.key(1).bytes(&installation.payload.header);
            map.key(2).uint(installation.payload.length);
            map.key(3).bytes(installation.payload.segment_list.as_bytes());
        });
        if let Some(key) = key {
            map.key(16).bytes(key.as_bytes());
        }
        if let Some(deputy) = &installation.deputy {
            map.key(17).bytes(deputy.as_bytes());
        }
    }

    /// Reads a statement and, where it is part of a ticket, the content key.
    pub(crate) fn read(
        map: &mut Map<'_, '_>,
        with_key: bool,
    ) -> Result<(Self, Option<ContentKey>), cbor::Error> {
        let fleet = FleetId::new(map.required(2, "fleet", Reader::fixed)?);
        let device = DeviceId::new(map.required(3, "device_id", Reader::fixed)?);
        let spki = map.optional(4, "spki", Reader::fixed)?.map(SpkiDigest::new);
        let kem = map.optional(5, "kem", Reader::fixed)?.map(KemKeyId::new);
        let identity = match (spki, kem) {
            (Some(spki), Some(kem)) => Some(Identity { spki, kem }),
            (None, None) => None,
            (Some(_), None) => return Err(cbor::Error::Missing { field: "kem" }),
            (None, Some(_)) => return Err(cbor::Error::Missing { field: "spki" }),
        };
        let rollout = RolloutId::new(map.required(6, "rollout", Reader::fixed)?);
        let component = map.required(7, "component", Reader::parsed)?;
        let seq = map.required(8, "seq", Reader::uint)?;
        let issued_at = map.required(9, "issued_at", Reader::time)?;
        let not_before = map.required(10, "not_before", Reader::time)?;
        let not_after = map.required(11, "not_after", Reader::time)?;
        let action = map.required(12, "action", Reader::uint)?;
        let (action, key) = if action == HOLD {
            (Action::Hold, None)
        } else {
            let target = map.required(13, "target", |target| target.map(Target::read))?;
            let min_targets_version = map.required(14, "min_targets_version", Reader::uint)?;
            let payload = map.required(15, "payload", |payload| payload.map(SealedPayload::read))?;
            let key = if with_key {
                let bytes = Zeroizing::new(map.required(16, "cek", Reader::fixed)?);
                Some(ContentKey::from_bytes(&bytes))
            } else {
                None
            };
            let deputy = map.optional(17, "deputy", Reader::fixed)?.map(KemKeyId::new);
            let installation = Box::new(Installation { target, min_targets_version, payload, deputy });
            match action {
                INSTALL => (Action::Install(installation), key),
                REINSTALL => (Action::Reinstall(installation), key),
                _ => return Err(cbor::Error::Field { field: "action" }),
            }
        };
        let statement = Self {
            fleet,
            device,
            identity,
            rollout,
            component,
            seq,
            issued_at,
            not_before,
            not_after,
            action,
        };
        Ok((statement, key))
    }
}

const INSTALL: u64 = 1;
const HOLD: u64 = 2;
const REINSTALL: u64 = 3;

impl Action {
    /// What is to be installed; nothing in a hold.
    pub fn installation(&self) -> Option<&Installation> {
        match self {
            Self::Install(installation) | Self::Reinstall(installation) => Some(installation),
            Self::Hold => None,
        }
    }

    const fn code(&self) -> u64 {
        match self {
            Self::Install(_) => INSTALL,
            Self::Hold => HOLD,
            Self::Reinstall(_) => REINSTALL,
        }
    }
}

impl Target {
    fn write(&self, map: &mut Writer) {
        map.key(1).text(self.name.as_str());
        map.key(2).text(&self.version.to_string());
        map.key(3).uint(self.security_counter.0.into());
        map.key(4).uint(self.length);
        map.key(5).bytes(self.sha256.as_bytes());
        map.key(6).text(self.model.as_str());
        map.key(7).text(self.hardware_revision.as_str());
        map.key(8).text(self.installer.as_str());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            name: map.required(1, "target name", Reader::parsed)?,
            version: map.required(2, "version", Reader::parsed)?,
            security_counter: map.required(3, "security_counter", |counter| {
                counter.uint()?.try_into().map(SecurityCounter).map_err(|_| cbor::Error::Value)
            })?,
            length: map.required(4, "length", Reader::uint)?,
            sha256: Digest::new(map.required(5, "sha256", Reader::fixed)?),
            model: map.required(6, "model", Reader::parsed)?,
            hardware_revision: map.required(7, "hardware_revision", Reader::parsed)?,
            installer: map.required(8, "installer", Reader::parsed)?,
        })
    }
}

impl SealedPayload {
    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            header: map.required(1, "header", Reader::fixed)?,
            length: map.required(2, "payload length", Reader::uint)?,
            segment_list: Digest::new(map.required(3, "segment_list", Reader::fixed)?),
        })
    }
}

impl Object for Ticket {
    const TYP: &'static str = "fleetseal-ticket/1";
    const MAX: usize = 4096;

    fn write(&self, map: &mut Writer) {
        self.statement.write(map, self.content_key());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        let (statement, key) = Statement::read(map, true)?;
        Ok(Self { statement, key: key.map(Arc::new) })
    }
}

impl Deref for Ticket {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}, seq {})", self.device, self.seq)
    }
}

#[cfg(test)]
mod tests;
