//! What an admin says about a backend that was restored from a backup: its log goes on from there.

use model::{Digest, FleetId, UnixTime};

use crate::{
    Error, Signer, TrustKeys, Verified,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
    grant::Granted,
};

/// `fleetseal-recovery/1`: `1 typ | 2 fleet b16 | 3 entries kept | 4 their root b32 | 5 entries lost sight of |
/// 6 their root b32 | 7 issued_at`. The backend's log had 5 entries with the root 6, and was restored to a state
/// from which it goes on with the first 3, whose root is 4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The fleet.
    pub fleet: FleetId,
    /// How many entries the restored log has, and their root (RFC 6962, 2.1).
    pub kept: (u64, Digest),
    /// The newest head that a vault had cosigned before.
    pub lost: (u64, Digest),
    /// When it was signed. Heads that were cosigned later are not excused by it.
    pub issued_at: UnixTime,
}

impl Recovery {
    /// Signs it with a grant key.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        cose::sign(self, signer)
    }

    /// Verifies it: signed by a grant key at `now`, of this fleet.
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

impl Granted for Recovery {
    fn fleet(&self) -> FleetId {
        self.fleet
    }
}

impl Object for Recovery {
    const TYP: &'static str = "fleetseal-recovery/1";
    const MAX: usize = 1_024;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.fleet.as_bytes());
        map.key(3).uint(self.kept.0);
        map.key(4).bytes(self.kept.1.as_bytes());
        map.key(5).uint(self.lost.0);
        map.key(6).bytes(self.lost.1.as_bytes());
        map.key(7).uint(self.issued_at.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            fleet: FleetId::new(map.required(2, "fleet", Reader::fixed)?),
            kept: (map.required(3, "kept", Reader::uint)?, hash(map, 4)?),
            lost: (map.required(5, "lost", Reader::uint)?, hash(map, 6)?),
            issued_at: map.required(7, "issued_at", Reader::time)?,
        })
    }
}

fn hash(map: &mut Map<'_, '_>, key: i64) -> Result<Digest, cbor::Error> {
    map.required(key, "root", Reader::fixed).map(Digest::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fleet, NOW, said};

    #[test]
    fn a_recovery_counts_when_a_grant_key_of_the_fleet_signed_it() {
        let fleet = Fleet::new();
        let recovery = Recovery {
            fleet: fleet.me.fleet,
            kept: (5, Digest::new([1; 32])),
            lost: (9, Digest::new([2; 32])),
            issued_at: NOW,
        };
        let signed = recovery.sign(&fleet.grant_key).unwrap();
        assert_eq!(*Recovery::verify(&signed, fleet.me.fleet, &fleet.trust, NOW).unwrap(), recovery);
        let other = Recovery::verify(&signed, FleetId::new([0; 16]), &fleet.trust, NOW);
        assert_eq!(said(other), "`fleet` is another than expected");
        let signed = recovery.sign(&fleet.ticket_key).unwrap();
        let found = Recovery::verify(&signed, fleet.me.fleet, &fleet.trust, NOW);
        assert!(matches!(found, Err(Error::Role { .. })));
    }
}
