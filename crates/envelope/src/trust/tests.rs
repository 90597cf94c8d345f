use super::*;
use crate::{
    Ed25519Key, P256Key, Signer, SystemRandom,
    cbor::value::{Fields, Value},
    fixture::{END, Fleet, NOW, model, said, trusted},
};

fn root() -> TrustedKey {
    let key = P256Key::generate().unwrap().public_key();
    let certificate = [&[0x30, 0x82][..], &key.spki(), b"signature"].concat();
    trusted(KeyRole::Root, KeyMaterial::Root { key, certificate })
}

fn with_root(fleet: &Fleet) -> TrustKeys {
    let mut keys = fleet.trust.entries().to_vec();
    keys.push(root());
    TrustKeys::new(keys).unwrap()
}

#[test]
fn a_key_set_reads_back_and_has_one_encoding() {
    let keys = with_root(&Fleet::new());
    let bytes = keys.encode();
    assert_eq!(TrustKeys::parse(&bytes).unwrap(), keys);
    assert_eq!(TrustKeys::parse(&bytes).unwrap().encode(), bytes);
    assert_eq!(TrustKeys::parse(&TrustKeys::default().encode()).unwrap(), TrustKeys::default());
    let Value::Array(mut entries) = Value::decode(&bytes) else { panic!("a key set is an array") };
    entries.swap(0, 1);
    assert_eq!(
        said(TrustKeys::parse(&Value::Array(entries.clone()).encode())),
        "the key set is out of order"
    );
    entries.swap(0, 1);
    entries.insert(0, entries[0].clone());
    assert_eq!(said(TrustKeys::parse(&Value::Array(entries).encode())), "a key stands in the key set twice");
}

#[test]
fn a_change_at_any_byte_is_refused_or_read_as_what_it_says() {
    let keys = with_root(&Fleet::new());
    let bytes = keys.encode();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        if let Ok(other) = TrustKeys::parse(&altered) {
            assert_ne!(other, keys, "byte {at}");
            assert_eq!(other.encode(), altered, "byte {at}");
        }
        assert!(TrustKeys::parse(&bytes[..at]).is_err());
    }
}

#[test]
fn a_key_counts_only_in_its_role_its_scope_and_its_time() {
    let fleet = Fleet::new();
    let kid = fleet.ticket_key.public_key().id();
    let (pump, valve) = (model("pump"), model("valve"));
    assert_eq!(*fleet.trust.ticket_key(kid, &pump, NOW).unwrap(), fleet.ticket_key.public_key());
    assert_eq!(said(fleet.trust.ticket_key(kid, &pump, END)), "accepted");
    let after = UnixTime::from_secs(END.as_secs() + 1);
    assert!(matches!(fleet.trust.ticket_key(kid, &pump, after), Err(Error::KeyLapsed { .. })));
    assert!(matches!(fleet.trust.ticket_key(kid, &valve, NOW), Err(Error::Scope { .. })));
    for wrong in [
        fleet.trust.seal_key(kid, &pump, NOW),
        fleet.trust.grant_key(kid, [&pump], NOW),
        fleet.trust.link_key(kid, NOW),
        fleet.trust.audit_key(kid, NOW),
    ] {
        assert!(matches!(wrong, Err(Error::Role { .. })), "{wrong:?}");
    }
    let stranger = Ed25519Key::generate(&mut SystemRandom).public_key().id();
    assert!(matches!(fleet.trust.ticket_key(stranger, &pump, NOW), Err(Error::UnknownKey { .. })));
    let member = fleet.member_kem.public().id();
    let as_signer = KeyId::new(*member.as_bytes());
    assert!(matches!(fleet.trust.ticket_key(as_signer, &pump, NOW), Err(Error::Role { .. })));
    let everywhere = fleet.trust_with(|key| key.scope.models = Models::All);
    assert!(everywhere.ticket_key(kid, &valve, NOW).is_ok());
    let nowhere = fleet.trust_with(|key| key.scope.models = Models::Only(BTreeSet::new()));
    assert!(nowhere.ticket_key(kid, &pump, NOW).is_err());
    assert_eq!(TrustKeys::parse(&nowhere.encode()).unwrap(), *nowhere, "no model is not every model");
}

#[test]
fn a_bench_is_no_member_and_a_lapsed_member_is_none() {
    let fleet = Fleet::new();
    let (member, bench) = (fleet.member_kem.public(), fleet.bench_kem.public());
    assert_eq!(fleet.trust.member_kem(member.id(), NOW), Some(&member));
    assert_eq!(fleet.trust.bench_kem(bench.id(), NOW), Some(&bench));
    assert_eq!(fleet.trust.member_kem(bench.id(), NOW), None);
    assert_eq!(fleet.trust.bench_kem(member.id(), NOW), None);
    assert_eq!(fleet.trust.member_kem(member.id(), UnixTime::MAX), None);
    assert_eq!(fleet.trust.members(NOW).collect::<Vec<_>>(), [&member]);
}

