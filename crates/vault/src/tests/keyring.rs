//! A vault that a passphrase opens together with a keyring, with GNOME's as the keyring.
//!
//! Each test runs itself again in a session of its own, with a keyring of its own.

use std::{env, fs, os::unix::fs::DirBuilderExt as _, process::Command};

use model::Seconds;

use super::{NOON, OTHER, PASSPHRASE, Place, generate};
use crate::{Error, KeyRole, Opener, Params, SlotInfo, Vault, keyring, save::generations};

/// Starts the keyring, unlocked, and then the program that is named after it.
const SESSION: &str =
    r#"printf secret | gnome-keyring-daemon --unlock --components=secrets > /dev/null && exec "$@""#;

/// Runs `test` in a program of its own whose keyring is in a folder of its own.
fn alone(name: &str, test: impl FnOnce()) {
    alone_in("keyring", name, test);
}

/// The same for a test of another module.
pub(super) fn alone_in(module: &str, name: &str, test: impl FnOnce()) {
    if env::var_os("FLEETSEAL_TEST_KEYRING").is_some() {
        return test();
    }
    let home = tempfile::tempdir().unwrap();
    fs::DirBuilder::new().mode(0o700).create(home.path().join("run")).unwrap();
    let run = Command::new("dbus-run-session")
        .args(["--", "sh", "-c", SESSION, "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("tests::{module}::{name}"), "--nocapture"])
        .env("HOME", home.path())
        .env("XDG_DATA_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path().join("run"))
        .env("FLEETSEAL_TEST_KEYRING", "1")
        .output()
        .expect("a keyring is missing: `cargo xtask test` installs it");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn add(vault: &Vault, replaces: Option<&SlotInfo>) -> Result<SlotInfo, Error> {
    vault.add_keyring("laptop", OTHER, Params::floor(), replaces.map(|slot| slot.id), NOON)
}

fn entry(slot: &SlotInfo) -> [u8; 16] {
    slot.kind.keyring_part().unwrap().entry
}

#[test]
fn a_passphrase_opens_a_keyring_slot_only_together_with_the_keyring() {
    alone("a_passphrase_opens_a_keyring_slot_only_together_with_the_keyring", || {
        let place = Place::new();
        let vault = place.create();
        generate(&vault, &[KeyRole::Root]).unwrap();
        let slot = add(&vault, None).unwrap();
        assert_eq!(slot.kind.as_str(), "keyring");
        drop(vault);
        // Another day, another program.
        let vault = place.open();
        vault.unlock_with(&Opener::Keyring(OTHER), NOON).unwrap();
        assert_eq!(vault.keys().len(), 1);
        vault.lock();
        let alone = vault.unlock(OTHER, NOON);
        assert!(matches!(alone, Err(Error::WrongPassphrase { .. })), "without the keyring: {alone:?}");
        let later = NOON + Seconds(1);
        let wrong = vault.unlock_with(&Opener::Keyring(PASSPHRASE), later);
        assert!(matches!(wrong, Err(Error::WrongPassphrase { .. })), "another slot's: {wrong:?}");
        let later = later + vault.wait(later);
        vault.unlock_with(&Opener::Keyring(OTHER), later).unwrap();
        vault.lock();
        // As on a computer that the vault was copied to.
        keyring::remove(&entry(&slot)).unwrap();
        let lacks = vault.unlock_with(&Opener::Keyring(OTHER), later);
        assert!(matches!(lacks, Err(Error::KeyringLacks)), "{lacks:?}");
        assert_eq!(vault.wait(later), Seconds(0), "it was no try");
        vault.unlock(PASSPHRASE, later).unwrap();
    });
}

#[test]
fn nobody_relies_on_a_keyring_and_a_removed_slot_leaves_nothing_in_it() {
    alone("nobody_relies_on_a_keyring_and_a_removed_slot_leaves_nothing_in_it", || {
        let place = Place::new();
        let vault = place.create();
        let passphrase = vault.slots().remove(0);
        assert!(
            matches!(add(&vault, Some(&passphrase)), Err(Error::LastSlot)),
            "it is gone with its computer"
        );
        let first = add(&vault, None).unwrap();
        assert!(!first.kind.counts());
        assert!(matches!(vault.remove_slot(passphrase.id, NOON), Err(Error::LastSlot)));
        let second = add(&vault, Some(&first)).unwrap();
        assert_eq!(vault.slots().len(), 2, "rotated");
        assert_eq!(generations(&place.folder()).unwrap(), [0u64; 0], "the old one opens them");
        assert!(matches!(keyring::read(&entry(&first)), Err(Error::KeyringLacks)));
        assert!(keyring::read(&entry(&second)).is_ok());
        vault.remove_slot(second.id, NOON).unwrap();
        assert!(matches!(keyring::read(&entry(&second)), Err(Error::KeyringLacks)));
        let weak = vault.add_keyring("", "password", Params::floor(), None, NOON);
        assert!(matches!(weak, Err(Error::WeakPassphrase { .. })), "{weak:?}");
    });
}

#[test]
fn without_a_keyring_a_computer_says_so() {
    let name = "without_a_keyring_a_computer_says_so";
    if env::var_os("FLEETSEAL_TEST_KEYRING").is_none() {
        let run = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("tests::keyring::{name}"), "--nocapture"])
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
            .env("FLEETSEAL_TEST_KEYRING", "1")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    }
    let place = Place::new();
    let vault = place.create();
    let added = add(&vault, None);
    assert!(matches!(added, Err(Error::NoKeyring { .. })), "{added:?}");
    assert_eq!(vault.slots().len(), 1);
    vault.lock();
    let opened = vault.unlock_with(&Opener::Keyring(OTHER), NOON);
    assert!(matches!(opened, Err(Error::NoSlot { kind: "keyring" })), "{opened:?}");
}
