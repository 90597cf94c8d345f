//! What an admin's grant key allows: a station to issue, and a device to have new keys.

use std::collections::BTreeSet;

use model::{DeviceId, FleetId, ModelName, SpkiDigest, StationName, UnixTime};

use crate::{
    Error, Identity, Signer, TrustKeys, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1},
};

/// `fleetseal-grant/1`: `1 typ | 2 fleet b16 | 3 station (text) | 4 CA SPKI SHA-256 b32 | 5 [model,
/// ascending] | 6 certificates | 7 issued_at | 8 not_before | 9 not_after`.
///
/// A station issues within it; desktops count its certificates against it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StationGrant {
    /// The fleet.
    pub fleet: FleetId,
    /// The station.
    pub station: StationName,
    /// The key of its issuing CA.
    pub ca: SpkiDigest,
    /// The models that it may provision.
    pub models: BTreeSet<ModelName>,
    /// How many certificates it may issue in all.
    pub certificates: u64,
    /// When it was signed; of two grants for one station the later counts.
    pub issued_at: UnixTime,
    /// When its issuing window opens.
    pub not_before: UnixTime,
    /// When its issuing window closes.
    pub not_after: UnixTime,
}

/// `fleetseal-replace/1`: `1 typ | 2 fleet b16 | 3 device_id b16 | 4 model (text) | 5 old SPKI SHA-256
/// b32 | 6 new SPKI SHA-256 b32 | 7 new KEM key id b8 | 8 issued_at`.
///
/// Gives a device new keys without the old one's signature, and revokes the old.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replace {
    /// The fleet.
    pub fleet: FleetId,
    /// The device.
    pub device: DeviceId,
    /// Its product type.
    pub model: ModelName,
    /// The identity key that ends.
    pub old: SpkiDigest,
    /// The keys that begin.
    pub new: Identity,
    /// When it was signed.
    pub issued_at: UnixTime,
}

/// What a grant key alone signs.
pub(crate) trait Granted: Object {
    /// The fleet that it is of.
    fn fleet(&self) -> FleetId;

    /// The models that the key must cover.
    fn models(&self) -> Vec<&ModelName> {
        Vec::new()
    }

    /// Verifies it: signed by a grant key that covers its models at `now`, and of this fleet.
    fn granted(
        bytes: &[u8],
        fleet: FleetId,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(bytes, Self::MAX)?;
        let object: Verified<Self> = sign1.verify(trust.grant_key(sign1.kid(), [], now)?)?;
        trust.grant_key(sign1.kid(), object.models(), now)?;
        same("fleet", &object.fleet(), &fleet)?;
        Ok(object)
    }
}

impl StationGrant {
    /// Signs the grant with a grant key.
    ///
    /// # Errors
    /// It is for no model, its window closes before it opens, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        if self.models.is_empty() || self.not_after < self.not_before {
            return Err(Error::Inconsistent { reason: "a grant for nothing" });
        }
        cose::sign(self, signer)
    }

    /// Verifies a grant: signed by a grant key that covers its models at `now`, and of this fleet. The
    /// window is checked against each certificate's time of issue ([`Self::covers`]).
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        bytes: &[u8],
        fleet: FleetId,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        Self::granted(bytes, fleet, trust, now)
    }

    /// Whether a device of `model` may be given its certificate at `at`.
    pub fn covers(&self, model: &ModelName, at: UnixTime) -> bool {
        self.models.contains(model) && (self.not_before..=self.not_after).contains(&at)
    }
}

impl Replace {
    /// Signs the replacement with a grant key.
    ///
    /// # Errors
    /// The key stays the same, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        if self.old == self.new.spki {
            return Err(Error::Inconsistent { reason: "a key cannot replace itself" });
        }
        cose::sign(self, signer)
    }

    /// Verifies a replacement: signed by a grant key that covers the device's model at `now`, and of
    /// this fleet.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        bytes: &[u8],
        fleet: FleetId,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        Self::granted(bytes, fleet, trust, now)
    }
}

impl Granted for StationGrant {
    fn fleet(&self) -> FleetId {
        self.fleet
    }

    fn models(&self) -> Vec<&ModelName> {
        self.models.iter().collect()
    }
}

impl Granted for Replace {
    fn fleet(&self) -> FleetId {
        self.fleet
    }

    fn models(&self) -> Vec<&ModelName> {
        vec![&self.model]
    }
}

impl Object for StationGrant {
    const TYP: &'static str = "fleetseal-grant/1";
    const MAX: usize = 64 * 1024;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).text(self.station.as_str());
        map.key(4).bytes(self.ca.as_bytes());
        map.key(5).array(self.models.len());
        for model in &self.models {
            map.text(model.as_str());
        }
        map.key(6).uint(self.certificates);
        map.key(7).uint(self.issued_at.as_secs());
        map.key(8).uint(self.not_before.as_secs());
        map.key(9).uint(self.not_after.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            station: map.required(3, "station", Reader::parsed)?,
            ca: SpkiDigest::new(map.required(4, "ca", Reader::fixed)?),
            models: map.required(5, "models", |models| {
                let list: Vec<ModelName> = models.list(Reader::parsed)?;
                let ascending = list.is_sorted_by(|a, b| a < b);
                if ascending { Ok(list.into_iter().collect()) } else { Err(cbor::Error::Value) }
            })?,
            certificates: map.required(6, "certificates", Reader::uint)?,
            issued_at: map.required(7, "issued_at", Reader::time)?,
            not_before: map.required(8, "not_before", Reader::time)?,
            not_after: map.required(9, "not_after", Reader::time)?,
        })
    }
}

