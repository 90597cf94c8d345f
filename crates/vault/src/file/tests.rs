use super::*;
use crate::{Derivation, Params, SlotKind};

fn derivation() -> Derivation {
    Derivation { params: Params::DEFAULT, salt: [9; 16] }
}

/// Seals `secrets` of these roles as one generation; the slot's key stands in for a derived one.
fn sealed(generation: u64, kek: &Secret, master: &Secret, keys: &[(KeyRole, Secret)]) -> KeyFile {
    let id = VaultId::new([7; 16]);
    let kind = SlotKind::Passphrase(derivation());
    let slot = Slot::new(&id, ("", kind), kek, master, UnixTime::from_secs(4)).unwrap();
    let public = |(role, secret): &(KeyRole, Secret)| {
        let public = role.algorithm().public_half(secret).unwrap();
        let (created_at, since) = (UnixTime::from_secs(5), 1);
        Public { id: KeyId::of(&public), role: *role, public, created_at, since, token: None }
    };
    Draft {
        id,
        holder: "Ada Lovelace".parse().unwrap(),
        generation,
        created_at: UnixTime::from_secs(4),
        audit: AuditHead { seq: 3, hash: Digest::new([1; 32]) },
        slots: vec![slot],
        proof: Some(Proof { at: UnixTime::from_secs(6), generation: 1 }),
        keys: keys.iter().map(|key| (public(key), Some(&key.1))).collect(),
    }
    .seal(master)
    .unwrap()
}

fn secret() -> Secret {
    random_secret().unwrap()
}

/// What opening these bytes gives: the way from bytes to keys, with `kek` for the derived key.
fn open(bytes: &[u8], kek: &Secret) -> Result<Vec<Option<Secret>>, Malformed> {
    let file = KeyFile::decode(bytes)?;
    let master = file.slots.iter().find_map(|slot| {
        // Another salt or other parameters derive another key.
        let same = slot.info.kind == SlotKind::Passphrase(derivation());
        slot.open(&file.id, &if same { kek.clone() } else { secret() })
    });
    file.open(&master.ok_or(Malformed("no slot opens"))?)
}

const ROLES: [KeyRole; 4] = [KeyRole::Root, KeyRole::CaRoot, KeyRole::Kem, KeyRole::Token];

fn keys() -> Vec<(KeyRole, Secret)> {
    ROLES.map(|role| (role, role.algorithm().generate().unwrap().0)).into()
}

#[test]
fn a_key_file_reads_back_and_opens() {
    let (kek, master, keys) = (secret(), secret(), keys());
    let file = sealed(2, &kek, &master, &keys);
    let bytes = file.encode();
    assert!(KeyFile::decode(&bytes).unwrap() == file);
    let opened = open(&bytes, &kek).unwrap();
    assert!(opened.iter().zip(&keys).all(|(opened, (_, secret))| **opened.as_ref().unwrap() == **secret));
}

#[test]
fn no_bit_of_a_key_file_can_be_flipped() {
    let (kek, master) = (secret(), secret());
    let bytes = sealed(2, &kek, &master, &keys()).encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut edited = bytes.clone();
            edited[at] ^= 1 << bit;
            assert!(open(&edited, &kek).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_key_file_cut_or_extended_is_refused() {
    let (kek, master) = (secret(), secret());
    let bytes = sealed(2, &kek, &master, &keys()).encode();
    for at in 0..bytes.len() {
        assert!(open(&bytes[..at], &kek).is_err(), "cut at {at}");
    }
    assert!(open(&[&bytes[..], &[0]].concat(), &kek).is_err());
}

/// Edits a file as someone could who broke the header's MAC too.
fn edited_under_mac(file: &KeyFile, master: &Secret, edit: impl FnOnce(&mut KeyFile)) -> Vec<u8> {
    let mut file = file.clone();
    edit(&mut file);
    file.mac = file.compute_mac(master);
    file.encode()
}

#[test]
fn even_under_a_good_mac_entries_can_be_neither_swapped_nor_edited() {
    let (kek, master) = (secret(), secret());
    let mut keys = keys();
    keys.push((KeyRole::Root, secret()));
    let file = sealed(2, &kek, &master, &keys);
    assert!(open(&edited_under_mac(&file, &master, |_| ()), &kek).is_ok());
    let refused = |edit: fn(&mut KeyFile)| {
        assert!(open(&edited_under_mac(&file, &master, edit), &kek).is_err());
    };
    // The sealed halves of two root keys change places.
    refused(|file| {
        let (one, two) = (file.keys[0].clone(), file.keys[4].clone());
        file.keys[0].sealed = two.sealed;
        file.keys[4].sealed = one.sealed;
    });
    refused(|file| {
        let other = file.keys[4].sealed.clone().unwrap().1;
        file.keys[0].sealed.as_mut().unwrap().1 = other;
    });
    refused(|file| {
        let other = KeyRole::Root.algorithm().generate().unwrap().1;
        file.keys[0].public.id = KeyId::of(&other);
        file.keys[0].public.public = other;
    });
    refused(|file| file.keys[0].public.role = KeyRole::Targets);
    refused(|file| file.keys[0].public.since = 0);
    refused(|file| file.keys[0].public.created_at = UnixTime::EPOCH);
    refused(|file| file.generation = 3);
    refused(|file| file.id = VaultId::new([8; 16]));
    refused(|file| file.keys[4] = file.keys[0].clone());
    refused(|file| file.slots.clear());
}

#[test]
fn an_entry_of_an_older_generation_is_refused() {
    let (kek, master, keys) = (secret(), secret(), keys());
    let old = sealed(1, &kek, &master, &keys);
    let new = sealed(2, &kek, &master, &keys);
    let mixed = edited_under_mac(&new, &master, |file| file.keys[0] = old.keys[0].clone());
    assert_eq!(open(&mixed, &kek).err(), Some(Malformed("the row of a key was edited or swapped")));
}

#[test]
fn an_edited_slot_asks_for_neither_a_weak_nor_an_endless_derivation() {
    let (kek, master) = (secret(), secret());
    let bytes = sealed(1, &kek, &master, &[]).encode();
    // [1, 262144, 3, 4
    let params = [1, 0x1a, 0, 4, 0, 0, 3, 4];
    let at = bytes.windows(8).position(|window| window == params).unwrap();
    for edited in [
        [1, 0x1a, 0, 0, 0xff, 0xff, 3, 4],
        [1, 0x1a, 0xff, 0xff, 0xff, 0xff, 3, 4],
        [1, 0x1a, 0, 4, 0, 0, 0, 4],
        [1, 0x1a, 0, 4, 0, 0, 17, 4],
        [1, 0x1a, 0, 4, 0, 0, 3, 0],
        [1, 0x1a, 0, 4, 0, 0, 3, 17],
    ] {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&edited);
        assert!(KeyFile::decode(&bytes).is_err(), "{edited:x?}");
    }
}

#[test]
fn no_secret_stands_in_a_key_file() {
    let (kek, master, keys) = (secret(), secret(), keys());
    let bytes = sealed(1, &kek, &master, &keys).encode();
    let shown = |secret: &Secret| bytes.windows(16).any(|window| window == &secret[..16]);
    assert!(!shown(&kek) && !shown(&master) && !keys.iter().any(|(_, secret)| shown(secret)));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        proptest::prop_assert!(KeyFile::decode(&bytes).is_err());
    }
}
