use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use proptest::prelude::*;

use super::{KEM, Key, serial};
use crate::{
    Csr, CsrError, IdentityCsr, P256PublicKey, P256Signer,
    asn1::{oid, sequence, tlv},
    csr, kem,
    key::signature_der,
    name, oid,
};

/// A request in its parts, each as an attacker would have it.
struct Parts {
    version: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    attributes: Vec<u8>,
    algorithm: Vec<u8>,
}

impl Parts {
    fn honest(key: &Key) -> Self {
        Self {
            version: vec![0x02, 0x01, 0x00],
            subject: name::distinguished(&[(oid::SERIAL_NUMBER, "SN/00-17.b")]),
            spki: P256PublicKey::from_sec1(key.public_key_sec1()).unwrap().spki_der().to_vec(),
            attributes: tlv(0xa0, &[&request(&[kem_extension()])]),
            algorithm: sequence(&[&oid(oid::ECDSA_WITH_SHA256)]),
        }
    }

    fn sign(&self, key: &Key) -> Vec<u8> {
        let info = sequence(&[&self.version, &self.subject, &self.spki, &self.attributes]);
        let signature = signature_der(&key.sign(&info).unwrap());
        sequence(&[&info, &self.algorithm, &tlv(0x03, &[&[0], &signature])])
    }
}

fn request(extensions: &[Vec<u8>]) -> Vec<u8> {
    let list = sequence(&extensions.iter().map(Vec::as_slice).collect::<Vec<_>>());
    sequence(&[&oid(oid::EXTENSION_REQUEST), &tlv(0x31, &[&list])])
}

fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&oid(id), &tlv(0x04, &[value])])
}

fn kem_extension() -> Vec<u8> {
    extension(oid::KEM_KEY, &kem::spki(&KEM))
}

fn with(change: impl FnOnce(&mut Parts)) -> Result<Csr, CsrError> {
    let key = Key::new();
    let mut parts = Parts::honest(&key);
    change(&mut parts);
    Csr::parse(&parts.sign(&key))
}

fn asking(extensions: &[Vec<u8>]) -> Result<Csr, CsrError> {
    with(|parts| parts.attributes = tlv(0xa0, &[&request(extensions)]))
}

#[test]
fn an_honest_request_gives_its_keys_and_serial_number() {
    let key = Key::new();
    let by_hand = Parts::honest(&key).sign(&key);
    let built = csr::build(&key, &KEM, Some(&serial())).unwrap();
    // ECDSA is randomised, so the two differ in their signatures alone.
    assert_eq!(by_hand[4..200], built[4..200]);
    for der in [by_hand, built] {
        let csr = Csr::parse(&der).unwrap();
        assert_eq!(csr.key().sec1(), &key.public_key_sec1());
        assert_eq!(csr.kem_public(), &KEM);
        assert_eq!(csr.serial(), Some(&serial()));
        assert_eq!(IdentityCsr::parse(&der), Err(CsrError::Kem));
    }
    let csr = Csr::parse(&csr::build(&key, &KEM, None).unwrap()).unwrap();
    assert_eq!(csr.serial(), None);
    let plain = csr::build_identity(&key).unwrap();
    assert_eq!(IdentityCsr::parse(&plain).unwrap().spki_digest(), csr.spki_digest());
    assert_eq!(Csr::parse(&plain), Err(CsrError::Kem));
}

#[test]
fn what_real_devices_send_besides_is_ignored() {
    // Another subject, a challenge password, a key usage, CA:FALSE and an unknown extension whose
    // identifier has an arc of 128 bits.
    let password = sequence(&[
        &oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07]),
        &tlv(0x31, &[&tlv(0x0c, &[b"secret"])]),
    ]);
    let extensions = request(&[
        extension(oid::BASIC_CONSTRAINTS, &sequence(&[])),
        extension(oid::KEY_USAGE, &[0x03, 0x02, 0x07, 0x80]),
        extension(&[&[0x69][..], &[0xff; 18], &[0x7f]].concat(), b"anything"),
        kem_extension(),
    ]);
    let mut attributes = [password, extensions];
    attributes.sort();
    let csr = with(|parts| {
        parts.subject = name::distinguished(&[
            (oid::ORGANIZATION, "Elsewhere"),
            (oid::ORGANIZATIONAL_UNIT, "one"),
            (oid::ORGANIZATIONAL_UNIT, "two"),
        ]);
        parts.attributes = tlv(0xa0, &[&attributes[0], &attributes[1]]);
    });
    assert_eq!(csr.unwrap().serial(), None);
}

