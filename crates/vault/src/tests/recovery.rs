//! Older generations, damage and backups.

use std::fs;

use envelope::Signer;
use model::Seconds;

use super::{NOON, PASSPHRASE, Place, assert_verifies, generate, intent};
use crate::{
    Error, KeyRole, Opener, Vault,
    save::{generations, kept, key_file},
};

#[test]
fn five_generations_are_kept_and_each_can_be_brought_back() {
    let place = Place::new();
    let vault = place.create();
    for _ in 0..7 {
        generate(&vault, &[KeyRole::Targets]).unwrap();
    }
    assert_eq!((vault.generation(), vault.keys().len()), (8, 7));
    assert_eq!(generations(&place.folder()).unwrap(), [7, 6, 5, 4, 3]);
    drop(vault);
    let from = kept(&place.folder(), 5);
    let vault = Vault::restore(&place.folder(), &from, &Opener::Passphrase(PASSPHRASE), NOON).unwrap();
    assert_eq!((vault.generation(), vault.keys().len()), (9, 4));
    drop(vault);
    assert_eq!(place.unlocked().keys().len(), 4);
    let vault = Vault::restore(
        &place.path("elsewhere"),
        &kept(&place.folder(), 8),
        &Opener::Passphrase(PASSPHRASE),
        NOON,
    )
    .unwrap();
    assert_eq!(vault.keys().len(), 7, "what a restore replaced is kept too");
}

#[test]
fn an_older_key_file_is_noticed_by_state_file_and_by_audit_log() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    vault.record(&intent(&vault)).unwrap();
    drop(vault);
    let old = fs::read(kept(&place.folder(), 2)).unwrap();
    fs::write(key_file(&place.folder()), &old).unwrap();
    let older = |found: Result<Vault, Error>| {
        assert!(matches!(found, Err(Error::OlderThanLastSeen { generation: 2, last_seen: 3 })), "{found:?}");
    };
    older(Vault::open(&place.folder()));
    let state = place.folder().join("state.cbor");
    fs::rename(&state, place.path("state")).unwrap();
    older(Vault::open(&place.folder()));
    fs::rename(place.path("state"), &state).unwrap();
    fs::remove_file(place.folder().join("audit.sqlite")).unwrap();
    older(Vault::open(&place.folder()));
    let vault =
        Vault::restore(&place.folder(), &key_file(&place.folder()), &Opener::Passphrase(PASSPHRASE), NOON)
            .unwrap();
    assert_eq!(vault.generation(), 4);
    drop(vault);
    assert!(Vault::open(&place.folder()).is_ok());
}

#[test]
fn a_key_file_put_back_while_the_vault_is_open_and_locked_is_noticed() {
    let place = Place::new();
    let vault = place.create();
    let old = fs::read(key_file(&place.folder())).unwrap();
    generate(&vault, &[KeyRole::Root]).unwrap();
    vault.lock();
    fs::write(key_file(&place.folder()), old).unwrap();
    let unlocked = vault.unlock(PASSPHRASE, NOON);
    assert!(matches!(unlocked, Err(Error::OlderThanLastSeen { generation: 1, last_seen: 2 })));
}

#[test]
fn a_damaged_key_file_is_refused_and_replaced_by_a_backup() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let root = vault.key(KeyRole::Root).unwrap();
    let backup = place.path("backup.cbor");
    vault.backup(&backup, NOON).unwrap();
    drop(vault);
    fs::write(key_file(&place.folder()), b"gone").unwrap();
    assert!(matches!(Vault::open(&place.folder()), Err(Error::Damaged { .. })));
    let wrong = Vault::restore(&place.folder(), &backup, &Opener::Passphrase("not the passphrase"), NOON);
    assert!(matches!(wrong, Err(Error::WrongPassphrase { .. })));
    let vault =
        Vault::restore(&place.folder(), &backup, &Opener::Passphrase(PASSPHRASE), NOON + Seconds(1)).unwrap();
    let signer = vault.signer(root.id, intent(&vault)).unwrap();
    assert_verifies(&root.verifying_key().unwrap(), b"message", &signer.sign(b"message").unwrap());
    assert!(place.folder().join("keys.cbor.damaged").exists());
}

#[test]
fn a_backup_counts_once_it_was_restored_and_until_there_is_a_newer_root() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root, KeyRole::CaRoot]).unwrap();
    assert_eq!(vault.backup_proven_at(), None);
    let (first, second) = (place.path("first"), place.path("second"));
    vault.backup(&first, NOON).unwrap();
    assert_eq!(vault.backup_proven_at(), None, "written is not proven");
    assert!(matches!(vault.backup(&first, NOON), Err(Error::Exists { .. })));
    assert!(matches!(vault.backup(&place.folder().join("copy"), NOON), Err(Error::Exists { .. })));
    let wrong = vault.test_restore(&first, &Opener::Passphrase("not the passphrase"), NOON);
    assert!(matches!(wrong, Err(Error::WrongPassphrase { .. })));
    let later = NOON + Seconds(60);
    vault.test_restore(&first, &Opener::Passphrase(PASSPHRASE), later).unwrap();
    assert_eq!(vault.backup_proven_at(), Some(later));
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    assert_eq!(vault.backup_proven_at(), Some(later), "a ticket key can be replaced");
    generate(&vault, &[KeyRole::Root]).unwrap();
    assert_eq!(vault.backup_proven_at(), None);
    let lacking = vault.test_restore(&first, &Opener::Passphrase(PASSPHRASE), later);
    assert!(matches!(lacking, Err(Error::BackupIncomplete { .. })));
    vault.backup(&second, later).unwrap();
    vault.test_restore(&second, &Opener::Passphrase(PASSPHRASE), later).unwrap();
    drop(vault);
    assert_eq!(place.open().backup_proven_at(), Some(later), "it is remembered");
}

#[test]
fn a_backup_of_another_vault_or_a_damaged_one_proves_nothing() {
    let place = Place::new();
    let vault = place.create();
    let other = Place::new();
    let theirs = other.path("backup");
    other.create().backup(&theirs, NOON).unwrap();
    assert!(matches!(
        vault.test_restore(&theirs, &Opener::Passphrase(PASSPHRASE), NOON),
        Err(Error::OtherVault)
    ));
    let ours = place.path("backup");
    vault.backup(&ours, NOON).unwrap();
    let mut bytes = fs::read(&ours).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&ours, bytes).unwrap();
    assert!(matches!(
        vault.test_restore(&ours, &Opener::Passphrase(PASSPHRASE), NOON),
        Err(Error::Damaged { .. })
    ));
    assert_eq!(vault.backup_proven_at(), None);
    drop(vault);
    let mixed = Vault::restore(&place.folder(), &theirs, &Opener::Passphrase(PASSPHRASE), NOON);
    assert!(matches!(mixed, Err(Error::OtherVault)));
}
