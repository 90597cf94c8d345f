use super::*;
use crate::{SystemRandom, cbor::value::Value, fixture::said};

const DEVICE: Recipient = Recipient::Device(DeviceId::new([0x22; 16]));
const TYP: &str = "fleetseal-ticket/1";
const TEXT: &[u8] = b"sealed by another program";

fn secret() -> KemSecret {
    KemSecret::from_bytes(&std::array::from_fn(|at| at as u8)).unwrap()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_another_program_sealed_opens() {
    // Made with the Python package cwt 3.3 for the private key 00 01 .. 1f.
    let theirs = from_hex(
        "d0834ea201182a0448eedd883da0a94515a123582074f00c5787a5a75d35dfb583d15ed0974576690f662193abb8a2f9cac4e\
         eac42582981255cf7be94499df8e2e24f46c7b8382a00bc64068b5bd6622ac8747b0594e70bd1d83d3983b6316e",
    );
    assert_eq!(*open(TYP, &secret(), DEVICE, &theirs, 200).unwrap(), TEXT);
}

#[test]
fn only_this_key_this_recipient_and_this_type_open_it() {
    let secret = secret();
    let sealed = seal(TYP, &secret.public(), DEVICE, TEXT).unwrap();
    let open = |typ, key: &KemSecret, recipient, max| open(typ, key, recipient, &sealed, max);
    assert_eq!(*open(TYP, &secret, DEVICE, 200).unwrap(), TEXT);
    let refused = "cannot be opened with this key for this recipient";
    let stranger = KemSecret::generate(&mut SystemRandom).unwrap();
    assert_eq!(said(open(TYP, &stranger, DEVICE, 200)), refused);
    assert_eq!(said(open("fleetseal-link/1", &secret, DEVICE, 200)), refused);
    for recipient in [Recipient::Device(DeviceId::new([0x23; 16])), Recipient::Key(secret.public().id())] {
        assert_eq!(said(open(TYP, &secret, recipient, 200)), refused);
    }
    assert_eq!(said(open(TYP, &secret, DEVICE, 50)), "longer than 50 bytes");
}

#[test]
fn two_sealings_of_one_thing_have_nothing_in_common() {
    let public = secret().public();
    let [one, two] = [(); 2].map(|()| seal(TYP, &public, DEVICE, TEXT).unwrap());
    assert_ne!(one[20..], two[20..]);
    assert!(!one.windows(8).any(|window| TEXT.windows(8).any(|text| text == window)));
}

#[test]
fn a_change_at_any_byte_is_refused() {
    let secret = secret();
    let sealed = seal(TYP, &secret.public(), DEVICE, TEXT).unwrap();
    for (at, bit) in (0..sealed.len()).flat_map(|at| [(at, 1), (at, 0x40)]) {
        let mut altered = sealed.clone();
        altered[at] ^= bit;
        assert!(open(TYP, &secret, DEVICE, &altered, 200).is_err(), "byte {at}");
    }
    for end in 0..sealed.len() {
        assert!(open(TYP, &secret, DEVICE, &sealed[..end], 200).is_err(), "cut off at {end}");
    }
}

#[test]
fn another_algorithm_or_header_is_refused() {
    let secret = secret();
    let sealed = seal(TYP, &secret.public(), DEVICE, TEXT).unwrap();
    let Value::Array(parts) = Value::decode(&sealed[1..]) else { panic!("COSE_Encrypt0 is an array") };
    let with = |at: usize, value: Value| {
        let mut parts = parts.clone();
        parts[at] = value;
        let bytes = [&[0xd0][..], &Value::Array(parts).encode()].concat();
        said(open(TYP, &secret, DEVICE, &bytes, 200))
    };
    let kid = Value::bytes(secret.public().id().as_bytes());
    for algorithm in [35, 41, 46, 50, 3] {
        let header = Value::map([(1, Value::Int(algorithm)), (4, kid.clone())]);
        assert_eq!(
            with(0, Value::bytes(&header.encode())),
            format!("algorithm {algorithm} is not taken here")
        );
    }
    assert_eq!(with(0, Value::bytes(&[])), "truncated at byte 0");
    let ek = Value::bytes(&[9; 32]);
    assert_eq!(with(1, Value::map([(-4, ek.clone()), (-5, ek)])), "field -5 is unknown");
    assert_eq!(with(1, Value::map([])), "`ek` is missing");
}

#[test]
fn a_shared_secret_of_zero_is_refused_on_either_side() {
    let small = [[0; 32], std::array::from_fn(|at| u8::from(at == 0))];
    let secret = secret();
    for point in small {
        assert_eq!(said(seal(TYP, &KemPublicKey(point), DEVICE, TEXT)), "cannot be sealed to this key");
        let mut sealed = seal(TYP, &secret.public(), DEVICE, TEXT).unwrap();
        // The ephemeral key stands after the tag, the array, the header and `{-4: h'...`.
        sealed[21..53].copy_from_slice(&point);
        assert!(matches!(open(TYP, &secret, DEVICE, &sealed, 200), Err(Error::Open)));
    }
}

#[test]
fn a_key_reads_back_and_does_not_show_itself() {
    let secret = secret();
    let again = KemSecret::from_bytes(&secret.to_bytes()).unwrap();
    assert_eq!(again.public(), secret.public());
    assert_eq!(format!("{secret:?}"), format!("KemSecret({})", secret.public().id()));
}
