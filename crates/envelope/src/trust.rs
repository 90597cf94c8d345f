//! Whom a fleet trusts for what: `trust/keys.cbor`, a target that the targets threshold signs.
//!
//! A COSE_KeySet (RFC 9052, section 7): an array of COSE_Keys in ascending order of role and id.
//!
//! ```text
//! signer      {1: 1 (OKP), 2: kid, 3: -19, -1: 6 (Ed25519), -2: x,         ...}
//! recipient   {1: 1 (OKP), 2: kid, 3: 42,  -1: 4 (X25519),  -2: x,         ...}
//! X.509 root  {1: 2 (EC2), 2: kid, 3: -9,  -1: 1 (P-256),   -2: x, -3: y,  ..., -65541: certificate (DER)}
//! ...         -65537: role (text), -65538: [model, ...], absent for all models,
//!             -65539: not_after, -65540: holder (text)
//! ```

use std::collections::BTreeSet;

use model::{KemKeyId, ModelName, PersonName, UnixTime};

use crate::{
    Error, KemPublicKey, KeyId, PublicKey, TargetBytes, Verified,
    cbor::{self, Limits, Map, Reader, Writer},
    signer::ed25519,
};

/// What a trusted key is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyRole {
    /// Signs tickets, labels and offline bundles.
    Ticket,
    /// Signs sealed-artifact records.
    Seal,
    /// Signs station grants, replacements and revocation lists.
    Grant,
    /// The backend's: signs links and check-ins.
    Link,
    /// Signs the heads of audit logs.
    Audit,
    /// A vault's KEM key: may receive content keys.
    Member,
    /// A bench's KEM key: may stand in deputy tickets, and never receives a content key.
    Bench,
    /// An X.509 root in force.
    Root,
}

/// The models that a key is trusted for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Models {
    /// Every model, also those to come.
    All,
    /// These alone.
    Only(BTreeSet<ModelName>),
}

/// What a key's trust covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// For which models.
    pub models: Models,
    /// Until when.
    pub not_after: UnixTime,
}

/// A key or certificate as such.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyMaterial {
    /// Verifies signatures: Ed25519, never P-256.
    Signer(PublicKey),
    /// Receives sealed things.
    Recipient(KemPublicKey),
    /// An X.509 root (RFC 5280).
    Root {
        /// Its P-256 key.
        key: PublicKey,
        /// The certificate, DER.
        certificate: Vec<u8>,
    },
}

/// One entry of the key set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedKey {
    /// What it is for.
    pub role: KeyRole,
    /// The key.
    pub material: KeyMaterial,
    /// What its trust covers.
    pub scope: Scope,
    /// Who holds the private half.
    pub holder: PersonName,
}

/// A fleet's trusted keys: each id once, each key of the kind that its role asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustKeys {
    keys: Vec<TrustedKey>,
}

/// The most that a key set may take.
const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 3, tag: None };

const ROLE: i64 = -65_537;
const MODELS: i64 = -65_538;
const NOT_AFTER: i64 = -65_539;
const HOLDER: i64 = -65_540;
const CERTIFICATE: i64 = -65_541;

impl TrustKeys {
    /// Who holds the backend's own keys, by name.
    pub const BACKEND: &'static str = "backend";

    /// The TUF target that holds the key set.
    pub const TARGET: &'static str = "trust/keys.cbor";

    /// A key set, brought into its one order.
    ///
    /// # Errors
    /// A key does not fit its role, is weak, or stands there twice; a root's certificate does not
    /// contain its key; or they are more than 1 MiB.
    pub fn new(mut keys: Vec<TrustedKey>) -> Result<Self, Error> {
        keys.sort_by_key(|key| (key.role, key.id()));
        keys.iter().try_for_each(TrustedKey::check)?;
        let ids: BTreeSet<KeyId> = keys.iter().map(TrustedKey::id).collect();
        if ids.len() < keys.len() {
            return Err(Error::Inconsistent { reason: "a key stands in the key set twice" });
        }
        let set = Self { keys };
        if set.encode().len() > LIMITS.bytes {
            return Err(cbor::Error::TooLong { limit: LIMITS.bytes }.into());
        }
        Ok(set)
    }

    /// The key set that a threshold of targets keys signed.
    ///
    /// # Errors
    /// The target is another one, or [`Self::parse`] refuses it.
    pub fn from_target(target: &Verified<TargetBytes>) -> Result<Verified<Self>, Error> {
        if target.name().as_str() != Self::TARGET {
            return Err(Error::Foreign { field: "target" });
        }
        Self::parse(target.as_bytes()).map(Verified::new)
    }

