use super::{Counter, DEVICE, Issuer, KEM, Key, NOW, World, serial, years};
use crate::{
    Ca, CaCertificate, CaKind, CaRole, Certificate, CertificateDer, Csr, DeviceCertificate, DeviceProfile,
    Error, IdentityCsr, P256Signer, PersonCertificate, PersonProfile, Revoked, ServerCertificate,
    ServerProfile, SignError, asn1::Signed, crl, csr, self_signed,
};
use der::Decode;
use model::{Seconds, UnixTime};
use proptest::prelude::*;

pub(super) fn device(issuer: &Issuer, key: &Key, not_after: UnixTime) -> CertificateDer<'static> {
    let csr = Csr::parse(&csr::build(key, &KEM, Some(&serial())).unwrap()).unwrap();
    let profile = DeviceProfile {
        device: DEVICE,
        serial: serial(),
        model: "GW-200".parse().unwrap(),
        not_after,
        certificate_serial: [5; 16],
    };
    profile.issue(&csr, &issuer.ca(), NOW).unwrap()
}

pub(super) fn person(issuer: &Issuer, key: &Key) -> CertificateDer<'static> {
    let csr = IdentityCsr::parse(&csr::build_identity(key).unwrap()).unwrap();
    let profile = PersonProfile { person: "Ada Sample".parse().unwrap(), not_after: years(1) };
    profile.issue(&csr, &issuer.ca(), &mut Counter(6), NOW).unwrap()
}

pub(super) fn server(issuer: &Issuer, key: &Key) -> CertificateDer<'static> {
    let csr = IdentityCsr::parse(&csr::build_identity(key).unwrap()).unwrap();
    let profile = ServerProfile {
        dns_names: vec!["updates.example.com".into(), "localhost".into()],
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        not_after: years(1),
    };
    profile.issue(&csr, &issuer.ca(), &mut Counter(7), NOW).unwrap()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_birth_certificate_says_who_the_device_is_and_never_ends() {
    let world = World::new();
    let key = Key::new();
    let der = device(&world.station("line-1"), &key, UnixTime::MAX);
    let read = DeviceCertificate::parse(&der).unwrap();
    assert_eq!(read.device_id(), DEVICE);
    assert_eq!(read.serial(), &serial());
    assert_eq!(read.kem_public(), &KEM);
    assert_eq!(read.station_domain(), "line-1.devices.fleet.example.com");
    assert_eq!(read.certificate().key().sec1(), &key.public_key_sec1());
    assert_eq!(read.certificate().not_after(), UnixTime::MAX);
    assert_eq!(read.certificate().not_before(), NOW - Seconds::minutes(5));
    assert!(contains(&der, b"\x18\x0f99991231235959Z"));
    assert!(contains(&der, b"urn:uuid:f81d4fae-7dec-41d0-a765-00a0c91e6bf6"));
    assert!(contains(&der, b"\x13\x0aSN/00-17.b"), "a PrintableString has no underscore");
    assert!(contains(&der, b"\x04\x0aSN_00-17.b"), "the hardware module name has it to the letter");
}

#[test]
fn people_and_servers_are_named_in_their_certificates() {
    let world = World::new();
    let person = person(&world.issuer(CaKind::People, years(10)), &Key::new());
    assert_eq!(PersonCertificate::parse(&person).unwrap().person().as_str(), "Ada Sample");
    assert!(DeviceCertificate::parse(&person).is_err());
    assert!(ServerCertificate::parse(&person).is_err());
    let server = server(&world.issuer(CaKind::Servers, years(10)), &Key::new());
    let names: Vec<_> = ServerCertificate::parse(&server).unwrap().dns_names().to_vec();
    assert_eq!(names, ["updates.example.com".into(), "localhost".into()]);
    assert!(PersonCertificate::parse(&server).is_err());
}

