//! The download link: the sealed, timed address of a ciphertext for one device.

use model::{DeviceId, Digest, LinkId, SpkiDigest, UnixTime};

use crate::{
    Addressee, Error, KemPublicKey, KemSecret, Recipient, Signer, TrustKeys, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object, Sign1},
    seal,
};

/// Where one device finds one ciphertext, and for how long. Its id begins with its expiry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The id; travels sealed.
    pub id: LinkId,
    /// Scheme, host and port of the server: `https://updates.example:8443`.
    pub origin: String,
    /// The path there, from its first slash.
    pub path: String,
    /// The one device.
    pub device: DeviceId,
    /// The device's identity key.
    pub spki: SpkiDigest,
    /// The SHA-256 of the payload's segment list.
    pub segment_list: Digest,
    /// From when on it counts, by the server's clock.
    pub not_before: UnixTime,
    /// Until when it counts, by the server's clock.
    pub not_after: UnixTime,
}

/// What a link must agree with, beyond being for this device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errand<'a> {
    /// The origin that the device is connected to.
    pub origin: &'a str,
    /// The segment list that the ticket names.
    pub segment_list: Digest,
}

/// The longest sealed link.
const MAX_SEALED: usize = 2048 + 512;

impl Link {
    /// Signs the link with the backend's link key and seals it to its device.
    ///
    /// # Errors
    /// Its fields contradict one another, the signer refused, or the device's key is of small order.
    pub fn issue(&self, signer: &dyn Signer, device: &KemPublicKey) -> Result<Vec<u8>, Error> {
        let signed = self.sign(signer)?;
        seal::seal(Self::TYP, device, Recipient::Device(self.device), &signed)
    }

    /// Signs the link, not sealed yet.
    ///
    /// # Errors
    /// Its fields contradict one another, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        self.check()?;
        cose::sign(self, signer)
    }

    /// Opens a sealed link with the device's KEM key and verifies it ([`Self::verify`]).
    ///
    /// # Errors
    /// It is not sealed to this key and device, or does not verify.
    pub fn open(
        sealed: &[u8],
        secret: &KemSecret,
        me: &Addressee,
        errand: Errand<'_>,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let signed = seal::open(Self::TYP, secret, Recipient::Device(me.device), sealed, MAX_SEALED)?;
        Self::verify(&signed, me, errand, trust, now)
    }

    /// Verifies a link that was opened: signed by a link key at `now`, for this device and its key,
    /// at this origin, for the payload of this ticket, and not lapsed.
    ///
    /// Its `not_before` is the server's to check: a device without a clock could not.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn verify(
        signed: &[u8],
        me: &Addressee,
        errand: Errand<'_>,
        trust: &Verified<TrustKeys>,
        now: UnixTime,
    ) -> Result<Verified<Self>, Error> {
        let sign1 = Sign1::parse(signed, Self::MAX)?;
        let link: Verified<Self> = sign1.verify(trust.link_key(sign1.kid(), now)?)?;
        link.check()?;
        same("device_id", &link.device, &me.device)?;
        same("spki", &Some(link.spki), &me.identity.map(|identity| identity.spki))?;
        same("origin", &link.origin.as_str(), &errand.origin)?;
        same("segment_list", &link.segment_list, &errand.segment_list)?;
        if now > link.not_after {
            return Err(Error::Lapsed { not_after: link.not_after });
        }
        Ok(link)
    }

    fn check(&self) -> Result<(), Error> {
        let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let host = self.origin.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.contains(['/', '?', '#', '@']) || !printable(host) {
            return Err(Error::Inconsistent { reason: "an origin is https:// and a host" });
        }
        if !self.path.starts_with('/') || self.path.starts_with("//") || !printable(&self.path) {
            return Err(Error::Inconsistent { reason: "a path begins with one slash" });
        }
        if self.id.expires_at() != self.not_after || self.not_after < self.not_before {
            return Err(Error::Inconsistent { reason: "a link's times contradict one another" });
        }
        Ok(())
    }
}