    /// Parses a key set, for those who prepare or review one: nothing is said of who signed it.
    ///
    /// # Errors
    /// The encoding, the order or a key is not as [`Self::encode`] writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let entries = Reader::new(bytes, &LIMITS)?.list(|entry| entry.map(TrustedKey::read))?;
        let keys = Self::new(entries.clone())?;
        if keys.keys != entries {
            return Err(Error::Inconsistent { reason: "the key set is out of order" });
        }
        Ok(keys)
    }

    /// The bytes of the target.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(self.keys.len());
        for key in &self.keys {
            out.map(|map| key.write(map));
        }
        out.into_bytes()
    }

    /// Every entry, by role and id.
    pub fn entries(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The key that may sign tickets for `model` at `now`.
    ///
    /// # Errors
    /// The key is unknown, for something else, for other models, or lapsed.
    pub fn ticket_key(&self, kid: KeyId, model: &ModelName, now: UnixTime) -> Result<&PublicKey, Error> {
        self.signer(KeyRole::Ticket, kid, [model], now)
    }

    /// The key that may sign sealed-artifact records for `model` at `now`.
    ///
    /// # Errors
    /// The key is unknown, for something else, for other models, or lapsed.
    pub fn seal_key(&self, kid: KeyId, model: &ModelName, now: UnixTime) -> Result<&PublicKey, Error> {
        self.signer(KeyRole::Seal, kid, [model], now)
    }

    /// The key that may sign grants and replacements for these models, and revocation lists (for none
    /// in particular), at `now`.
    ///
    /// # Errors
    /// The key is unknown, for something else, for other models, or lapsed.
    pub fn grant_key<'m>(
        &self,
        kid: KeyId,
        models: impl IntoIterator<Item = &'m ModelName>,
        now: UnixTime,
    ) -> Result<&PublicKey, Error> {
        self.signer(KeyRole::Grant, kid, models, now)
    }

    /// The backend's key that may sign links and check-ins at `now`.
    ///
    /// # Errors
    /// The key is unknown, for something else, or lapsed.
    pub fn link_key(&self, kid: KeyId, now: UnixTime) -> Result<&PublicKey, Error> {
        self.signer(KeyRole::Link, kid, [], now)
    }

    /// The key that may sign the head of an audit log at `now`.
    ///
    /// # Errors
    /// The key is unknown, for something else, or lapsed.
    pub fn audit_key(&self, kid: KeyId, now: UnixTime) -> Result<&PublicKey, Error> {
        self.signer(KeyRole::Audit, kid, [], now)
    }

    /// The KEM key of a vault member, to whom content keys may be sealed at `now`.
    pub fn member_kem(&self, id: KemKeyId, now: UnixTime) -> Option<&KemPublicKey> {
        self.recipients(KeyRole::Member, now).find(|key| key.id() == id)
    }

    /// The KEM key of a bench, for deputy tickets alone.
    pub fn bench_kem(&self, id: KemKeyId, now: UnixTime) -> Option<&KemPublicKey> {
        self.recipients(KeyRole::Bench, now).find(|key| key.id() == id)
    }

    /// The KEM keys of all vault members at `now`.
    pub fn members(&self, now: UnixTime) -> impl Iterator<Item = &KemPublicKey> {
        self.recipients(KeyRole::Member, now)
    }

    /// The X.509 roots in force at `now`, DER.
    pub fn roots(&self, now: UnixTime) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().filter(move |key| key.scope.not_after >= now).filter_map(|key| match &key.material {
            KeyMaterial::Root { certificate, .. } => Some(certificate.as_slice()),
            KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) => None,
        })
    }

    fn signer<'m>(
        &self,
        role: KeyRole,
        kid: KeyId,
        models: impl IntoIterator<Item = &'m ModelName>,
        now: UnixTime,
    ) -> Result<&PublicKey, Error> {
        let entry = self.keys.iter().find(|key| key.id() == kid).ok_or(Error::UnknownKey { kid })?;
        let KeyMaterial::Signer(key) = &entry.material else {
            return Err(Error::Role { kid, expected: role });
        };
        if entry.role != role {
            return Err(Error::Role { kid, expected: role });
        }
        if let Some(model) = models.into_iter().find(|model| !entry.scope.models.cover(model)) {
            return Err(Error::Scope { kid, model: model.clone() });
        }
        if entry.scope.not_after < now {
            return Err(Error::KeyLapsed { kid, not_after: entry.scope.not_after });
        }
        Ok(key)
    }

    fn recipients(&self, role: KeyRole, now: UnixTime) -> impl Iterator<Item = &KemPublicKey> {
        self.keys.iter().filter(move |key| key.role == role && key.scope.not_after >= now).filter_map(|key| {
            match &key.material {
                KeyMaterial::Recipient(key) => Some(key),
                KeyMaterial::Signer(_) | KeyMaterial::Root { .. } => None,
            }
        })
    }
}

