use model::DeviceId;

use super::*;
use crate::{
    CheckIn, Ed25519Key, P256Key, Proof,
    cbor::value::{Fields, Value},
    fixture::{Fleet, NOW, forged, said, sign1},
};

const DEVICE: DeviceId = DeviceId::new([0x22; 16]);

fn checkin() -> CheckIn {
    CheckIn { device: DEVICE, nonce: [0x33; 16], at: NOW }
}

fn key() -> Ed25519Key {
    Ed25519Key::from_seed(&std::array::from_fn(|at| at as u8))
}

fn check(bytes: &[u8], key: &PublicKey) -> Result<CheckIn, Error> {
    Sign1::parse(bytes, CheckIn::MAX)?.verify(key).map(Verified::into_inner)
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The group order of Ed25519, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn another_program_signs_the_same_bytes() {
    // Made with the Python package cwt 3.3 from the seed 00 01 .. 1f.
    let theirs = from_hex(
        "d2844da20132044856475aa75463474ca05840a40173666c6565747365616c2d636865636b696e2f3102502222222222222\
         2222222222222222222035033333333333333333333333333333333041a6b49d2005840744d2e76cc885d5b448b9536713d\
         ef95db413e32e7dcffd53e4c33612ff478ba6e12191659e5b7d1e43daf3ec63cfde1c66db24f6cb76057e12cb01116038b00",
    );
    assert_eq!(sign(&checkin(), &key()).unwrap(), theirs);
    assert_eq!(check(&theirs, &key().public_key()).unwrap(), checkin());
}

#[test]
fn a_change_at_any_byte_is_refused() {
    let public = key().public_key();
    let device = P256Key::generate().unwrap();
    let signed = sign(&checkin(), &key()).unwrap();
    let proof = Proof { device: DEVICE, certificate: crate::sha256(b"certificate"), challenge: [1; 32] };
    let proven = sign_by_device(&proof, &device).unwrap();
    assert!(check(&signed, &public).is_ok());
    assert!(verify_by_device::<Proof>(&proven, &device.public_key()).is_ok());
    for (at, bit) in (0..signed.len().max(proven.len())).flat_map(|at| [(at, 1), (at, 0x80)]) {
        if at < signed.len() {
            let mut altered = signed.clone();
            altered[at] ^= bit;
            assert!(check(&altered, &public).is_err(), "byte {at} of an Ed25519 object");
        }
        if at < proven.len() {
            let mut altered = proven.clone();
            altered[at] ^= bit;
            assert!(
                verify_by_device::<Proof>(&altered, &device.public_key()).is_err(),
                "byte {at} of a P-256 object"
            );
        }
    }
}

#[test]
fn only_the_fully_specified_algorithm_of_the_key_is_taken() {
    let payload = encode(&checkin()).unwrap();
    let public = key().public_key();
    assert!(check(&sign1(-19, &key(), &payload), &public).is_ok());
    for algorithm in [-8, -7, -9, -35, -36, -47, -257, 0, 5, 1 << 40] {
        let found = check(&sign1(algorithm, &key(), &payload), &public);
        assert!(matches!(found, Err(Error::Algorithm { found }) if found == algorithm), "{algorithm}");
    }
    let device = P256Key::generate().unwrap();
    for algorithm in [-7, -8, -19] {
        let found = check(&sign1(algorithm, &device, &payload), &device.public_key());
        assert!(matches!(found, Err(Error::Algorithm { found }) if found == algorithm), "{algorithm}");
    }
}

#[test]
fn a_key_of_the_other_kind_neither_signs_nor_verifies() {
    let device = P256Key::generate().unwrap();
    let proof = Proof { device: DEVICE, certificate: crate::sha256(b"certificate"), challenge: [1; 32] };
    assert_eq!(said(sign(&checkin(), &device)), "not a usable Ed25519 key");
    assert_eq!(said(sign_by_device(&proof, &key())), "not a usable P-256 key");
    let signed = sign1(-19, &key(), &encode(&proof).unwrap());
    assert_eq!(said(verify_by_device::<Proof>(&signed, &key().public_key())), "not a usable P-256 key");
}

#[test]
fn another_key_and_another_key_under_the_same_id_are_refused() {
    let fleet = Fleet::new();
    let signed = sign(&checkin(), &fleet.link_key).unwrap();
    let other = key().public_key();
    assert!(matches!(check(&signed, &other), Err(Error::UnknownKey { .. })));
    let head = signed.windows(8).position(|window| window == fleet.link_key.public_key().id().as_bytes());
    let mut renamed = signed;
    renamed[head.unwrap()..][..8].copy_from_slice(other.id().as_bytes());
    assert_eq!(said(check(&renamed, &other)), "the signature does not verify");
}

#[test]
fn an_object_of_another_type_is_refused_though_its_signature_is_good() {
    let fleet = Fleet::new();
    let signed = forged(&checkin(), &fleet.link_key, |fields| fields[0].1 = Value::text("fleetseal-link/1"));
    assert_eq!(said(check(&signed, &fleet.link_key.public_key())), "not a `fleetseal-checkin/1`");
    let signed =
        forged(&checkin(), &fleet.link_key, |fields| fields[0].1 = Value::text("fleetseal-checkin/2"));
    assert_eq!(said(check(&signed, &fleet.link_key.public_key())), "not a `fleetseal-checkin/1`");
}

#[test]
fn a_signed_map_is_strict_too() {
    let public = key().public_key();
    let signed = |change: fn(&mut Fields)| check(&forged(&checkin(), &key(), change), &public);
    assert_eq!(said(signed(|fields| fields.push((5, Value::Int(0))))), "field 5 is unknown");
    assert_eq!(said(signed(|fields| fields.push((63, Value::Int(0))))), "field 63 is unknown");
    assert_eq!(said(signed(|fields| fields.push((-1, Value::Int(0))))), "field -1 is unknown");
    assert_eq!(said(signed(|fields| fields.push((64, Value::Int(0))))), "accepted");
    assert_eq!(said(signed(|fields| drop(fields.pop()))), "`server time` is missing");
    assert_eq!(
        said(signed(|fields| fields[1].1 = Value::bytes(&[0; 15]))),
        "`device_id` has a wrong type, size or form"
    );
    assert_eq!(
        said(signed(|fields| fields[3].1 = Value::Int(i64::MAX))),
        "`server time` has a wrong type, size or form"
    );
    for (change, why) in [(Vec::from([0xff]), "bytes follow"), (Vec::from([0x00]), "bytes follow")] {
        let payload = [encode(&checkin()).unwrap().as_slice(), &change].concat();
        let found = said(check(&sign1(-19, &key(), &payload), &public));
        assert!(found.starts_with(why), "{found}");
    }
    let repeated =
        [&[0xa5, 0x01, 0x73][..], &b"fleetseal-checkin/1"[..], &encode(&checkin()).unwrap()[1..]].concat();
    assert!(said(check(&sign1(-19, &key(), &repeated), &public)).starts_with("a map key is out of order"));
}

#[test]
fn the_frame_is_strict_too() {
    let public = key().public_key();
    let signed = sign(&checkin(), &key()).unwrap();
    let Value::Array(parts) = Value::decode(&signed[1..]) else { panic!("COSE_Sign1 is an array") };
    let frame = |parts: Vec<Value>| [&[0xd2][..], &Value::Array(parts).encode()].concat();
    assert_eq!(frame(parts.clone()), signed);
    assert!(check(&[&signed[..], &[0]].concat(), &public).is_err(), "trailing byte");
    assert!(check(&signed[1..], &public).is_err(), "no tag");
    let mut unprotected = parts.clone();
    unprotected[1] = Value::map([(4, Value::bytes(&[0; 8]))]);
    assert_eq!(said(check(&frame(unprotected), &public)), "field 4 is unknown");
    let mut headers = parts.clone();
    headers[0] = Value::bytes(
        &Value::map([(1, Value::Int(-19)), (2, Value::Array(vec![])), (4, Value::bytes(&[0; 8]))]).encode(),
    );
    assert_eq!(said(check(&frame(headers), &public)), "field 2 is unknown");
    let mut short = parts.clone();
    short.pop();
    assert!(check(&frame(short), &public).is_err());
    let mut long = parts;
    long.push(Value::Int(0));
    assert!(check(&frame(long), &public).is_err());
}

#[test]
fn a_signature_has_one_form() {
    let public = key().public_key();
    let mut signed = sign(&checkin(), &key()).unwrap();
    let at = signed.len() - 32;
    let mut carry = 0;
    for (byte, order) in signed[at..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "S + L fits in 32 bytes");
    assert_eq!(said(check(&signed, &public)), "the signature does not verify");
}

#[test]
fn keys_of_small_order_verify_nothing() {
    let identity: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
    let order_two = {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xec, 0x7f);
        bytes
    };
    let order_four = [0; 32];
    // R and S of the neutral element satisfy the cofactored equation for every message.
    let signature = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        bytes
    };
    for key in [identity, order_two, order_four] {
        assert!(PublicKey::Ed25519(key).verify(b"anything", &signature).is_err(), "{key:02x?}");
    }
    assert!(PublicKey::Ed25519([0xff; 32]).verify(b"anything", &signature).is_err());
    assert!(PublicKey::P256([4; 65]).verify(b"anything", &signature).is_err());
}
