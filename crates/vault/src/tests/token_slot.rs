//! A vault that a token opens, with SoftHSM2 as the token.

use std::{fs, sync::Arc};

use envelope::Signer as _;
use model::Seconds;

use super::{
    NOON, OTHER, PASSPHRASE, Place, assert_verifies, intent,
    token::{Desk, PIN, alone_in, loose_key, vault},
};
use crate::{
    Agreement, Algorithm, Error, KeyRole, Opener, Params, SlotInfo, SlotKind, TokenSerial, Tokens, Vault,
    save::{generations, key_file},
};

fn alone(name: &str, test: impl FnOnce(&Desk)) {
    alone_in("token_slot", name, test);
}

fn add(vault: &Vault, serial: &TokenSerial) -> SlotInfo {
    vault.enter_pin(serial, PIN).unwrap();
    vault.add_token("mine", serial, None, None, NOON).unwrap()
}

fn agreement(slot: &SlotInfo) -> &Agreement {
    let SlotKind::Token(agreement) = &slot.kind else { panic!("{slot:?}") };
    agreement
}

fn with<'a>(tokens: &'a Tokens, serial: &'a TokenSerial, pin: &'a str) -> Opener<'a> {
    Opener::Token { tokens, serial, pin }
}

#[test]
fn a_token_and_its_pin_open_the_vault_on_their_own() {
    alone("a_token_and_its_pin_open_the_vault_on_their_own", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        let slot = add(&vault, &serial);
        assert!(slot.kind.counts() && slot.kind.as_str() == "token" && slot.label == "mine");
        vault.generate(&[KeyRole::Root], &intent(&vault)).unwrap();
        vault.generate_in_token(KeyRole::Targets, &serial, &intent(&vault)).unwrap();
        let passphrase = vault.slots()[0].id;
        vault.remove_slot(passphrase, NOON).unwrap();
        drop(vault);
        // Another day, another program.
        let vault = place.open();
        assert!(matches!(vault.unlock(PASSPHRASE, NOON), Err(Error::NoSlot { kind: "passphrase" })));
        vault.set_tokens(Arc::clone(&tokens));
        vault.unlock_with(&with(&tokens, &serial, PIN), NOON).unwrap();
        for role in [KeyRole::Root, KeyRole::Targets] {
            let signer = vault.signer(vault.key(role).unwrap().id, intent(&vault)).unwrap();
            assert_verifies(&signer.public_key(), b"message", &signer.sign(b"message").unwrap());
        }
        assert!(matches!(vault.remove_slot(slot.id, NOON), Err(Error::LastSlot)));
    });
}