impl Object for Replace {
    const TYP: &'static str = "fleetseal-replace/1";
    const MAX: usize = 512;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).bytes(self.device.as_bytes());
        map.key(4).text(self.model.as_str());
        map.key(5).bytes(self.old.as_bytes());
        map.key(6).bytes(self.new.spki.as_bytes());
        map.key(7).bytes(self.new.kem.as_bytes());
        map.key(8).uint(self.issued_at.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            device: DeviceId::new(map.required(3, "device_id", Reader::fixed)?),
            model: map.required(4, "model", Reader::parsed)?,
            old: SpkiDigest::new(map.required(5, "old spki", Reader::fixed)?),
            new: Identity {
                spki: SpkiDigest::new(map.required(6, "new spki", Reader::fixed)?),
                kem: model::KemKeyId::new(map.required(7, "new kem", Reader::fixed)?),
            },
            issued_at: map.required(8, "issued_at", Reader::time)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use model::Seconds;

    use super::*;
    use crate::fixture::{Fleet, LATER, NOW, model, said};

    fn grant(fleet: &Fleet) -> StationGrant {
        StationGrant {
            fleet: fleet.me.fleet,
            station: "line-1".parse().unwrap(),
            ca: SpkiDigest::new([5; 32]),
            models: BTreeSet::from([model("pump")]),
            certificates: 20_000,
            issued_at: NOW,
            not_before: NOW,
            not_after: LATER,
        }
    }

    fn replace(fleet: &Fleet) -> Replace {
        Replace {
            fleet: fleet.me.fleet,
            device: fleet.me.device,
            model: model("pump"),
            old: SpkiDigest::new([6; 32]),
            new: fleet.me.identity.unwrap(),
            issued_at: NOW,
        }
    }

    #[test]
    fn a_grant_covers_its_models_within_its_window() {
        let fleet = Fleet::new();
        let signed = grant(&fleet).sign(&fleet.grant_key).unwrap();
        let read = StationGrant::verify(&signed, fleet.me.fleet, &fleet.trust, NOW).unwrap();
        assert_eq!(*read, grant(&fleet));
        let covers = |name, at| read.covers(&model(name), at);
        assert!(covers("pump", NOW) && covers("pump", LATER));
        assert!(!covers("pump", NOW - Seconds(1)) && !covers("pump", LATER + Seconds(1)));
        assert!(!covers("valve", NOW));
    }

    #[test]
    fn only_a_grant_key_grants_and_only_what_it_covers() {
        let fleet = Fleet::new();
        let verify = |signed: &[u8]| StationGrant::verify(signed, fleet.me.fleet, &fleet.trust, NOW);
        let signed = grant(&fleet).sign(&fleet.ticket_key).unwrap();
        assert!(matches!(verify(&signed), Err(Error::Role { .. })));
        let models = BTreeSet::from([model("pump"), model("valve")]);
        let wide = StationGrant { models, ..grant(&fleet) }.sign(&fleet.grant_key).unwrap();
        assert!(matches!(verify(&wide), Err(Error::Scope { .. })));
        let signed = grant(&fleet).sign(&fleet.grant_key).unwrap();
        let found = StationGrant::verify(&signed, FleetId::new([0; 16]), &fleet.trust, NOW);
        assert_eq!(said(found), "`fleet` is another than expected");
        for nothing in [
            StationGrant { models: BTreeSet::new(), ..grant(&fleet) },
            StationGrant { not_after: NOW - Seconds(1), ..grant(&fleet) },
        ] {
            assert_eq!(said(nothing.sign(&fleet.grant_key)), "a grant for nothing");
        }
    }

    #[test]
    fn a_replacement_names_both_keys() {
        let fleet = Fleet::new();
        let verify = |signed: &[u8]| Replace::verify(signed, fleet.me.fleet, &fleet.trust, NOW);
        let signed = replace(&fleet).sign(&fleet.grant_key).unwrap();
        assert_eq!(*verify(&signed).unwrap(), replace(&fleet));
        let signed = replace(&fleet).sign(&fleet.seal_key).unwrap();
        assert!(matches!(verify(&signed), Err(Error::Role { .. })));
        let other = Replace { model: model("valve"), ..replace(&fleet) }.sign(&fleet.grant_key).unwrap();
        assert!(matches!(verify(&other), Err(Error::Scope { .. })));
        let same = Replace { old: replace(&fleet).new.spki, ..replace(&fleet) };
        assert_eq!(said(same.sign(&fleet.grant_key)), "a key cannot replace itself");
        let signed = grant(&fleet).sign(&fleet.grant_key).unwrap();
        assert_eq!(said(verify(&signed)), "not a `fleetseal-replace/1`");
    }
}
