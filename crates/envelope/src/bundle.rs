//! The offline bundle: all that a visit without a network needs, in one file.
//!
//! ```text
//! file  = "FLSB" | 1 | index length u32be | index | the parts, one after the other
//! index = `fleetseal-bundle/1`, by a ticket key:
//!         1 typ | 2 fleet b16 | 3 issued_at | 4 expires | 5 [[kind, length, SHA-256 b32], ...]
//! parts = root metadata (1), ascending | targets (2) | trust/keys.cbor (3) | revocation list (4), if any |
//!         for each device: certificate (5), label (6), sealed ticket (7) |
//!         segment lists (8) | sealed payloads (9), in the order of their lists
//! ```
//!
//! What is small comes first, so that a stream is refused before a payload was read. Payloads are checked
//! segment by segment, by the list that each ticket names.

use model::{Digest, FleetId, PersonName, UnixTime};

use crate::{
    Error as ObjectError, Label, RevocationList, Signer, TrustKeys, Verified,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1},
    device::{Basis, Refusal},
    sha256,
    ticket::LIFE_IN_BUNDLE,
    trust::KeyMaterial,
    tuf::{self, Bundled, TrustedState},
};

/// What a part is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PartKind {
    /// Root metadata.
    Root = 1,
    /// Targets metadata.
    Targets = 2,
    /// `trust/keys.cbor`.
    TrustKeys = 3,
    /// `fleetseal-revoked/1`.
    Revoked = 4,
    /// A device's certificate, DER.
    Certificate = 5,
    /// The label of its ticket.
    Label = 6,
    /// Its sealed ticket.
    Ticket = 7,
    /// The SHA-256 of each segment of a payload.
    SegmentList = 8,
    /// A sealed payload (OTAP).
    Payload = 9,
}

/// One part, as the index names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// The index of a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// The fleet.
    pub fleet: FleetId,
    /// When it was made: its metadata must have been valid then.
    pub issued_at: UnixTime,
    /// Until when it counts.
    pub expires: UnixTime,
    parts: Vec<Part>,
}

/// A device in a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its certificate, DER. Who holds the roots verifies it.
    pub certificate: Vec<u8>,
    /// What its ticket says.
    pub label: Verified<Label>,
    /// The ticket itself, sealed.
    pub ticket: Vec<u8>,
}

/// A bundle whose every small part was verified.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its index.
    pub index: Verified<Bundle>,
    /// The metadata and keys to decide by.
    pub basis: Basis,
    /// Who is revoked.
    pub revoked: Option<Verified<RevocationList>>,
    /// For whom it is.
    pub devices: Vec<Entry>,
    /// The segment lists, in the order of their payloads.
    pub segment_lists: Vec<Vec<u8>>,
    /// Whose ticket key signed its index.
    pub made_by: PersonName,
}

