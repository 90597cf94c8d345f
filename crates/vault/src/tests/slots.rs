//! Ways in: adding, removing and rotating them, and recovery shares.

use std::fs;

use model::Seconds;

use super::{NOON, OTHER, PASSPHRASE, Place, generate};
use crate::{
    Error, KeyRole, Opener, Params, Share, SlotKind, Vault,
    save::{generations, key_file},
};

fn add(vault: &Vault, passphrase: &str) -> crate::SlotInfo {
    vault.add_passphrase("second", passphrase, Params::floor(), NOON).unwrap()
}

fn opens(vault: &Vault, opener: &Opener<'_>) -> bool {
    vault.lock();
    // After whatever wrong tries before it have to be waited for.
    let now = NOON + Seconds::days(1);
    vault.unlock_with(opener, now + vault.wait(now)).is_ok()
}

#[test]
fn every_slot_opens_the_vault_on_its_own() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    add(&vault, OTHER);
    let (_, shares) = vault.make_shares("safe", 2, 3, NOON).unwrap();
    drop(vault);
    let vault = place.open();
    assert_eq!(
        vault.slots().iter().map(|slot| slot.kind.as_str()).collect::<Vec<_>>(),
        ["passphrase", "passphrase", "shares"]
    );
    assert_eq!(vault.slots()[1].label, "second");
    for opener in [
        Opener::Passphrase(PASSPHRASE),
        Opener::Passphrase(OTHER),
        Opener::Shares(&shares),
        Opener::Shares(&shares[1..]),
    ] {
        assert!(opens(&vault, &opener), "{opener:?}");
        assert_eq!(vault.keys().len(), 1);
    }
}

#[test]
fn a_removed_slot_opens_nothing_saved_since_and_the_last_one_stays() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let first = vault.slots()[0].id;
    assert!(matches!(vault.remove_slot(first, NOON), Err(Error::LastSlot)));
    let second = add(&vault, OTHER).id;
    let before = fs::read(key_file(&place.folder())).unwrap();
    vault.remove_slot(first, NOON).unwrap();
    assert!(matches!(vault.remove_slot(first, NOON), Err(Error::UnknownSlot { .. })));
    assert!(matches!(vault.remove_slot(second, NOON), Err(Error::LastSlot)));
    assert_eq!(generations(&place.folder()).unwrap(), [0u64; 0], "the removed slot opens them");
    assert!(!opens(&vault, &Opener::Passphrase(PASSPHRASE)));
    assert!(opens(&vault, &Opener::Passphrase(OTHER)));
    // What removal cannot undo.
    let copy = place.path("copy");
    fs::write(&copy, before).unwrap();
    let elsewhere = Vault::restore(&place.path("elsewhere"), &copy, &Opener::Passphrase(PASSPHRASE), NOON);
    assert_eq!(elsewhere.unwrap().keys().len(), 1, "an old copy still opens with the old slot");
}

#[test]
fn every_change_of_slots_takes_a_new_master_key() {
    let place = Place::new();
    let vault = place.create();
    let master = |vault: &Vault| vault.inner().open.as_ref().unwrap().master.clone();
    let mut seen = vec![master(&vault)];
    let second = add(&vault, OTHER).id;
    seen.push(master(&vault));
    vault
        .change_passphrase(&Opener::Passphrase(OTHER), "tundra gravel oboe spoon", Params::floor(), NOON)
        .unwrap();
    seen.push(master(&vault));
    assert!(matches!(vault.remove_slot(second, NOON), Err(Error::UnknownSlot { .. })), "rotated away");
    let (shares, _) = vault.make_shares("", 2, 2, NOON).unwrap();
    seen.push(master(&vault));
    vault.remove_slot(shares.id, NOON).unwrap();
    seen.push(master(&vault));
    assert!(seen.iter().enumerate().all(|(at, key)| seen.iter().take(at).all(|before| **before != **key)));
}