#[test]
fn ca_certificates_say_what_they_may_issue() {
    let world = World::new();
    assert_eq!(CaCertificate::parse(&world.root).unwrap().role(), &CaRole::Root);
    let domain = |domain: &str| Box::from(domain);
    for (kind, role) in [
        (
            CaKind::Devices("People".parse().unwrap()),
            CaRole::Devices { domain: domain("people.devices.fleet.example.com") },
        ),
        (CaKind::People, CaRole::People { domain: domain("people.fleet.example.com") }),
        (CaKind::Servers, CaRole::Servers),
        (CaKind::Gateways, CaRole::Gateways { domain: domain("gateways.fleet.example.com") }),
    ] {
        assert_eq!(world.issuer(kind, UnixTime::MAX).certificate.role(), &role);
    }
    assert!(CaCertificate::parse(&device(&world.station("a"), &Key::new(), UnixTime::MAX)).is_err());
    assert!("devices.example.com".parse::<crate::FleetDomain>().is_err());
    for wrong in ["", ".", "a..b", "A.example", "a_b", "-a", "a-", "é", &"a.".repeat(70)] {
        assert!(wrong.parse::<crate::FleetDomain>().is_err(), "{wrong}");
    }
}

#[test]
fn a_ca_issues_nothing_but_its_own_kind() {
    let world = World::new();
    let key = Key::new();
    let device = Csr::parse(&csr::build(&key, &KEM, None).unwrap()).unwrap();
    let plain = IdentityCsr::parse(&csr::build_identity(&key).unwrap()).unwrap();
    let device_profile = DeviceProfile {
        device: DEVICE,
        serial: serial(),
        model: "m".parse().unwrap(),
        not_after: years(1),
        certificate_serial: [5; 16],
    };
    let person_profile = PersonProfile { person: "Ada".parse().unwrap(), not_after: years(1) };
    let server_profile =
        ServerProfile { dns_names: vec!["a.example".into()], addresses: vec![], not_after: years(1) };
    let random = &mut Counter(1);

    let root = CaCertificate::parse(&world.root).unwrap();
    let people = world.issuer(CaKind::People, years(10));
    let servers = world.issuer(CaKind::Servers, years(10));
    let gateways = world.issuer(CaKind::Gateways, years(10));
    let station = world.station("line-1");
    let root = Ca::new(&root, &world.root_key).unwrap();
    for ca in [&root, &people.ca(), &servers.ca(), &gateways.ca()] {
        let refused = device_profile.issue(&device, ca, NOW);
        assert!(matches!(refused, Err(Error::WrongCa { .. })));
    }
    for ca in [&root, &station.ca(), &servers.ca(), &gateways.ca()] {
        let refused = person_profile.issue(&plain, ca, random, NOW);
        assert!(matches!(refused, Err(Error::WrongCa { .. })));
    }
    for ca in [&root, &station.ca(), &people.ca(), &gateways.ca()] {
        let refused = server_profile.issue(&plain, ca, random, NOW);
        assert!(matches!(refused, Err(Error::WrongCa { .. })));
    }
    let sub = crate::CaProfile {
        kind: CaKind::People,
        domain: "fleet.example.com".parse().unwrap(),
        not_after: years(1),
    };
    let refused = sub.issue(plain.key(), &station.ca(), random, NOW);
    assert!(matches!(refused, Err(Error::WrongCa { .. })));
    assert!(matches!(Ca::new(&people.certificate, &station.key), Err(Error::SignerMismatch)));
}

#[test]
fn no_certificate_outlives_its_ca_or_ends_before_it_begins() {
    let world = World::new();
    let people = world.issuer(CaKind::People, years(2));
    let plain = IdentityCsr::parse(&csr::build_identity(&Key::new()).unwrap()).unwrap();
    let issue = |not_after, now| {
        let profile = PersonProfile { person: "Ada".parse().unwrap(), not_after };
        profile.issue(&plain, &people.ca(), &mut Counter(1), now)
    };
    assert!(issue(years(2), NOW).is_ok());
    for (not_after, now) in [
        (years(2) + Seconds(1), NOW),
        (UnixTime::MAX, NOW),
        (NOW, NOW),
        (years(1), years(1)),
        (years(1), UnixTime::EPOCH),
    ] {
        assert!(matches!(issue(not_after, now), Err(Error::Validity)), "{not_after} {now}");
    }
}