impl TrustedKey {
    /// The first eight bytes of the SHA-256 of the key, whatever its kind.
    pub fn id(&self) -> KeyId {
        match &self.material {
            KeyMaterial::Signer(key) | KeyMaterial::Root { key, .. } => key.id(),
            KeyMaterial::Recipient(key) => KeyId::new(*key.id().as_bytes()),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let fits = match &self.material {
            KeyMaterial::Signer(PublicKey::Ed25519(bytes)) => {
                ed25519(bytes)?;
                self.role.signs()
            }
            KeyMaterial::Recipient(_) => self.role.receives(),
            KeyMaterial::Root { key: key @ PublicKey::P256(_), certificate } => {
                let spki = key.spki();
                if !certificate.windows(spki.len()).any(|window| window == spki) {
                    return Err(Error::Inconsistent { reason: "a root certificate has another key" });
                }
                self.role == KeyRole::Root
            }
            KeyMaterial::Signer(PublicKey::P256(_))
            | KeyMaterial::Root { key: PublicKey::Ed25519(_), .. } => false,
        };
        if fits { Ok(()) } else { Err(Error::Inconsistent { reason: "a key does not fit its role" }) }
    }

    fn write(&self, map: &mut Writer) {
        let id = self.id();
        let mut head = |kty: u64, alg: i64, curve: u64, x: &[u8]| {
            map.key(1).uint(kty);
            map.key(2).bytes(id.as_bytes());
            map.key(3).int(alg);
            map.key(-1).uint(curve);
            map.key(-2).bytes(x);
        };
        match &self.material {
            KeyMaterial::Signer(key) => head(1, -19, 6, key.as_bytes()),
            KeyMaterial::Recipient(key) => head(1, 42, 4, &key.0),
            KeyMaterial::Root { key, .. } => {
                let point = key.as_bytes();
                let middle = point.len() / 2 + 1;
                head(2, -9, 1, &point[1..middle]);
                map.key(-3).bytes(&point[middle..]);
            }
        }
        map.key(ROLE).text(self.role.as_str());
        if let Models::Only(models) = &self.scope.models {
            map.key(MODELS).array(models.len());
            for model in models {
                map.text(model.as_str());
            }
        }
        map.key(NOT_AFTER).uint(self.scope.not_after.as_secs());
        map.key(HOLDER).text(self.holder.as_str());
        if let KeyMaterial::Root { certificate, .. } = &self.material {
            map.key(CERTIFICATE).bytes(certificate);
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        let kty = map.required(1, "kty", Reader::uint)?;
        let kid = map.required(2, "kid", Reader::fixed)?;
        let alg = map.required(3, "alg", Reader::int)?;
        let curve = map.required(-1, "crv", Reader::uint)?;
        let x: [u8; 32] = map.required(-2, "x", Reader::fixed)?;
        let y: Option<[u8; 32]> = map.optional(-3, "y", Reader::fixed)?;
        let role =
            map.required(ROLE, "role", |role| KeyRole::from_wire(role.text()?).ok_or(cbor::Error::Value))?;
        let models = map.optional(MODELS, "models", |models| {
            let list: Vec<ModelName> = models.list(Reader::parsed)?;
            if list.is_sorted_by(|a, b| a < b) { Ok(list) } else { Err(cbor::Error::Value) }
        })?;
        let not_after = map.required(NOT_AFTER, "not_after", Reader::time)?;
        let holder = map.required(HOLDER, "holder", Reader::parsed)?;
        let certificate = map.optional(CERTIFICATE, "certificate", Reader::bytes)?;
        let material = match (kty, alg, curve, y, certificate) {
            (1, -19, 6, None, None) => KeyMaterial::Signer(PublicKey::Ed25519(x)),
            (1, 42, 4, None, None) => KeyMaterial::Recipient(KemPublicKey(x)),
            (2, -9, 1, Some(y), Some(certificate)) => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(&x);
                point[33..].copy_from_slice(&y);
                KeyMaterial::Root { key: PublicKey::P256(point), certificate: certificate.to_vec() }
            }
            _ => return Err(cbor::Error::Field { field: "kty, alg or crv" }),
        };
        let models = models.map_or(Models::All, |models| Models::Only(models.into_iter().collect()));
        let key = Self { role, material, scope: Scope { models, not_after }, holder };
        if key.id() == KeyId::new(kid) { Ok(key) } else { Err(cbor::Error::Field { field: "kid" }) }
    }
}

impl Models {
    /// Whether `model` is among them.
    pub fn cover(&self, model: &ModelName) -> bool {
        match self {
            Self::All => true,
            Self::Only(models) => models.contains(model),
        }
    }
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::Ticket,
        Self::Seal,
        Self::Grant,
        Self::Link,
        Self::Audit,
        Self::Member,
        Self::Bench,
        Self::Root,
    ];

    /// The role as it stands in signed bytes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Seal => "seal",
            Self::Grant => "grant",
            Self::Link => "link",
            Self::Audit => "audit",
            Self::Member => "member",
            Self::Bench => "bench",
            Self::Root => "root",
        }
    }

    fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    const fn signs(self) -> bool {
        matches!(self, Self::Ticket | Self::Seal | Self::Grant | Self::Link | Self::Audit)
    }

    const fn receives(self) -> bool {
        matches!(self, Self::Member | Self::Bench)
    }
}

#[cfg(test)]
mod tests;