#[test]
fn a_request_that_asks_to_be_a_ca_is_refused() {
    let ca = sequence(&[&[0x01, 0x01, 0xff]]);
    let path = sequence(&[&[0x02, 0x01, 0x00]]);
    let usage = |bits: u8| extension(oid::KEY_USAGE, &[0x03, 0x02, 0x01, bits]);
    for ask in [
        extension(oid::BASIC_CONSTRAINTS, &ca),
        extension(oid::BASIC_CONSTRAINTS, &path),
        usage(0x04),
        usage(0x02),
        usage(0x86),
        extension(oid::NAME_CONSTRAINTS, &sequence(&[])),
    ] {
        assert_eq!(asking(&[kem_extension(), ask.clone()]), Err(CsrError::AsksForCa), "{ask:02x?}");
        assert_eq!(asking(&[ask, kem_extension()]), Err(CsrError::AsksForCa));
    }
    // CA:TRUE in BER, where true is not 0xff.
    let lax = extension(oid::BASIC_CONSTRAINTS, &sequence(&[&[0x01, 0x01, 0x01]]));
    assert!(matches!(asking(&[kem_extension(), lax]), Err(CsrError::Malformed { .. })));
}

#[test]
fn a_kem_key_must_be_there_once_and_be_sound() {
    let bytes = kem::spki(&KEM);
    let ed25519 = [&bytes[..8], &[0x70], &bytes[9..]].concat();
    let critical = sequence(&[&oid(oid::KEM_KEY), &[0x01, 0x01, 0xff], &tlv(0x04, &[&bytes])]);
    for wrong in [
        vec![],
        vec![extension(oid::KEM_KEY, &[])],
        vec![extension(oid::KEM_KEY, &kem::spki(&[0; 32]))],
        vec![extension(oid::KEM_KEY, &kem::spki(&[0xff; 32]))],
        vec![extension(oid::KEM_KEY, &bytes[..43])],
        vec![extension(oid::KEM_KEY, &[&bytes[..], &[0]].concat())],
        vec![extension(oid::KEM_KEY, &ed25519)],
        vec![extension(oid::KEM_KEY, &KEM)],
        vec![critical],
    ] {
        assert_eq!(asking(&wrong), Err(CsrError::Kem), "{wrong:02x?}");
    }
    let mut other = KEM;
    other[1] = 1;
    let other = extension(oid::KEM_KEY, &kem::spki(&other));
    let twice = Err(CsrError::Duplicate { what: "an extension" });
    assert_eq!(asking(&[kem_extension(), other.clone()]), twice);
    assert_eq!(asking(&[kem_extension(), kem_extension()]), twice);

    // The second one hidden in a second attribute, and in a second value.
    let mut attributes = [request(&[kem_extension()]), request(std::slice::from_ref(&other))];
    attributes.sort();
    let csr = with(|parts| parts.attributes = tlv(0xa0, &[&attributes[0], &attributes[1]]));
    assert_eq!(csr, Err(CsrError::Duplicate { what: "an attribute" }));
    let mut lists = [sequence(&[&kem_extension()]), sequence(&[&other])];
    lists.sort();
    let values = tlv(0x31, &[&lists[0], &lists[1]]);
    let csr = with(|parts| {
        parts.attributes = tlv(0xa0, &[&sequence(&[&oid(oid::EXTENSION_REQUEST), &values])]);
    });
    assert_eq!(csr, Err(CsrError::Duplicate { what: "the extension request" }));
}