#[test]
fn shares_cannot_be_relied_upon_before_enough_of_them_opened_the_vault() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let passphrase = vault.slots()[0].id;
    let (slot, shares) = vault.make_shares("safe", 3, 5, NOON).unwrap();
    assert!(!slot.kind.counts());
    assert!(matches!(vault.remove_slot(passphrase, NOON), Err(Error::LastSlot)));
    let few = vault.test_shares(&shares[..2], NOON);
    assert!(matches!(few, Err(Error::SharesTooFew { have: 2, need: 3 })));
    assert!(!vault.slots()[1].kind.counts());
    let tested = vault.test_shares(&shares[2..], NOON + Seconds(5)).unwrap();
    assert!(matches!(tested.kind, SlotKind::Shares { proven_at: Some(at), .. } if at == NOON + Seconds(5)));
    drop(vault);
    let vault = place.unlocked();
    assert!(vault.slots()[1].kind.counts(), "it is remembered");
    vault.remove_slot(passphrase, NOON).unwrap();
    assert!(vault.slots()[0].kind.counts(), "and outlives a new master key");
    assert!(opens(&vault, &Opener::Shares(&shares)));
    assert!(matches!(vault.unlock(PASSPHRASE, NOON), Err(Error::NoSlot { kind: "passphrase" })));
}

#[test]
fn shares_mixed_doubled_foreign_or_false_are_each_refused_by_their_own_error() {
    let (place, other) = (Place::new(), Place::new());
    let (vault, theirs) = (place.create(), other.create());
    let (_, mine) = vault.make_shares("", 2, 3, NOON).unwrap();
    let (_, again) = vault.make_shares("", 2, 3, NOON).unwrap();
    let (_, foreign) = theirs.make_shares("", 2, 3, NOON).unwrap();
    let copy = |share: &Share| Share::parse(&share.words()).unwrap();
    let test = |shares: &[Share]| vault.test_shares(shares, NOON).unwrap_err();
    assert!(matches!(test(&[]), Error::SharesTooFew { have: 0, .. }));
    assert!(matches!(test(&[copy(&mine[0]), copy(&again[1])]), Error::SharesMixed));
    assert!(matches!(test(&[copy(&mine[0]), copy(&mine[0])]), Error::ShareTwice { index: 1 }));
    assert!(matches!(test(&foreign), Error::SharesForeign { .. }));
    assert_eq!(vault.wait(NOON), Seconds(0), "none of it was a try");
    let false_share = mine[0].forged();
    assert!(matches!(test(&[false_share, copy(&mine[1])]), Error::SharesWrong { wait: Seconds(1) }));
    let early = vault.test_shares(&mine, NOON);
    assert!(matches!(early, Err(Error::TooEarly { .. })));
    vault.test_shares(&mine, NOON + Seconds(1)).unwrap();
}

#[test]
fn shares_bring_a_vault_back_whose_passphrase_is_forgotten() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    add(&vault, "tundra gravel oboe spoon");
    let (_, shares) = vault.make_shares("", 2, 3, NOON).unwrap();
    vault.lock();
    vault.unlock_with(&Opener::Shares(&shares), NOON).unwrap();
    vault.change_passphrase(&Opener::Shares(&shares), OTHER, Params::floor(), NOON).unwrap();
    assert!(opens(&vault, &Opener::Passphrase(OTHER)));
    for forgotten in [PASSPHRASE, "tundra gravel oboe spoon"] {
        assert!(!opens(&vault, &Opener::Passphrase(forgotten)), "every forgotten passphrase is gone");
    }
    let backup = place.path("backup");
    vault.backup(&backup, NOON).unwrap();
    let restored = Vault::restore(&place.path("new"), &backup, &Opener::Shares(&shares), NOON).unwrap();
    assert_eq!(restored.keys(), vault.keys());
}

#[test]
fn a_vault_has_sixteen_slots_and_labels_that_can_be_shown() {
    let place = Place::new();
    let vault = place.create();
    for label in ["x".repeat(129).as_str(), "new\nline"] {
        assert!(matches!(vault.make_shares(label, 2, 2, NOON), Err(Error::SlotLabel)));
    }
    for _ in 0..15 {
        vault.make_shares("", 2, 2, NOON).unwrap();
    }
    assert!(matches!(vault.make_shares("", 2, 2, NOON), Err(Error::TooManySlots { most: 16 })));
    vault.lock();
    assert!(matches!(vault.make_shares("", 2, 2, NOON), Err(Error::Locked)));
    assert!(matches!(vault.remove_slot(vault.slots()[0].id, NOON), Err(Error::Locked)));
    drop(vault);
    assert_eq!(place.unlocked().slots().len(), 16);
}