/// Why a bundle is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no bundle, or of a version that is not known.
    #[error("not an offline bundle of a version that is known")]
    Format,
    /// The parts are not those of a bundle, or not in their order.
    #[error("the parts are not those of a bundle in their order")]
    Parts,
    /// A part has other bytes than the index names.
    #[error("part {part} has other bytes than were signed for")]
    Damaged {
        /// Its place in the index, from 0.
        part: usize,
    },
    /// A label goes with another ticket.
    #[error("a label goes with another ticket than the one that follows it")]
    Label,
    /// The metadata.
    #[error("the bundle's metadata does not verify")]
    Metadata(#[from] tuf::Error),
    /// The trusted keys.
    #[error("the bundle's trusted keys do not verify")]
    Keys(#[from] Refusal),
    /// The index, a label or the revocation list.
    #[error("a signed object of the bundle does not verify")]
    Object(#[from] ObjectError),
}

const MAGIC: [u8; 5] = *b"FLSB\x01";
/// The longest part but a payload, in bytes.
const MAX_SMALL: u64 = 17 << 20;

impl PartKind {
    const fn from_wire(kind: u64) -> Option<Self> {
        Some(match kind {
            1 => Self::Root,
            2 => Self::Targets,
            3 => Self::TrustKeys,
            4 => Self::Revoked,
            5 => Self::Certificate,
            6 => Self::Label,
            7 => Self::Ticket,
            8 => Self::SegmentList,
            9 => Self::Payload,
            _ => return None,
        })
    }
}

impl Part {
    /// The part that these bytes are.
    pub fn of(kind: PartKind, bytes: &[u8]) -> Self {
        Self { kind, length: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

impl Bundle {
    /// How long what stands before the index is.
    pub const HEAD: usize = MAGIC.len() + 4;

    /// An index of these parts.
    ///
    /// # Errors
    /// They are not those of a bundle in their order, or it would live too long.
    pub fn new(
        fleet: FleetId,
        issued_at: UnixTime,
        expires: UnixTime,
        parts: Vec<Part>,
    ) -> Result<Self, Error> {
        let bundle = Self { fleet, issued_at, expires, parts };
        bundle.check()?;
        Ok(bundle)
    }

    /// Signs the index with a ticket key: head and index, as they begin the file.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        let index = cose::sign(self, signer)?;
        let length = u32::try_from(index.len()).map_err(|_| Error::Format)?;
        Ok([&MAGIC[..], &length.to_be_bytes(), &index].concat())
    }

    /// How long the index after this head is, in bytes.
    ///
    /// # Errors
    /// It is no bundle.
    pub fn index_length(head: &[u8; Self::HEAD]) -> Result<usize, Error> {
        let (magic, length) = head.split_at(MAGIC.len());
        let length = u32::from_be_bytes(length.try_into().map_err(|_| Error::Format)?) as usize;
        if magic != MAGIC || length > Self::MAX + 256 { Err(Error::Format) } else { Ok(length) }
    }

    /// Reads an index without believing it: which parts to read. [`Self::open`] verifies it.
    ///
    /// # Errors
    /// It is not in the encoding that is taken, or no index.
    pub fn peek(index: &[u8]) -> Result<Self, Error> {
        let bundle: Self = Sign1::parse(index, Self::MAX)?.unverified()?;
        bundle.check()?;
        Ok(bundle)
    }

    /// Verifies a bundle up to its payloads: `small` are the contents of the parts before them. The metadata
    /// must follow on `state`, which is advanced only if all of it is right; the revocation list has number
    /// `least_revoked` or above. `now` is this computer's time.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn open(
        index: &[u8],
        small: &[Vec<u8>],
        fleet: FleetId,
        state: &mut TrustedState,
        least_revoked: u64,
        now: UnixTime,
    ) -> Result<Opened, Error> {
        let claimed = Self::peek(index)?;
        if claimed.small().count() != small.len() {
            return Err(Error::Parts);
        }
        for (part, (named, bytes)) in claimed.parts.iter().zip(small).enumerate() {
            if Part::of(named.kind, bytes) != *named {
                return Err(Error::Damaged { part });
            }
        }
        let of = |kind| {
            let parts = claimed.parts.iter().zip(small);
            parts.filter(move |(part, _)| part.kind == kind).map(|(_, bytes)| bytes.as_slice())
        };
        let one = |kind| of(kind).next().ok_or(Error::Parts);

        let mut next = state.clone();
        let roots: Vec<&[u8]> = of(PartKind::Root).collect();
        let bundled = Bundled { issued_at: claimed.issued_at, expires: claimed.expires };
        let targets = next.accept_bundle(&roots, one(PartKind::Targets)?, bundled)?;
        let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
        let keys = targets.target(&name).ok_or(Refusal::TrustKeysMismatch)?;
        let keys = keys.verify(one(PartKind::TrustKeys)?.to_vec())?;
        let basis = Basis::new(targets, &keys)?;

        // When it was made is a floor: a clock that is behind lets nothing count for longer.
        let now = now.max(next.time_floor()).max(claimed.issued_at);
        let keys = basis.keys();
        let labels = of(PartKind::Label).map(|label| Label::verify_any(label, keys, now));
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let (index, made_by) = Self::verify(index, &labels, keys, now)?;
        if index.fleet != fleet {
            return Err(ObjectError::Foreign { field: "fleet" }.into());
        }
        let mut devices = Vec::with_capacity(labels.len());
        let parts = of(PartKind::Certificate).zip(of(PartKind::Ticket));
        for (label, (certificate, ticket)) in labels.into_iter().zip(parts) {
            if !label.fits(ticket) || label.fleet != fleet {
                return Err(Error::Label);
            }
            devices.push(Entry { certificate: certificate.to_vec(), label, ticket: ticket.to_vec() });
        }
        let list = of(PartKind::Revoked).next();
        let revoked = list
            .map(|list| RevocationList::verify(list, fleet, least_revoked, keys, claimed.issued_at))
            .transpose()?;
        if revoked.is_none() && least_revoked > 0 {
            return Err(ObjectError::Inconsistent { reason: "the revocation list was left out" }.into());
        }
        let segment_lists = of(PartKind::SegmentList).map(<[u8]>::to_vec).collect();
        *state = next;
        Ok(Opened { index, basis, revoked, devices, segment_lists, made_by })
    }

    /// The parts that come before the payloads.
    pub fn small(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind != PartKind::Payload)
    }

    /// The payloads.
    pub fn payloads(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == PartKind::Payload)
    }

    /// How long the whole file is after its index, in bytes.
    pub fn content_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    /// Signed by a ticket key that covers every model in it, and whose that is.
    fn verify(
        index: &[u8],
        labels: &[Verified<Label>],
        keys: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<(Verified<Self>, PersonName), Error> {
        let sign1 = Sign1::parse(index, Self::MAX)?;
        let models = labels.iter().filter_map(|label| label.action.installation());
        let mut key = Err(Error::Parts);
        for installation in models {
            key = Ok(keys.ticket_key(sign1.kid(), &installation.target.model, now)?);
        }
        let key = key?;
        let bundle: Verified<Self> = sign1.verify(key)?;
        if now > bundle.expires {
            return Err(ObjectError::Lapsed { not_after: bundle.expires }.into());
        }
        let mut entries = keys.entries().iter();
        let entry = entries.find(|entry| entry.material == KeyMaterial::Signer(*key));
        Ok((bundle, entry.ok_or(Error::Parts)?.holder.clone()))
    }

    fn check(&self) -> Result<(), Error> {
        use PartKind as K;
        if self.expires < self.issued_at || self.expires.since(self.issued_at) > LIFE_IN_BUNDLE {
            return Err(ObjectError::Inconsistent { reason: "a bundle lives too long" }.into());
        }
        let count = |kind| self.parts.iter().filter(|part| part.kind == kind).count();
        let devices = count(K::Ticket);
        let lists = count(K::SegmentList);
        let expected = std::iter::repeat_n(K::Root, count(K::Root))
            .chain([K::Targets, K::TrustKeys])
            .chain(std::iter::repeat_n(K::Revoked, count(K::Revoked)))
            .chain(std::iter::repeat_n([K::Certificate, K::Label, K::Ticket], devices).flatten())
            .chain(std::iter::repeat_n(K::SegmentList, lists))
            .chain(std::iter::repeat_n(K::Payload, lists));
        let in_order = expected.eq(self.parts.iter().map(|part| part.kind));
        let fits = self.small().all(|part| part.length <= MAX_SMALL);
        let whole = count(K::Root) > 0 && count(K::Revoked) <= 1 && devices > 0 && lists > 0;
        let summed = self.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.length)).is_some();
        if in_order && fits && whole && summed { Ok(()) } else { Err(Error::Parts) }
    }
}

impl Object for Bundle {
    const TYP: &'static str = "fleetseal-bundle/1";
    /// Some 8,000 devices.
    const MAX: usize = 1 << 20;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).uint(self.issued_at.as_secs());
        map.key(4).uint(self.expires.as_secs());
        map.key(5).array(self.parts.len());
        for part in &self.parts {
            map.array(3).uint(part.kind as u64).uint(part.length).bytes(part.sha256.as_bytes());
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            issued_at: map.required(3, "issued_at", Reader::time)?,
            expires: map.required(4, "expires", Reader::time)?,
            parts: map.required(5, "parts", |parts| {
                parts.list(|part| match part.array()? {
                    3 => Ok(Part {
                        kind: PartKind::from_wire(part.uint()?).ok_or(cbor::Error::Value)?,
                        length: part.uint()?,
                        sha256: Digest::new(part.fixed()?),
                    }),
                    _ => Err(cbor::Error::Value),
                })
            })?,
        })
    }
}

#[cfg(test)]
mod tests;