#[test]
fn a_key_that_is_not_on_p256_is_refused() {
    let key = Key::new();
    let honest = Parts::honest(&key).spki;
    let point = key.public_key_sec1();
    let algorithm = |curve: &[u8]| sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]), curve]);
    let spki = |curve: &[u8], point: &[u8]| sequence(&[&algorithm(curve), &tlv(0x03, &[&[0], point])]);
    let p256 = oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    assert_eq!(spki(&p256, &point), honest);

    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let mut off_curve = point;
    off_curve[64] ^= 1;
    let compressed = [&[0x02 | point[64] & 1], &point[1..33]].concat();
    let hybrid = [&[0x06 | point[64] & 1], &point[1..]].concat();
    for wrong in [
        spki(&oid(&[0x2b, 0x81, 0x04, 0x00, 0x22]), p384.public_key().as_ref()),
        sequence(&[
            &sequence(&[&oid(&[0x2b, 0x65, 0x70])]),
            &tlv(0x03, &[&[0], ed25519.public_key().as_ref()]),
        ]),
        spki(&oid(&[0x2b, 0x81, 0x04, 0x00, 0x0a]), &point),
        spki(&[0x05, 0x00], &point),
        spki(&[], &point),
        spki(&p256, &off_curve),
        spki(&p256, &compressed),
        spki(&p256, &hybrid),
        spki(&p256, &[0]),
        spki(&p256, &[]),
    ] {
        let refused = with(|parts| parts.spki.clone_from(&wrong));
        assert_eq!(refused, Err(CsrError::NotP256), "{wrong:02x?}");
    }
}

#[test]
fn possession_must_be_proven_with_the_one_algorithm() {
    let (key, other) = (Key::new(), Key::new());
    // A stranger's key, signed with one's own.
    assert_eq!(Csr::parse(&Parts::honest(&other).sign(&key)), Err(CsrError::Possession));
    // A signature moved from another request of the same key.
    let ours = Parts::honest(&key);
    let info = |parts: &Parts| sequence(&[&parts.version, &parts.subject, &parts.spki, &parts.attributes]);
    let theirs = Parts { subject: name::distinguished(&[]), ..Parts::honest(&key) };
    let signature = signature_der(&key.sign(&info(&theirs)).unwrap());
    let moved = sequence(&[&info(&ours), &ours.algorithm, &tlv(0x03, &[&[0], &signature])]);
    assert_eq!(Csr::parse(&moved), Err(CsrError::Possession));
    // r and s without their structure, none at all, zeros, and unused bits.
    let raw = key.sign(&info(&ours)).unwrap();
    let proper = signature_der(&raw);
    let zeros = signature_der(&[0; 64]);
    for bits in [&[&[0][..], &raw[..]].concat(), &vec![0], &[&[0][..], &zeros[..]].concat()] {
        let der = sequence(&[&info(&ours), &ours.algorithm, &tlv(0x03, &[bits])]);
        assert_eq!(Csr::parse(&der), Err(CsrError::Possession));
    }
    let unused = sequence(&[&info(&ours), &ours.algorithm, &tlv(0x03, &[&[3], &proper])]);
    assert!(Csr::parse(&unused).is_err());

    // ecdsa-with-SHA384, ecdsa-with-SHA1, Ed25519, and SHA256 with parameters.
    for algorithm in [
        sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03])]),
        sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01])]),
        sequence(&[&oid(&[0x2b, 0x65, 0x70])]),
        sequence(&[&oid(oid::ECDSA_WITH_SHA256), &[0x05, 0x00]]),
    ] {
        assert_eq!(with(|parts| parts.algorithm = algorithm), Err(CsrError::Algorithm));
    }
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let signature = p384.sign(&SystemRandom::new(), &info(&ours)).unwrap();
    let der = sequence(&[&info(&ours), &ours.algorithm, &tlv(0x03, &[&[0], signature.as_ref()])]);
    assert_eq!(Csr::parse(&der), Err(CsrError::Possession));
}

