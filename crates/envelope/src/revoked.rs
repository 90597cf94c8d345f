//! The revocation list that desktops, gateways, benches and offline devices go by.

use std::collections::BTreeSet;

use model::{Digest, FleetId, SpkiDigest, StationName, UnixTime};

use crate::{
    Error, Signer, TrustKeys, Verified,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
    grant::Granted,
};

/// `fleetseal-revoked/1`: `1 typ | 2 fleet b16 | 3 number | 4 issued_at | 5 not_after | 6 [SPKI
/// SHA-256 b32, ascending] | 7 [{1 station (text), 2 CA SPKI SHA-256 b32, 3 entries, 4 head b32},
/// ascending by CA], absent if there is none`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevocationList {
    /// The fleet.
    pub fleet: FleetId,
    /// Rises with every list; a lower one is never taken after a higher.
    pub number: u64,
    /// When it was signed.
    pub issued_at: UnixTime,
    /// Until when it counts.
    pub not_after: UnixTime,
    /// The identity keys that are revoked.
    pub keys: BTreeSet<SpkiDigest>,
    /// Stations whose certificates count only up to a point in their journal.
    pub stations: Vec<LostStation>,
}

/// A station that was stolen or lost: the units that it provisioned honestly live on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostStation {
    /// The station.
    pub station: StationName,
    /// Its issuing CA's key.
    pub ca: SpkiDigest,
    /// How many entries of its journal count.
    pub entries: u64,
    /// The journal's head after them.
    pub head: Digest,
}

impl RevocationList {
    /// Signs the list with a grant key.
    ///
    /// # Errors
    /// Its times contradict one another, a station stands there twice, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        if self.not_after < self.issued_at {
            return Err(Error::Inconsistent { reason: "a list lapses before it is issued" });
        }
        let mut list = self.clone();
        list.stations.sort_by_key(|station| station.ca);
        if !list.stations.is_sorted_by(|a, b| a.ca < b.ca) {
            return Err(Error::Inconsistent { reason: "a station stands in the list twice" });
        }
        cose::sign(&list, signer)
    }

    /// Verifies a list: signed by a grant key at `now`, of this fleet, number `least` or above, and not
    /// lapsed. For an offline bundle `now` is the bundle's signed `issued_at`.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        bytes: &[u8],
        fleet: FleetId,
        least: u64,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let list = Self::granted(bytes, fleet, trust, now)?;
        if list.number < least {
            return Err(Error::Inconsistent { reason: "an older list than the one in force" });
        }
        if now > list.not_after {
            return Err(Error::Lapsed { not_after: list.not_after });
        }
        Ok(list)
    }

    /// Whether this identity key is revoked.
    pub fn revokes(&self, key: &SpkiDigest) -> bool {
        self.keys.contains(key)
    }

    /// The journal entries that count, if this station CA was lost.
    pub fn lost_station(&self, ca: &SpkiDigest) -> Option<&LostStation> {
        self.stations.iter().find(|station| station.ca == *ca)
    }
}

impl Granted for RevocationList {
    fn fleet(&self) -> FleetId {
        self.fleet
    }
}

impl Object for RevocationList {
    const TYP: &'static str = "fleetseal-revoked/1";
    /// Some 490,000 keys.
    const MAX: usize = 16 << 20;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).uint(self.number);
        map.key(4).uint(self.issued_at.as_secs());
        map.key(5).uint(self.not_after.as_secs());
        map.key(6).array(self.keys.len());
        for key in &self.keys {
            map.bytes(key.as_bytes());
        }
        if self.stations.is_empty() {
            return;
        }
        map.key(7).array(self.stations.len());
        for station in &self.stations {
            map.map(|map| {
                map.key(1).text(station.station.as_str());
                map.key(2).bytes(station.ca.as_bytes());
                map.key(3).uint(station.entries);
                map.key(4).bytes(station.head.as_bytes());
            });
        }
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            number: map.required(3, "number", Reader::uint)?,
            issued_at: map.required(4, "issued_at", Reader::time)?,
            not_after: map.required(5, "not_after", Reader::time)?,
            keys: map.required(6, "keys", |keys| {
                let list = keys.list(|key| key.fixed().map(SpkiDigest::new))?;
                let ascending = list.is_sorted_by(|a, b| a < b);
                if ascending { Ok(list.into_iter().collect()) } else { Err(cbor::Error::Value) }
            })?,
            stations: map
                .optional(7, "stations", |stations| {
                    let list = stations.list(|station| station.map(LostStation::read))?;
                    let ascending = list.is_sorted_by(|a, b| a.ca < b.ca);
                    if ascending && !list.is_empty() { Ok(list) } else { Err(cbor::Error::Value) }
                })?
                .unwrap_or_default(),
        })
    }
}