#[test]
fn a_server_needs_names_that_are_names() {
    let servers = World::new().issuer(CaKind::Servers, years(2));
    let plain = IdentityCsr::parse(&csr::build_identity(&Key::new()).unwrap()).unwrap();
    for names in [&[][..], &["*.example.com"], &["a b"], &["EXAMPLE.com"], &["a.example", ""], &["1.2.3.4\0"]]
    {
        let profile = ServerProfile {
            dns_names: names.iter().map(|&name| name.into()).collect(),
            addresses: vec![],
            not_after: years(1),
        };
        let refused = profile.issue(&plain, &servers.ca(), &mut Counter(1), NOW);
        assert!(matches!(refused, Err(Error::Name { .. })), "{names:?}");
    }
}

#[test]
fn a_serial_number_always_has_sixteen_octets_and_is_positive() {
    struct Fill(u8);
    impl model::Random for Fill {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }
    let key = Key::new();
    for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
        let der = self_signed(&key, &mut Fill(byte)).unwrap();
        let serial = *Certificate::parse(&der).unwrap().serial();
        assert!((0x40..0x80).contains(&serial[0]), "{serial:02x?}");
    }
}

#[test]
fn a_locked_key_issues_nothing() {
    struct Locked(Key);
    impl P256Signer for Locked {
        fn public_key_sec1(&self) -> [u8; 65] {
            self.0.public_key_sec1()
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError::Locked)
        }
    }
    let locked = Locked(Key::new());
    assert!(matches!(csr::build_identity(&locked), Err(SignError::Locked)));
    let profile = crate::RootProfile { organization: "Sample".parse().unwrap() };
    let refused = profile.issue(&locked, &mut Counter(0), NOW);
    assert!(matches!(refused, Err(Error::Sign(SignError::Locked))));
}

#[test]
fn the_enrolment_certificate_is_valid_at_any_time_and_signed_by_its_own_key() {
    let key = Key::new();
    let der = self_signed(&key, &mut Counter(3)).unwrap();
    let read = Certificate::parse(&der).unwrap();
    assert_eq!((read.not_before(), read.not_after()), (UnixTime::EPOCH, UnixTime::MAX));
    assert_eq!(read.key().sec1(), &key.public_key_sec1());
    assert!(DeviceCertificate::parse(&der).is_err());
}

#[test]
fn a_revocation_list_is_one_that_webpki_reads() {
    let station = World::new().station("line-1");
    let revoked = Revoked { serial: [0x41; 16], revoked_at: NOW };
    let der = crl(&station.ca(), &[revoked], 300, NOW, years(1)).unwrap();
    let list = webpki::BorrowedCertRevocationList::from_der(&der).unwrap();
    let list = webpki::CertRevocationList::from(list);
    assert!(list.find_serial(&[0x41; 16]).unwrap().is_some());
    assert!(list.find_serial(&[0x42; 16]).unwrap().is_none());
    let signed = Signed::from_der(&der).unwrap();
    let key = station.certificate.certificate().key();
    assert!(key.verifies(signed.body.0, signed.signature.raw_bytes()));
    assert_eq!(list.issuer(), &station.certificate.subject()[2..]);
    let empty = crl(&station.ca(), &[], 0, NOW, years(1)).unwrap();
    webpki::BorrowedCertRevocationList::from_der(&empty).unwrap();
    assert!(matches!(crl(&station.ca(), &[], 1, NOW, NOW), Err(Error::Validity)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_certificate_with_any_byte_changed_reads_as_no_other_device(
        at in any::<prop::sample::Index>(),
        by in 1_u8..=255,
    ) {
        let world = World::new();
        let station = world.station("line-1");
        let der = device(&station, &Key::new(), UnixTime::MAX);
        let mut altered = der.to_vec();
        altered[at.index(der.len())] ^= by;
        // Reading is no verification; but nothing panics, and the path never holds.
        let _ = DeviceCertificate::parse(&altered);
        let (issuers, roots) = ([station.der.clone()], [world.root.clone()]);
        let verify = |leaf: &[u8]| crate::verify_chain(leaf, &issuers, &roots, Some(NOW), crate::Usage::Device);
        prop_assert!(verify(&der).is_ok());
        prop_assert!(verify(&altered).is_err());
    }
}
