//! Requests for signatures over fleet metadata: what travels from whoever proposes a change to the key
//! holders, through a backend or as a file, and what comes back.
//!
//! A request carries the very bytes to sign and all that it takes to see what they change. Nothing in
//! it is believed: [`Request::check`] starts from a root that the key holder trusts already.

mod proposed;

use model::{Digest, FleetId, PersonName, RequestId, Seconds, UnixTime};

pub use proposed::{Proposed, Quorum};

use crate::{
    TrustKeys,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
    sha256,
    tuf::{self, KeyId, Role, Root, Signed, Targets},
};

/// How long a request may wait for its signatures.
pub const LONGEST_LIFE: Seconds = Seconds::days(60);
/// How far ahead of a key holder's clock metadata may say that it was made.
const CLOCK_SKEW: Seconds = Seconds::minutes(10);

/// `fleetseal-request/1`: `1 typ | 2 fleet b16 | 3 request b16 | 4 role (1 root, 2 targets) | 5 payload |
/// 6 [root metadata, ascending] | 7 targets metadata in force | 8 next trust/keys.cbor | 9 the one in
/// force | 10 author | 11 made_at | 12 expires_at | 13 reason | 14 [{1 key id b32, 2 signature b64}]`.
/// 8 and 9 are there where the payload changes the trust keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The fleet.
    pub fleet: FleetId,
    /// The request.
    pub id: RequestId,
    /// Whose metadata it is: root or targets.
    pub role: Role,
    /// The canonical `signed` part: the bytes that a signature covers.
    pub payload: Vec<u8>,
    /// Root metadata files up to the one in force.
    pub roots: Vec<Vec<u8>>,
    /// The targets metadata in force.
    pub targets: Vec<u8>,
    /// The next `trust/keys.cbor`, where it changes.
    pub trust_keys: Option<Vec<u8>>,
    /// `trust/keys.cbor` in force, where it changes.
    pub trust_keys_in_force: Option<Vec<u8>>,
    /// Who asks, as they say.
    pub author: PersonName,
    /// When it was made.
    pub made_at: UnixTime,
    /// Until when it may be signed.
    pub expires_at: UnixTime,
    /// Why, in the author's words.
    pub reason: String,
    /// Signatures that came in so far.
    pub signatures: Vec<Given>,
}

/// A signature over a request's payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// The key that made it.
    pub key: KeyId,
    /// Ed25519.
    pub signature: [u8; 64],
}

/// `fleetseal-signature/1`, what a key holder hands back: `1 typ | 2 fleet b16 | 3 request b16 | 4 SHA-256
/// of the payload b32 | 5 key id b32 | 6 signature b64`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestSignature {
    /// The fleet.
    pub fleet: FleetId,
    /// The request that it answers.
    pub request: RequestId,
    /// The SHA-256 of what was signed.
    pub digest: Digest,
    /// The signature.
    pub given: Given,
}

/// What a request says after it was checked: the metadata in force, and what shall follow.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The root in force.
    pub root: Signed<Root>,
    /// The targets in force.
    pub targets: Signed<Targets>,
    /// What is to be signed, with the signatures that count.
    pub proposed: Proposed,
    /// The trust keys in force and the next ones, where they change.
    pub trust_keys: Option<(TrustKeys, TrustKeys)>,
}