#[test]
fn two_tokens_open_one_vault_and_are_told_apart_by_serial_and_public_key() {
    alone("two_tokens_open_one_vault_and_are_told_apart_by_serial_and_public_key", |desk| {
        desk.token("ada");
        desk.token("spare");
        let (tokens, [ada, spare]) = desk.tokens(["ada", "spare"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        let (one, two) = (add(&vault, &ada), add(&vault, &spare));
        assert_ne!(agreement(&one).public(), agreement(&two).public());
        for serial in [&ada, &spare] {
            vault.lock();
            vault.unlock_with(&with(&tokens, serial, PIN), NOON).unwrap();
        }
        // The spare under the first one's serial number: a key of that name is not there.
        let mut forged = agreement(&one).clone();
        forged.place.serial = spare;
        let opened = forged.open(&tokens, PIN, &|| Ok(()));
        assert!(matches!(opened, Err(Error::TokenKeyMissing { .. })), "{opened:?}");
        // And with a key of its own in its place.
        forged.place.id.clone_from(&agreement(&two).place.id);
        let opened = forged.open(&tokens, PIN, &|| Ok(()));
        assert!(matches!(opened, Err(Error::TokenKeyOther { .. })), "{opened:?}");
    });
}

#[test]
fn a_token_that_is_lost_is_replaced_and_opens_nothing_saved_since() {
    alone("a_token_that_is_lost_is_replaced_and_opens_nothing_saved_since", |desk| {
        desk.token("old");
        desk.token("new");
        let (tokens, [old, new]) = desk.tokens(["old", "new"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        let lost = add(&vault, &old).id;
        let before = fs::read(key_file(&place.folder())).unwrap();
        vault.enter_pin(&new, PIN).unwrap();
        vault.add_token("new", &new, None, Some(lost), NOON).unwrap();
        assert_eq!(vault.slots().len(), 2, "the passphrase and the new token");
        assert_eq!(generations(&place.folder()).unwrap(), [0u64; 0], "the lost token opens them");
        assert!(matches!(
            vault.add_token("", &new, None, Some(lost), NOON),
            Err(Error::UnknownSlot { id }) if id == lost
        ));
        vault.lock();
        let refused = vault.unlock_with(&with(&tokens, &old, PIN), NOON);
        let Err(Error::TokenForeign { serial, known }) = refused else { panic!("{refused:?}") };
        assert!(serial == old && known == [new.clone()]);
        vault.unlock_with(&with(&tokens, &new, PIN), NOON).unwrap();
        // A file of before in the place of the newest is told from it, and the slot in it is useless now.
        drop(vault);
        fs::write(key_file(&place.folder()), before).unwrap();
        assert!(matches!(Vault::open(&place.folder()), Err(Error::OlderThanLastSeen { .. })));
    });
}

#[test]
fn the_wrong_token_and_none_at_all_are_named_and_count_as_no_try() {
    alone("the_wrong_token_and_none_at_all_are_named_and_count_as_no_try", |desk| {
        let (ours, theirs) = (desk.token("ada"), desk.token("bob"));
        let (tokens, [ada, bob]) = desk.tokens(["ada", "bob"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        add(&vault, &ada);
        vault.lock();
        let foreign = vault.unlock_with(&with(&tokens, &bob, PIN), NOON);
        assert!(matches!(foreign, Err(Error::TokenForeign { .. })), "{foreign:?}");
        desk.pull(&ours);
        let wrong = vault.unlock_with(&with(&tokens, &ada, PIN), NOON);
        let Err(Error::WrongToken { serial, found }) = wrong else { panic!("{wrong:?}") };
        assert!(serial == ada && found == [bob]);
        fs::rename(&theirs, desk.aside("drawer")).unwrap();
        let none = vault.unlock_with(&with(&tokens, &ada, PIN), NOON);
        assert!(matches!(none, Err(Error::NoToken { .. })), "{none:?}");
        assert_eq!(vault.wait(NOON), Seconds(0), "none of it was a try");
        vault.unlock(PASSPHRASE, NOON).unwrap();
    });
}

#[test]
fn wrong_pins_that_shall_open_a_vault_are_capped_and_wait_like_wrong_passphrases() {
    alone("wrong_pins_that_shall_open_a_vault_are_capped_and_wait_like_wrong_passphrases", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        add(&vault, &serial);
        let entries = vault.audit_entries(0, 100).unwrap().len();
        drop(vault);
        let unlock = |pin, at| {
            let vault = place.open();
            (vault.unlock_with(&with(&tokens, &serial, pin), at), vault)
        };
        let (first, _) = unlock("0000", NOON);
        assert!(matches!(first, Err(Error::WrongPin { left: 1, .. })), "{first:?}");
        let (early, _) = unlock(PIN, NOON);
        assert!(matches!(early, Err(Error::TooEarly { wait: Seconds(1) })), "{early:?}");
        let (second, _) = unlock("0000", NOON + Seconds(1));
        assert!(matches!(second, Err(Error::WrongPin { left: 0, .. })), "{second:?}");
        let later = NOON + Seconds(10);
        let (capped, vault) = unlock(PIN, later);
        assert!(matches!(capped, Err(Error::PinCapped { .. })), "even the right one: {capped:?}");
        assert!(!tokens.list().unwrap()[0].blocked, "the token itself never came to it");
        assert_eq!(vault.audit_entries(0, 100).unwrap().len(), entries + 2, "each wrong PIN is on record");
        vault.forget_wrong_pins(&serial).unwrap();
        vault.unlock_with(&with(&tokens, &serial, PIN), later).unwrap();
        assert_eq!(vault.wait(later), Seconds(0));
    });
}

/// Opens a slot while `between` happens, right after the token was logged in to. SoftHSM2 knows a token no more
/// that it missed once, so this is all that its program can do with it.
fn meddle(desk: &Desk, name: &str, between: impl Fn(&Desk) + Sync) -> (TokenSerial, Error) {
    let (tokens, [serial]) = desk.tokens([name]);
    let place = Place::new();
    let vault = vault(&place, &tokens);
    let slot = add(&vault, &serial);
    let go_on = || {
        between(desk);
        Ok(())
    };
    let opened = agreement(&slot).open(&tokens, PIN, &go_on).unwrap_err();
    vault.lock();
    let refused = vault.unlock_with(&with(&tokens, &serial, PIN), NOON);
    assert!(matches!(refused, Err(Error::NoToken { .. } | Error::WrongToken { .. })), "{refused:?}");
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert_eq!(vault.slots().len(), 2, "nothing is lost");
    (serial, opened)
}

#[test]
fn a_token_pulled_out_while_it_opens_a_vault_gives_nothing_out() {
    alone("a_token_pulled_out_while_it_opens_a_vault_gives_nothing_out", |desk| {
        let ours = desk.token("ada");
        let (_, opened) = meddle(desk, "ada", |desk| desk.pull(&ours));
        assert!(matches!(opened, Error::TokenPulled { .. }), "{opened:?}");
    });
}

#[test]
fn a_token_swapped_while_it_opens_a_vault_gives_nothing_out() {
    alone("a_token_swapped_while_it_opens_a_vault_gives_nothing_out", |desk| {
        let (ours, theirs) = (desk.token("ada"), desk.token("eve"));
        let aside = desk.aside("aside");
        fs::rename(&theirs, &aside).unwrap();
        let (serial, opened) = meddle(desk, "ada", |desk| {
            desk.pull(&ours);
            fs::rename(&aside, &ours).unwrap();
        });
        assert!(matches!(&opened, Error::TokenSwapped { found, .. } if *found != serial), "{opened:?}");
    });
}

#[test]
fn a_token_slot_that_was_edited_opens_nothing() {
    alone("a_token_slot_that_was_edited_opens_nothing", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        add(&vault, &serial);
        let other = Agreement::new(&serial, tokens.generate_agreeing(&serial, PIN).unwrap()).unwrap().0;
        let file = vault.inner().file.clone();
        let slot = file.slots[1].clone();
        let opener = with(&tokens, &serial, PIN);
        let opens = |edit: &dyn Fn(&mut Agreement)| {
            let mut slot = slot.clone();
            if let SlotKind::Token(agreement) = &mut slot.info.kind {
                edit(agreement);
            }
            opener.key(&slot.info.kind).map(|key| slot.open(&file.id, &key).is_some())
        };
        assert!(opens(&|_| {}).unwrap());
        assert!(!opens(&|agreement| agreement.point = other.point).unwrap(), "another point");
        let key = opens(&|agreement| agreement.public = other.public);
        assert!(matches!(key, Err(Error::TokenKeyOther { .. })), "another public half: {key:?}");
        let key = opens(&|agreement| agreement.place.id.clone_from(&other.place.id));
        assert!(matches!(key, Err(Error::TokenKeyOther { .. })), "another key's name: {key:?}");
        assert!(!opens(&|agreement| *agreement = other.clone()).unwrap(), "another slot's agreement");
        let no_point = opens(&|agreement| agreement.point = [4; 65]);
        assert!(matches!(no_point, Err(Error::TokenRefused { .. })), "no point of the curve: {no_point:?}");
    });
}

#[test]
fn a_slot_takes_a_key_that_stays_in_its_token_and_signs_nothing() {
    alone("a_slot_takes_a_key_that_stays_in_its_token_and_signs_nothing", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        let add = |key: Option<&[u8]>| vault.add_token("", &serial, key, None, NOON);
        assert!(matches!(add(None), Err(Error::NoPin { .. })));
        vault.enter_pin(&serial, PIN).unwrap();
        loose_key(b"loose");
        assert!(matches!(add(Some(b"loose")), Err(Error::TokenKeyLoose { .. })));
        assert!(matches!(add(Some(b"none")), Err(Error::TokenKeyMissing { .. })));
        let ed25519 = tokens.generate(&serial, PIN, Algorithm::Ed25519, "signs").unwrap();
        assert!(matches!(add(Some(&ed25519.id)), Err(Error::TokenKeyMissing { .. })), "no P-256 key");
        vault.generate_in_token(KeyRole::CaRoot, &serial, &intent(&vault)).unwrap();
        let ca = vault.key(KeyRole::CaRoot).unwrap();
        let ca = tokens.keys(&serial).unwrap().into_iter().find(|key| key.public == ca.public).unwrap();
        assert!(matches!(add(Some(&ca.id)), Err(Error::KeyTwice { .. })), "one key, one purpose");
        let ours = tokens.generate_agreeing(&serial, PIN).unwrap();
        let slot = add(Some(&ours.id)).unwrap();
        assert_eq!(agreement(&slot).public()[..], ours.public);
        assert!(matches!(add(Some(&ours.id)), Err(Error::KeyTwice { .. })), "one slot for each key");
        let adopted = vault.adopt_from_token(KeyRole::CaDevices, &serial, &ours.id, &intent(&vault));
        assert!(adopted.is_err(), "it does not sign: {adopted:?}");
        vault.lock();
        vault.unlock_with(&with(&tokens, &serial, PIN), NOON).unwrap();
    });
}

#[test]
fn a_token_brings_back_a_vault_whose_passphrase_is_forgotten_and_opens_its_backup() {
    alone("a_token_brings_back_a_vault_whose_passphrase_is_forgotten_and_opens_its_backup", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.generate(&[KeyRole::Root], &intent(&vault)).unwrap();
        add(&vault, &serial);
        let opener = with(&tokens, &serial, PIN);
        let backup = place.path("backup");
        vault.backup(&backup, NOON).unwrap();
        vault.test_restore(&backup, &opener, NOON).unwrap();
        vault.lock();
        vault.unlock_with(&opener, NOON).unwrap();
        vault.change_passphrase(&opener, OTHER, Params::floor(), NOON).unwrap();
        vault.lock();
        assert!(vault.unlock(PASSPHRASE, NOON).is_err(), "the forgotten one is gone");
        let later = NOON + Seconds(1);
        vault.unlock(OTHER, later).unwrap();
        vault.lock();
        vault.unlock_with(&opener, later).unwrap();
        let restored = Vault::restore(&place.path("new"), &backup, &opener, later).unwrap();
        assert_eq!(restored.keys().len(), 1);
    });
}