#[test]
fn only_strict_der_is_a_request() {
    let key = Key::new();
    let honest = Parts::honest(&key).sign(&key);
    assert!(Csr::parse(&honest).is_ok());
    let malformed = |der: &[u8], what: &str| {
        assert!(matches!(Csr::parse(der), Err(CsrError::Malformed { .. })), "{what}");
    };
    malformed(&[&honest[..], &[0]].concat(), "a trailing byte");
    malformed(&[&honest[..], &honest[..]].concat(), "a second request");
    malformed(&honest[..honest.len() - 1], "cut");
    malformed(&[], "nothing");
    malformed(&[0x30, 0x80, 0x00, 0x00], "an indefinite length");
    // The outer length in one octet more than it needs.
    malformed(&[&[0x30, 0x83, 0x00], &honest[2..]].concat(), "a padded length");
    malformed(b"-----BEGIN CERTIFICATE REQUEST-----", "PEM");

    for change in [
        (|parts: &mut Parts| parts.version = vec![0x02, 0x01, 0x01]) as fn(&mut Parts),
        |parts| parts.version = vec![0x02, 0x02, 0x00, 0x00],
        |parts| parts.version = vec![],
        |parts| parts.attributes = vec![],
        |parts| parts.attributes = tlv(0xa1, &[]),
        |parts| parts.attributes = tlv(0xa0, &[b"xyz"]),
        |parts| parts.attributes = tlv(0xa0, &[&sequence(&[])]),
        |parts| parts.subject = vec![0x05, 0x00],
        |parts| parts.subject = sequence(&[&tlv(0x31, &[&sequence(&[&oid(oid::SERIAL_NUMBER)])])]),
        // FALSE written out, which DER leaves away.
        |parts| {
            let kem = sequence(&[&oid(oid::KEM_KEY), &[0x01, 0x01, 0x00], &tlv(0x04, &[&kem::spki(&KEM)])]);
            parts.attributes = tlv(0xa0, &[&request(&[kem])]);
        },
        // A set out of order.
        |parts| {
            let first = sequence(&[&oid(&[0x2a, 0x03]), &tlv(0x31, &[&[0x05, 0x00]])]);
            parts.attributes = tlv(0xa0, &[&request(&[kem_extension()]), &first]);
        },
        |parts| {
            let unordered =
                sequence(&[&oid(&[0x2a, 0x03]), &tlv(0x31, &[&[0x02, 0x01, 0x02], &[0x02, 0x01, 0x01]])]);
            parts.attributes = tlv(0xa0, &[&unordered, &request(&[kem_extension()])]);
        },
        // An identifier whose arc is padded or cut.
        |parts| {
            parts.attributes =
                tlv(0xa0, &[&request(&[kem_extension(), extension(&[0x2a, 0x80, 0x01], &[])])]);
        },
        |parts| parts.attributes = tlv(0xa0, &[&request(&[kem_extension(), extension(&[0x2a, 0x81], &[])])]),
    ] {
        let refused = with(change);
        assert!(matches!(refused, Err(CsrError::Malformed { .. })), "{refused:?}");
    }
    let padding = extension(&[0x2a, 0x03], &[0; 9_000]);
    assert!(matches!(asking(&[kem_extension(), padding]), Err(CsrError::TooLong { .. })));
}

#[test]
fn the_serial_number_stands_there_once_and_is_one() {
    let refused = |names: &[(&[u8], &str)]| with(|parts| parts.subject = name::distinguished(names));
    for wrong in ["", "-x", "a b", "a\0b", "a,CN=root", &"x".repeat(65)] {
        assert_eq!(refused(&[(oid::SERIAL_NUMBER, wrong)]), Err(CsrError::Serial), "{wrong:?}");
    }
    let twice = refused(&[(oid::SERIAL_NUMBER, "a"), (oid::SERIAL_NUMBER, "b")]);
    assert_eq!(twice, Err(CsrError::Duplicate { what: "the serial number" }));
}

proptest! {
    #[test]
    fn a_request_with_any_byte_changed_is_refused(at in any::<prop::sample::Index>(), by in 1_u8..=255) {
        let key = Key::new();
        let mut der = Parts::honest(&key).sign(&key);
        let at = at.index(der.len());
        der[at] ^= by;
        prop_assert!(Csr::parse(&der).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Csr::parse(&bytes).is_err());
        prop_assert!(IdentityCsr::parse(&bytes).is_err());
        prop_assert!(crate::DeviceCertificate::parse(&bytes).is_err());
        prop_assert!(crate::CaCertificate::parse(&bytes).is_err());
    }
}
