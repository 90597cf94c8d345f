use model::{Seconds, UnixTime};

use super::{
    Counter, DEVICE, Issuer, KEM, Key, NOW, World,
    issue::{device, person, server},
    serial, years,
};
use crate::{
    CaKind, Csr, DeviceCertificate, Error, P256PublicKey, P256Signer, Usage,
    asn1::{oid, sequence, tlv},
    csr,
    draft::{Draft, Ext},
    kem, name, oid, verify_chain,
};

fn verify(world: &World, leaf: &[u8], issuer: &Issuer, usage: Usage) -> Result<(), Error> {
    verify_chain(leaf, std::slice::from_ref(&issuer.der), std::slice::from_ref(&world.root), Some(NOW), usage)
        .map(|chain| assert_eq!(chain.issuer(), &issuer.certificate))
}

fn path_error<T: std::fmt::Debug>(result: Result<T, Error>) -> webpki::Error {
    match result {
        Err(Error::Path { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_issued_verifies_for_its_own_use_and_no_other() {
    let world = World::new();
    let station = world.station("line-1");
    let people = world.issuer(CaKind::People, years(10));
    let servers = world.issuer(CaKind::Servers, years(10));
    let leaves = [
        (Usage::Device, device(&station, &Key::new(), UnixTime::MAX), &station),
        (Usage::Person, person(&people, &Key::new()), &people),
        (Usage::Server, server(&servers, &Key::new()), &servers),
    ];
    for (own, leaf, issuer) in &leaves {
        for usage in [Usage::Device, Usage::Person, Usage::Server] {
            let verified = verify(&world, leaf, issuer, usage);
            assert_eq!(verified.is_ok(), usage == *own, "{own:?} as {usage:?}: {verified:?}");
        }
        for other in [&station, &people, &servers] {
            let verified = verify(&world, leaf, other, *own);
            assert_eq!(verified.is_ok(), other.der == issuer.der);
        }
        // Without the CA between, under another root, and under itself.
        assert!(verify_chain(leaf, &[], std::slice::from_ref(&world.root), Some(NOW), *own).is_err());
        assert!(verify(&World::new(), leaf, issuer, *own).is_err());
        assert!(verify_chain(leaf, &[], std::slice::from_ref(leaf), Some(NOW), *own).is_err());
    }
}

#[test]
fn a_birth_certificate_is_valid_to_the_last_second_of_9999() {
    let world = World::new();
    let station = world.station("line-1");
    let leaf = device(&station, &Key::new(), UnixTime::MAX);
    let at = |now| {
        let (issuers, roots) = ([station.der.clone()], [world.root.clone()]);
        verify_chain(&leaf, &issuers, &roots, now, Usage::Device)
    };
    at(Some(UnixTime::MAX)).unwrap();
    at(Some(NOW - Seconds::minutes(5))).unwrap();
    let early = path_error(at(Some(UnixTime::EPOCH)));
    assert!(matches!(early, webpki::Error::CertNotValidYet { .. }), "{early:?}");
    // Who has no clock takes the certificate's own beginning.
    at(None).unwrap();
}

#[test]
fn a_short_certificate_ends_when_it_says() {
    let world = World::new();
    let station = world.station("line-1");
    let leaf = device(&station, &Key::new(), years(1));
    let at = |now| {
        let (issuers, roots) = ([station.der.clone()], [world.root.clone()]);
        verify_chain(&leaf, &issuers, &roots, Some(now), Usage::Device)
    };
    at(years(1)).unwrap();
    let late = path_error(at(years(1) + Seconds(1)));
    assert!(matches!(late, webpki::Error::CertExpired { .. }), "{late:?}");
}

#[test]
fn the_chain_names_the_station_and_the_root() {
    let world = World::new();
    let station = world.station("line-1");
    let leaf = device(&station, &Key::new(), UnixTime::MAX);
    let (issuers, roots) = ([station.der.clone()], [world.root.clone()]);
    let chain = verify_chain(&leaf, &issuers, &roots, Some(NOW), Usage::Device).unwrap();
    assert_eq!(chain.issuer().spki_digest(), station.certificate.spki_digest());
    let root = P256PublicKey::from_sec1(world.root_key.public_key_sec1()).unwrap();
    assert_eq!(chain.root(), root.spki_digest());
}

/// What a station's key could sign if its holder minded no profile.
fn forge(
    issuer: &Issuer,
    alt_names: &[Vec<u8>],
    usage: &[u8],
    change: impl FnOnce(&mut Vec<Ext>),
) -> Result<Vec<u8>, Error> {
    let key = Key::new();
    let public = P256PublicKey::from_sec1(key.public_key_sec1()).unwrap();
    let alt_names = sequence(&alt_names.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut extensions = vec![
        Ext { id: oid::BASIC_CONSTRAINTS, critical: true, value: sequence(&[]) },
        Ext { id: oid::KEY_USAGE, critical: true, value: vec![0x03, 0x02, 0x07, 0x80] },
        Ext::extended_key_usage(&[usage]),
        Ext { id: oid::SUBJECT_ALT_NAME, critical: false, value: alt_names },
        Ext { id: oid::KEM_KEY, critical: false, value: kem::spki(&KEM).to_vec() },
    ];
    change(&mut extensions);
    let subject = name::distinguished(&[
        (oid::ORGANIZATION, "Sample Works"),
        (oid::SERIAL_NUMBER, &name::printable_serial(&serial())),
        (oid::COMMON_NAME, "Ada Sample"),
    ]);
    let draft = Draft {
        serial: [0x55; 16],
        issuer: issuer.certificate.subject(),
        issuer_key: issuer.certificate.certificate().key(),
        not_before: NOW,
        not_after: UnixTime::MAX,
        subject: &subject,
        key: &public,
        extensions,
    };
    draft.sign(&issuer.key).map(|der| der.to_vec())
}

fn device_names(dns: &str) -> [Vec<u8>; 3] {
    let module = sequence(&[&oid(&[0x2a, 0x03]), &tlv(0x04, &[serial().as_str().as_bytes()])]);
    [
        tlv(0x86, &[format!("urn:uuid:{}", name::uuid(&DEVICE)).as_bytes()]),
        tlv(0x82, &[dns.as_bytes()]),
        tlv(0xa0, &[&oid(oid::HARDWARE_MODULE_NAME), &tlv(0xa0, &[&module])]),
    ]
}

#[test]
fn a_station_certifies_no_device_outside_its_name_space() {
    let world = World::new();
    let station = world.station("line-1");
    let uuid = name::uuid(&DEVICE);
    let dns = |domain: &str| format!("{uuid}.{domain}");
    let sign = |names: &[Vec<u8>]| forge(&station, names, oid::CLIENT_AUTH, |_| {}).unwrap();

    let own = sign(&device_names(&dns("line-1.devices.fleet.example.com")));
    verify(&world, &own, &station, Usage::Device).unwrap();
    for space in [
        "line-2.devices.fleet.example.com",
        "devices.fleet.example.com",
        "fleet.example.com",
        "xline-1.devices.fleet.example.com",
        "line-1.devices.fleet.example.com.evil.com",
        "people.fleet.example.com",
    ] {
        let foreign = sign(&device_names(&dns(space)));
        assert!(DeviceCertificate::parse(&foreign).is_ok(), "{space}");
        let reason = path_error(verify(&world, &foreign, &station, Usage::Device));
        assert_eq!(reason, webpki::Error::NameConstraintViolation, "{space}");
    }
    // Deeper inside its own space is not the profile, and without any DNS name constraints bind nothing.
    let deeper = sign(&device_names(&dns("x.line-1.devices.fleet.example.com")));
    assert!(verify(&world, &deeper, &station, Usage::Device).is_err());
    let [uri, _, module] = device_names("");
    assert!(verify(&world, &sign(&[uri, module]), &station, Usage::Device).is_err());
}

#[test]
fn a_station_certifies_neither_people_nor_servers_nor_cas() {
    let world = World::new();
    let station = world.station("line-1");
    let name = |name: &str| [tlv(0x82, &[name.as_bytes()])];
    for own in ["x.line-1.devices.fleet.example.com", "x.people.fleet.example.com"] {
        let person = forge(&station, &name(own), oid::CLIENT_AUTH, |_| {}).unwrap();
        assert!(verify(&world, &person, &station, Usage::Person).is_err(), "{own}");
    }
    let server =
        forge(&station, &name("x.line-1.devices.fleet.example.com"), oid::SERVER_AUTH, |_| {}).unwrap();
    let reason = path_error(verify(&world, &server, &station, Usage::Server));
    assert!(matches!(reason, webpki::Error::RequiredEkuNotFoundContext(_)), "{reason:?}");

    // A CA of its own below it breaks the path length.
    let sub_key = Key::new();
    let public = P256PublicKey::from_sec1(sub_key.public_key_sec1()).unwrap();
    let subject = name::distinguished(&[(oid::ORGANIZATION, "Sample Works"), (oid::COMMON_NAME, "sub")]);
    let draft = Draft {
        serial: [0x56; 16],
        issuer: station.certificate.subject(),
        issuer_key: station.certificate.certificate().key(),
        not_before: NOW,
        not_after: UnixTime::MAX,
        subject: &subject,
        key: &public,
        extensions: vec![
            Ext {
                id: oid::BASIC_CONSTRAINTS,
                critical: true,
                value: sequence(&[&[0x01, 0x01, 0xff], &[0x02, 0x01, 0x00]]),
            },
            Ext { id: oid::KEY_USAGE, critical: true, value: vec![0x03, 0x02, 0x01, 0x06] },
            Ext::extended_key_usage(&[oid::CLIENT_AUTH]),
            Ext {
                id: oid::NAME_CONSTRAINTS,
                critical: true,
                value: sequence(&[&tlv(
                    0xa0,
                    &[&sequence(&[&tlv(0x82, &[b"line-1.devices.fleet.example.com"])])],
                )]),
            },
        ],
    };
    let der = draft.sign(&station.key).unwrap();
    let sub = Issuer { certificate: crate::CaCertificate::parse(&der).unwrap(), der, key: sub_key };
    let leaf = device(&sub, &Key::new(), UnixTime::MAX);
    let between = [sub.der.clone(), station.der.clone()];
    let reason = path_error(verify_chain(
        &leaf,
        &between,
        std::slice::from_ref(&world.root),
        Some(NOW),
        Usage::Device,
    ));
    assert_eq!(reason, webpki::Error::PathLenConstraintViolated);
}

#[test]
fn a_leaf_that_breaks_the_profile_is_no_device() {
    let world = World::new();
    let station = world.station("line-1");
    let dns = format!("{}.line-1.devices.fleet.example.com", name::uuid(&DEVICE));
    let names = device_names(&dns);
    let sign = |change: fn(&mut Vec<Ext>)| forge(&station, &names, oid::CLIENT_AUTH, change).unwrap();
    verify(&world, &sign(|_| {}), &station, Usage::Device).unwrap();
    for change in [
        (|extensions: &mut Vec<Ext>| extensions.retain(|ext| ext.id != oid::KEM_KEY)) as fn(&mut Vec<Ext>),
        |extensions| extensions.retain(|ext| ext.id != oid::BASIC_CONSTRAINTS),
        |extensions| extensions.retain(|ext| ext.id != oid::EXTENDED_KEY_USAGE),
        |extensions| {
            extensions.retain(|ext| ext.id != oid::EXTENDED_KEY_USAGE);
            extensions.push(Ext::extended_key_usage(&[oid::CLIENT_AUTH, oid::SERVER_AUTH]));
        },
        |extensions| {
            extensions.retain(|ext| ext.id != oid::KEM_KEY);
            extensions.push(Ext { id: oid::KEM_KEY, critical: false, value: kem::spki(&[0; 32]).to_vec() });
        },
        |extensions| extensions.push(Ext { id: &[0x2a, 0x03], critical: true, value: vec![] }),
    ] {
        assert!(verify(&world, &sign(change), &station, Usage::Device).is_err());
    }
    let twice = |extensions: &mut Vec<Ext>| {
        let kem = extensions.pop().unwrap();
        extensions.push(kem.clone());
        extensions.push(kem);
    };
    // What is issued is read back, so a doubled extension is never given out.
    let doubled = forge(&station, &names, oid::CLIENT_AUTH, twice);
    assert!(matches!(doubled, Err(Error::Malformed { .. })), "{doubled:?}");

    // Another device's UUID in the DNS name, another serial number in the subject.
    let [uri, _, module] = names.clone();
    let other = tlv(0x82, &[b"00000000-0000-0000-0000-000000000000.line-1.devices.fleet.example.com"]);
    let mixed = forge(&station, &[uri.clone(), other, module], oid::CLIENT_AUTH, |_| {}).unwrap();
    assert!(verify(&world, &mixed, &station, Usage::Device).is_err());
    let elsewhere = sequence(&[&oid(&[0x2a, 0x03]), &tlv(0x04, &[b"SN-OTHER"])]);
    let elsewhere = tlv(0xa0, &[&oid(oid::HARDWARE_MODULE_NAME), &tlv(0xa0, &[&elsewhere])]);
    let mixed =
        forge(&station, &[uri, tlv(0x82, &[dns.as_bytes()]), elsewhere], oid::CLIENT_AUTH, |_| {}).unwrap();
    assert!(verify(&world, &mixed, &station, Usage::Device).is_err());
}

#[test]
fn a_renewed_certificate_carries_the_same_key() {
    let world = World::new();
    let station = world.station("line-1");
    let key = Key::new();
    let first = DeviceCertificate::parse(&device(&station, &key, years(1))).unwrap();
    let second = DeviceCertificate::parse(&device(&station, &key, years(2))).unwrap();
    assert_eq!(first.spki_digest(), second.spki_digest());
    assert_ne!(first.certificate().sha256(), second.certificate().sha256());
    let csr = Csr::parse(&csr::build(&key, &KEM, None).unwrap()).unwrap();
    assert_eq!(csr.spki_digest(), first.spki_digest());
    let mut one = Counter(1);
    assert_ne!(crate::draft::random_serial(&mut one), crate::draft::random_serial(&mut one));
}