impl Object for Link {
    const TYP: &'static str = "fleetseal-link/1";
    const MAX: usize = 2048;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.id.as_bytes());
        map.key(3).text(&self.origin);
        map.key(4).text(&self.path);
        map.key(5).bytes(self.device.as_bytes());
        map.key(6).bytes(self.spki.as_bytes());
        map.key(7).bytes(self.segment_list.as_bytes());
        map.key(8).uint(self.not_before.as_secs());
        map.key(9).uint(self.not_after.as_secs());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            id: LinkId::new(map.required(2, "link id", Reader::fixed)?),
            origin: map.required(3, "origin", Reader::text)?.to_owned(),
            path: map.required(4, "path", Reader::text)?.to_owned(),
            device: DeviceId::new(map.required(5, "device_id", Reader::fixed)?),
            spki: SpkiDigest::new(map.required(6, "spki", Reader::fixed)?),
            segment_list: Digest::new(map.required(7, "segment_list", Reader::fixed)?),
            not_before: map.required(8, "not_before", Reader::time)?,
            not_after: map.required(9, "not_after", Reader::time)?,
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

    const ORIGIN: &str = "https://updates.example:8443";
    const SEGMENTS: Digest = Digest::new([0x5e; 32]);
    const ERRAND: Errand<'_> = Errand { origin: ORIGIN, segment_list: SEGMENTS };

    fn link(fleet: &Fleet) -> Link {
        Link {
            id: LinkId::random(LATER, &mut crate::SystemRandom),
            origin: ORIGIN.into(),
            path: "/v1/payload".into(),
            device: fleet.me.device,
            spki: fleet.me.identity.unwrap().spki,
            segment_list: SEGMENTS,
            not_before: NOW,
            not_after: LATER,
        }
    }

    fn open(fleet: &Fleet, sealed: &[u8]) -> Result<Verified<Link>, Error> {
        Link::open(sealed, &fleet.device_kem, &fleet.me, ERRAND, &fleet.trust, NOW)
    }

    #[test]
    fn a_link_comes_back_whole_at_its_device() {
        let fleet = Fleet::new();
        let link = link(&fleet);
        let sealed = link.issue(&fleet.link_key, &fleet.device_kem.public()).unwrap();
        assert_eq!(*open(&fleet, &sealed).unwrap(), link);
        assert!(!sealed.windows(24).any(|window| window == link.id.as_bytes()), "the id travels sealed");
    }

    #[test]
    fn a_link_for_another_errand_is_refused() {
        let fleet = Fleet::new();
        let signed = link(&fleet).sign(&fleet.link_key).unwrap();
        let verify = |errand| said(Link::verify(&signed, &fleet.me, errand, &fleet.trust, NOW));
        assert_eq!(verify(ERRAND), "accepted");
        for origin in ["https://updates.example", "https://evil.example:8443", "http://updates.example:8443"]
        {
            assert_eq!(verify(Errand { origin, ..ERRAND }), "`origin` is another than expected");
        }
        let segment_list = Digest::new([0; 32]);
        assert_eq!(verify(Errand { segment_list, ..ERRAND }), "`segment_list` is another than expected");
        let later = LATER + Seconds(1);
        let found = Link::verify(&signed, &fleet.me, ERRAND, &fleet.trust, later);
        assert!(matches!(found, Err(Error::Lapsed { not_after }) if not_after == LATER));
    }

    #[test]
    fn a_link_for_another_device_is_refused() {
        let fleet = Fleet::new();
        let link = link(&fleet);
        let sealed = link.issue(&fleet.link_key, &fleet.device_kem.public()).unwrap();
        let stranger = Fleet::new();
        let refused = "cannot be opened with this key for this recipient";
        let found = Link::open(&sealed, &stranger.device_kem, &fleet.me, ERRAND, &fleet.trust, NOW);
        assert_eq!(said(found), refused);
        for (changed, field) in [
            (Link { device: DeviceId::new([0; 16]), ..link.clone() }, "device_id"),
            (Link { spki: SpkiDigest::new([0; 32]), ..link }, "spki"),
        ] {
            let signed = changed.sign(&fleet.link_key).unwrap();
            let found = Link::verify(&signed, &fleet.me, ERRAND, &fleet.trust, NOW);
            assert_eq!(said(found), format!("`{field}` is another than expected"));
        }
    }

    #[test]
    fn only_a_link_key_makes_a_link() {
        let fleet = Fleet::new();
        for key in [&fleet.ticket_key, &fleet.grant_key, &fleet.seal_key] {
            let sealed = link(&fleet).issue(key, &fleet.device_kem.public()).unwrap();
            assert!(matches!(open(&fleet, &sealed), Err(Error::Role { .. })));
        }
        let ticket = fleet.ticket().issue(&fleet.ticket_key, &fleet.device_kem.public()).unwrap();
        assert!(matches!(open(&fleet, &ticket.sealed), Err(Error::Open)));
    }

    #[test]
    fn a_link_that_contradicts_itself_is_neither_made_nor_taken() {
        let fleet = Fleet::new();
        let good = link(&fleet);
        for bad in [
            Link { origin: "http://updates.example".into(), ..good.clone() },
            Link { origin: "https://".into(), ..good.clone() },
            Link { origin: "https://a@updates.example".into(), ..good.clone() },
            Link { origin: "https://updates.example/x".into(), ..good.clone() },
            Link { origin: "https://updates.example\n".into(), ..good.clone() },
            Link { path: "v1/payload".into(), ..good.clone() },
            Link { path: "//evil.example/".into(), ..good.clone() },
            Link { path: "/v1 payload".into(), ..good.clone() },
            Link { not_after: LATER + Seconds(1), ..good.clone() },
            Link { not_before: LATER + Seconds(1), ..good.clone() },
        ] {
            assert!(matches!(bad.sign(&fleet.link_key), Err(Error::Inconsistent { .. })), "{bad:?}");
            let signed = forged(&bad, &fleet.link_key, |_| ());
            let found = Link::verify(&signed, &fleet.me, ERRAND, &fleet.trust, NOW);
            assert!(matches!(found, Err(Error::Inconsistent { .. })), "{bad:?}");
        }
        let endless = Link { path: format!("/{}", "a".repeat(2_048)), ..good.clone() };
        assert_eq!(said(endless.sign(&fleet.link_key)), "longer than 2048 bytes");
        let signed = forged(&good, &fleet.link_key, |fields| fields.push((10, Value::Int(1))));
        assert_eq!(said(Link::verify(&signed, &fleet.me, ERRAND, &fleet.trust, NOW)), "field 10 is unknown");
    }
}
