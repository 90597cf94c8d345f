//! A vault file that somebody edited: each way is refused by its own error, and nothing is lost.

use std::fs;

use model::Seconds;

use super::{NOON, PASSPHRASE, Place, generate};
use crate::{
    Error, KeyId, KeyRole, Opener, Share, Vault,
    file::KeyFile,
    save::{kept, key_file},
};

/// A vault with two root keys, which opens with shares too.
fn made(place: &Place) -> Vec<Share> {
    let vault = place.create();
    generate(&vault, &[KeyRole::Root, KeyRole::Root]).unwrap();
    vault.make_shares("", 2, 2, NOON).unwrap().1
}

/// What opening and unlocking says of these bytes in the file's place. Puts the file back and shows that
/// nothing was lost.
fn refused(place: &Place, shares: &[Share], bytes: &[u8]) -> Error {
    let path = key_file(&place.folder());
    let good = fs::read(&path).unwrap();
    let keys = place.open().keys();
    fs::write(&path, bytes).unwrap();
    let opened = Vault::open(&place.folder());
    let error = opened.and_then(|vault| vault.unlock_with(&Opener::Shares(shares), NOON)).unwrap_err();
    fs::write(&path, &good).unwrap();
    let vault = place.open();
    let now = NOON + Seconds::days(1);
    vault.unlock_with(&Opener::Shares(shares), now + vault.wait(now)).unwrap();
    assert_eq!(vault.keys(), keys);
    error
}

fn edited(place: &Place, edit: impl FnOnce(&mut KeyFile)) -> Vec<u8> {
    let mut file = KeyFile::decode(&fs::read(key_file(&place.folder())).unwrap()).unwrap();
    edit(&mut file);
    file.encode()
}

fn reason(error: &Error) -> &str {
    if let Error::Damaged { reason, .. } = error { reason } else { panic!("{error}") }
}

#[test]
fn edited_parameters_weak_or_endless_are_refused() {
    let place = Place::new();
    let shares = made(&place);
    let bytes = fs::read(key_file(&place.folder())).unwrap();
    // [1, 65536, 1, 1
    let floor = [1, 0x1a, 0, 1, 0, 0, 1, 1];
    let at = bytes.windows(8).position(|window| window == floor).unwrap();
    for memory in [[0, 0, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff]] {
        let mut bytes = bytes.clone();
        bytes[at + 2..at + 6].copy_from_slice(&memory);
        let error = refused(&place, &shares, &bytes);
        let expected = ["derivation parameters outside the bounds", "not deterministic CBOR"];
        assert!(expected.contains(&reason(&error)), "{error}");
    }
    let mut endless = bytes;
    endless[at + 6] = 17;
    assert_eq!(reason(&refused(&place, &shares, &endless)), "derivation parameters outside the bounds");
}

#[test]
fn swapped_rows_are_refused() {
    let place = Place::new();
    let shares = made(&place);
    let bytes = edited(&place, |file| {
        let (one, two) = (file.keys[0].public.clone(), file.keys[1].public.clone());
        (file.keys[0].public, file.keys[1].public) = (two, one);
    });
    assert_eq!(reason(&refused(&place, &shares, &bytes)), "the row of a key was edited or swapped");
    let bytes = edited(&place, |file| file.keys.swap(0, 1));
    assert_eq!(reason(&refused(&place, &shares, &bytes)), "the header's MAC does not fit");
}

#[test]
fn a_changed_public_key_is_refused() {
    let place = Place::new();
    let shares = made(&place);
    let other = KeyRole::Root.algorithm().generate().unwrap().1;
    let bytes = edited(&place, |file| file.keys[0].public.public = other.clone());
    assert_eq!(reason(&refused(&place, &shares, &bytes)), "a public half does not fit its id");
    let bytes = edited(&place, |file| {
        file.keys[0].public.id = KeyId::of(&other);
        file.keys[0].public.public = other;
    });
    assert_eq!(reason(&refused(&place, &shares, &bytes)), "the row of a key was edited or swapped");
}

#[test]
fn an_older_generation_is_refused() {
    let place = Place::new();
    let shares = made(&place);
    let vault = place.unlocked();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    let newest = vault.generation();
    drop(vault);
    let old = fs::read(kept(&place.folder(), newest - 1)).unwrap();
    let error = refused(&place, &shares, &old);
    assert!(matches!(error, Error::OlderThanLastSeen { last_seen, .. } if last_seen == newest), "{error}");
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let place = Place::quick();
    let shares = made(&place);
    let bytes = fs::read(key_file(&place.folder())).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let path = key_file(&place.folder());
        fs::write(&path, &flipped).unwrap();
        let opened = Vault::open(&place.folder());
        // A bit of the passphrase's own slot leaves the shares' slot whole: the header's MAC tells.
        let now = NOON + Seconds::days(at as u64 + 1);
        let unlocked = opened.and_then(|vault| vault.unlock_with(&Opener::Shares(&shares), now));
        assert!(unlocked.is_err(), "byte {at}");
        fs::write(&path, &bytes).unwrap();
    }
    let vault = place.open();
    vault.unlock(PASSPHRASE, NOON + Seconds::days(100_000)).unwrap();
    assert_eq!(vault.keys().len(), 2, "nothing is lost");
}