impl LostStation {
    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            station: map.required(1, "station", Reader::parsed)?,
            ca: SpkiDigest::new(map.required(2, "ca", Reader::fixed)?),
            entries: map.required(3, "entries", Reader::uint)?,
            head: Digest::new(map.required(4, "head", Reader::fixed)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use model::Seconds;

    use super::*;
    use crate::{
        cbor::value::Value,
        fixture::{Fleet, LATER, NOW, forged, said},
    };

    fn list(fleet: &Fleet) -> RevocationList {
        let station = |name: &str, ca| LostStation {
            station: name.parse().unwrap(),
            ca: SpkiDigest::new([ca; 32]),
            entries: 17,
            head: Digest::new([4; 32]),
        };
        RevocationList {
            fleet: fleet.me.fleet,
            number: 4,
            issued_at: NOW,
            not_after: LATER,
            keys: [9, 1, 5].map(|byte| SpkiDigest::new([byte; 32])).into(),
            stations: vec![station("line-1", 1), station("line-2", 2)],
        }
    }

    #[test]
    fn a_list_comes_back_whole_and_knows_what_it_revokes() {
        let fleet = Fleet::new();
        let full = list(&fleet);
        let empty = RevocationList { keys: BTreeSet::new(), stations: vec![], ..full };
        for list in [full, empty] {
            let signed = list.sign(&fleet.grant_key).unwrap();
            let read = RevocationList::verify(&signed, fleet.me.fleet, 4, &fleet.trust, LATER).unwrap();
            assert_eq!(*read, list);
            assert_eq!(read.revokes(&SpkiDigest::new([5; 32])), !list.keys.is_empty());
            assert!(!read.revokes(&SpkiDigest::new([6; 32])));
            assert_eq!(read.lost_station(&SpkiDigest::new([2; 32])).is_some(), !list.stations.is_empty());
            assert!(read.lost_station(&SpkiDigest::new([3; 32])).is_none());
        }
    }

    #[test]
    fn an_older_foreign_or_lapsed_list_is_refused() {
        let fleet = Fleet::new();
        let signed = list(&fleet).sign(&fleet.grant_key).unwrap();
        let verify =
            |fleet_id, least, now| said(RevocationList::verify(&signed, fleet_id, least, &fleet.trust, now));
        assert_eq!(verify(fleet.me.fleet, 4, NOW), "accepted");
        assert_eq!(verify(fleet.me.fleet, 5, NOW), "an older list than the one in force");
        assert_eq!(verify(FleetId::new([0; 16]), 4, NOW), "`fleet` is another than expected");
        assert_eq!(verify(fleet.me.fleet, 4, LATER + Seconds(1)), format!("lapsed at {LATER}"));
        let signed = list(&fleet).sign(&fleet.ticket_key).unwrap();
        let found = RevocationList::verify(&signed, fleet.me.fleet, 4, &fleet.trust, NOW);
        assert!(matches!(found, Err(Error::Role { .. })));
    }

    #[test]
    fn a_list_has_one_order() {
        let fleet = Fleet::new();
        let mut turned = list(&fleet);
        turned.stations.reverse();
        assert_eq!(turned.sign(&fleet.grant_key).unwrap(), list(&fleet).sign(&fleet.grant_key).unwrap());
        turned.stations[1] = turned.stations[0].clone();
        assert_eq!(said(turned.sign(&fleet.grant_key)), "a station stands in the list twice");
        for (at, field) in [(5, "keys"), (6, "stations")] {
            let signed = forged(&list(&fleet), &fleet.grant_key, |fields| {
                if let (_, Value::Array(list)) = &mut fields[at] {
                    list.swap(0, 1);
                }
            });
            let found = RevocationList::verify(&signed, fleet.me.fleet, 4, &fleet.trust, NOW);
            assert_eq!(said(found), format!("`{field}` has a wrong type, size or form"));
        }
    }
}