#[test]
fn roots_are_in_force_until_their_trust_ends() {
    let keys = with_root(&Fleet::new());
    assert_eq!(keys.roots(NOW).count(), 1);
    assert_eq!(keys.roots(UnixTime::MAX).count(), 0);
}

#[test]
fn keys_that_are_weak_or_out_of_place_are_refused() {
    let p256 = P256Key::generate().unwrap().public_key();
    let ed25519 = Ed25519Key::generate(&mut SystemRandom).public_key();
    let kem = KeyMaterial::Recipient(KemPublicKey([9; 32]));
    let neutral = PublicKey::Ed25519(std::array::from_fn(|at| u8::from(at == 0)));
    let foreign = KeyMaterial::Root { key: p256, certificate: b"another's".to_vec() };
    let unlike = KeyMaterial::Root { key: ed25519, certificate: ed25519.spki() };
    let rule = "a key does not fit its role";
    for (role, material, why) in [
        (KeyRole::Ticket, KeyMaterial::Signer(neutral), "not a usable Ed25519 key"),
        (KeyRole::Ticket, KeyMaterial::Signer(PublicKey::Ed25519([0xff; 32])), "not a usable Ed25519 key"),
        (KeyRole::Ticket, KeyMaterial::Signer(p256), rule),
        (KeyRole::Member, KeyMaterial::Signer(ed25519), rule),
        (KeyRole::Root, KeyMaterial::Signer(ed25519), rule),
        (KeyRole::Link, kem.clone(), rule),
        (KeyRole::Root, kem, rule),
        (KeyRole::Root, unlike, rule),
        (KeyRole::Root, foreign, "a root certificate has another key"),
    ] {
        assert_eq!(said(TrustKeys::new(vec![trusted(role, material)])), why, "{role:?}");
    }
}

#[test]
fn a_key_under_two_roles_is_refused() {
    let key = KeyMaterial::Signer(Ed25519Key::generate(&mut SystemRandom).public_key());
    let both = vec![trusted(KeyRole::Ticket, key.clone()), trusted(KeyRole::Seal, key)];
    assert_eq!(said(TrustKeys::new(both)), "a key stands in the key set twice");
}

#[test]
fn an_entry_says_nothing_that_is_not_known() {
    let fleet = Fleet::new();
    let entry = |change: &dyn Fn(&mut Fields)| {
        let keys = TrustKeys::new(vec![fleet.trust.entries()[0].clone()]).unwrap();
        let Value::Array(mut entries) = Value::decode(&keys.encode()) else { panic!("an array") };
        let mut fields = entries.remove(0).into_fields();
        change(&mut fields);
        fields.sort_by_key(|(key, _)| if *key < 0 { i64::MAX / 2 - *key } else { *key });
        said(TrustKeys::parse(&Value::Array(vec![Value::Map(fields)]).encode()))
    };
    assert_eq!(entry(&|_| ()), "accepted");
    assert_eq!(entry(&|fields| fields.push((-4, Value::bytes(&[0; 32])))), "field -4 is unknown");
    assert_eq!(entry(&|fields| fields.push((4, Value::Array(vec![])))), "field 4 is unknown");
    assert_eq!(entry(&|fields| fields.push((-65_600, Value::Int(0)))), "field -65600 is unknown");
    assert_eq!(entry(&|fields| fields.push((100, Value::Int(0)))), "accepted");
    assert_eq!(entry(&|fields| fields.retain(|(key, _)| *key != ROLE)), "`role` is missing");
    assert_eq!(entry(&|fields| fields.retain(|(key, _)| *key != NOT_AFTER)), "`not_after` is missing");
    assert_eq!(entry(&|fields| fields[1].1 = Value::bytes(&[0; 8])), "`kid` has a wrong type, size or form");
    assert_eq!(
        entry(&|fields| fields[2].1 = Value::Int(-8)),
        "`kty, alg or crv` has a wrong type, size or form"
    );
}

#[test]
fn only_the_one_target_is_the_key_set() {
    let fleet = Fleet::new();
    let target = |name: &str| {
        let bytes = TargetBytes::new(name.parse().unwrap(), fleet.trust.encode());
        TrustKeys::from_target(&Verified::new(bytes))
    };
    assert_eq!(*target("trust/keys.cbor").unwrap(), *fleet.trust);
    assert_eq!(said(target("trust/keys2.cbor")), "`target` is another than expected");
}