/// Why a request, or an answer to one, does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not in the encoding that is taken.
    #[error("the request cannot be read")]
    Object(#[from] crate::Error),
    /// It is of another fleet.
    #[error("it is of another fleet")]
    Foreign,
    /// Nobody may sign it any more.
    #[error("it lapsed at {expires_at}")]
    Lapsed {
        /// When.
        expires_at: UnixTime,
    },
    /// It waits longer for signatures than a request may.
    #[error("it may be signed for longer than a request may wait")]
    LifeTooLong,
    /// Metadata in it does not verify.
    #[error("metadata in it does not verify")]
    Metadata(#[from] tuf::Error),
    /// The payload is not in the one form that is signed.
    #[error("what is to be signed is not in its canonical form")]
    NotCanonical,
    /// The payload is not the next version of what is in force.
    #[error("it would become version {offered}, and {in_force} is in force")]
    Stale {
        /// The version that it would become.
        offered: u64,
        /// The version in force.
        in_force: u64,
    },
    /// The metadata to be signed says wrong times.
    #[error("the metadata lives longer or shorter than it may, or says that it was made in the future")]
    Times,
    /// The trust keys in it are not those that the targets name.
    #[error("the trust keys in it are not those that the metadata names")]
    TrustKeys,
    /// The next root could never be followed by another.
    #[error("a role of the next root has fewer key holders than must sign")]
    Incomplete,
    /// The role does not list this key.
    #[error("key {key} may not sign {role} metadata")]
    KeyNotListed {
        /// The key.
        key: KeyId,
        /// The role.
        role: Role,
    },
    /// The signature is over something else, or not by this key.
    #[error("the signature does not verify")]
    Signature,
    /// The same person has signed before; one person is one voice.
    #[error("{by} has signed already")]
    Spoken {
        /// Who, or which key where the root does not say whose it is.
        by: String,
    },
    /// The signature answers another request, or other content.
    #[error("the signature is over something else than this request asks for")]
    OtherContent,
}

impl Request {
    /// The longest request that is read, in bytes.
    pub const MAX: usize = <Self as Object>::MAX;

    /// The request as a file.
    ///
    /// # Errors
    /// It is longer than anybody would read.
    pub fn encode(&self) -> Result<Vec<u8>, crate::Error> {
        Ok(cose::encode(self)?.to_vec())
    }

    /// Reads a request. Nothing of it is verified.
    ///
    /// # Errors
    /// The bytes are not in the one encoding that is taken.
    pub fn parse(bytes: &[u8]) -> Result<Self, crate::Error> {
        cose::decode(bytes)
    }

    /// The SHA-256 of the bytes to sign: what people compare.
    pub fn digest(&self) -> Digest {
        sha256(&self.payload)
    }

    /// Checks everything that can be checked before a person looks: the chain of roots from `trusted` on,
    /// the targets in force, that the payload is their next version and lives as long as it may, and
    /// every signature so far.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn check(&self, fleet: FleetId, trusted: &Signed<Root>, now: UnixTime) -> Result<Checked, Error> {
        if self.fleet != fleet {
            return Err(Error::Foreign);
        }
        if now > self.expires_at {
            return Err(Error::Lapsed { expires_at: self.expires_at });
        }
        if self.made_at > now + CLOCK_SKEW || self.expires_at.since(self.made_at) > LONGEST_LIFE {
            return Err(Error::LifeTooLong);
        }
        let mut root = trusted.clone();
        for raw in &self.roots {
            let next = Signed::<Root>::parse(raw)?;
            if next.signed().version > root.signed().version {
                next.verify_successor_of(root.signed())?;
                root = next;
            }
        }
        let targets = Signed::<Targets>::parse(&self.targets)?;
        root.signed().verify(&targets)?;
        let mut proposed = Proposed::parse(self.role, &self.payload)?;
        proposed.follows(root.signed(), targets.signed(), now)?;
        for given in &self.signatures {
            proposed.add(root.signed(), given)?;
        }
        let trust_keys = self.trust_keys(&targets, &proposed)?;
        Ok(Checked { root, targets, proposed, trust_keys })
    }

    fn trust_keys(
        &self,
        now: &Signed<Targets>,
        proposed: &Proposed,
    ) -> Result<Option<(TrustKeys, TrustKeys)>, Error> {
        let Proposed::Targets(next) = proposed else { return Ok(None) };
        let name = TrustKeys::TARGET.parse().expect("a constant target name parses");
        let listed = |file: &Signed<Targets>| file.signed().targets.get(&name).map(|f| f.hashes.sha256);
        if listed(now) == listed(next) {
            return if self.trust_keys.is_none() { Ok(None) } else { Err(Error::TrustKeys) };
        }
        let read = |bytes: &Option<Vec<u8>>, digest: Option<Digest>| {
            let bytes = bytes.as_ref().filter(|bytes| digest == Some(sha256(bytes)));
            Ok::<_, Error>(TrustKeys::parse(bytes.ok_or(Error::TrustKeys)?)?)
        };
        Ok(Some((read(&self.trust_keys_in_force, listed(now))?, read(&self.trust_keys, listed(next))?)))
    }
}

impl RequestSignature {
    /// The signature as a file; short enough for a QR code.
    pub fn encode(&self) -> Vec<u8> {
        cose::encode(self).expect("a few fixed fields are not too long").to_vec()
    }

    /// Reads a signature. It is not verified.
    ///
    /// # Errors
    /// The bytes are not in the one encoding that is taken.
    pub fn parse(bytes: &[u8]) -> Result<Self, crate::Error> {
        cose::decode(bytes)
    }
}

impl Object for Request {
    const TYP: &'static str = "fleetseal-request/1";
    /// Two of the longest targets metadata, and a long chain of roots.
    const MAX: usize = 16 << 20;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).bytes(self.id.as_bytes());
        map.key(4).uint(if self.role == Role::Root { 1 } else { 2 });
        map.key(5).bytes(&self.payload);
        map.key(6).array(self.roots.len());
        for root in &self.roots {
            map.bytes(root);
        }
        map.key(7).bytes(&self.targets);
        if let Some(keys) = &self.trust_keys {
            map.key(8).bytes(keys);
        }
        if let Some(keys) = &self.trust_keys_in_force {
            map.key(9).bytes(keys);
        }
        map.key(10).text(self.author.as_str());
        map.key(11).uint(self.made_at.as_secs());
        map.key(12).uint(self.expires_at.as_secs());
        map.key(13).text(&self.reason);
        map.key(14).array(self.signatures.len());
        for given in &self.signatures {
            map.map(|map| {
                map.key(1).bytes(given.key.digest().as_bytes());
                map.key(2).bytes(&given.signature);
            });
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            id: RequestId::new(map.required(3, "request", Reader::fixed)?),
            role: map.required(4, "role", |role| match role.uint()? {
                1 => Ok(Role::Root),
                2 => Ok(Role::Targets),
                _ => Err(cbor::Error::Value),
            })?,
            payload: map.required(5, "payload", Reader::bytes)?.to_vec(),
            roots: map.required(6, "roots", |roots| roots.list(|root| root.bytes().map(<[u8]>::to_vec)))?,
            targets: map.required(7, "targets", Reader::bytes)?.to_vec(),
            trust_keys: map.optional(8, "trust_keys", Reader::bytes)?.map(<[u8]>::to_vec),
            trust_keys_in_force: map.optional(9, "trust_keys_in_force", Reader::bytes)?.map(<[u8]>::to_vec),
            author: map.required(10, "author", Reader::parsed)?,
            made_at: map.required(11, "made_at", Reader::time)?,
            expires_at: map.required(12, "expires_at", Reader::time)?,
            reason: map.required(13, "reason", Reader::text)?.to_owned(),
            signatures: map.required(14, "signatures", |list| list.list(|given| given.map(Given::read)))?,
        })
    }
}

impl Object for RequestSignature {
    const TYP: &'static str = "fleetseal-signature/1";
    const MAX: usize = 256;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).bytes(self.request.as_bytes());
        map.key(4).bytes(self.digest.as_bytes());
        map.key(5).bytes(self.given.key.digest().as_bytes());
        map.key(6).bytes(&self.given.signature);
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            request: RequestId::new(map.required(3, "request", Reader::fixed)?),
            digest: Digest::new(map.required(4, "digest", Reader::fixed)?),
            given: Given {
                key: KeyId::from_digest(Digest::new(map.required(5, "key", Reader::fixed)?)),
                signature: map.required(6, "signature", Reader::fixed)?,
            },
        })
    }
}

impl Given {
    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            key: KeyId::from_digest(Digest::new(map.required(1, "key", Reader::fixed)?)),
            signature: map.required(2, "signature", Reader::fixed)?,
        })
    }
}

#[cfg(test)]
mod tests;
