//! The vault as its callers see it.

mod clocks;
mod disk;
mod edited;
#[cfg(target_os = "linux")]
mod keyring;
mod killed;
mod logs;
#[cfg(target_os = "linux")]
mod memory;
mod recovery;
mod slots;
mod token;
mod token_slot;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use envelope::{SignError, Signer};
use model::{Seconds, TokenId, UnixTime};
use tempfile::TempDir;

use crate::{
    Error, Intent, KeyRole, Lifetime, Opener, Params, Vault, merkle_root,
    save::{generations, kept, key_file},
};

const NOON: UnixTime = UnixTime::from_secs(1_790_000_000);
const PASSPHRASE: &str = "gravel oboe lantern swift cactus";
const OTHER: &str = "violet anchor pepper tundra spoon";

struct Place {
    temp: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { temp: tempfile::tempdir().unwrap() }
    }

    /// In memory where that can be: for tests that save thousands of times.
    fn quick() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self { temp: tempfile::tempdir_in(memory).unwrap() } } else { Self::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn folder(&self) -> PathBuf {
        self.path("vault")
    }

    fn create(&self) -> Vault {
        let holder = "Ada Lovelace".parse().unwrap();
        Vault::create(&self.folder(), holder, PASSPHRASE, Params::floor(), NOON).unwrap()
    }

    fn open(&self) -> Vault {
        Vault::open(&self.folder()).unwrap()
    }

    fn unlocked(&self) -> Vault {
        let vault = self.open();
        vault.unlock(PASSPHRASE, NOON).unwrap();
        vault
    }
}

fn intent(vault: &Vault) -> Intent {
    vault.intent("test.do", "something", "because", NOON)
}

fn generate(vault: &Vault, roles: &[KeyRole]) -> Result<(), Error> {
    vault.generate(roles, &intent(vault)).map(drop)
}

#[test]
fn keys_of_every_role_outlive_a_restart_and_still_sign() {
    let place = Place::new();
    let vault = place.create();
    let made = vault.generate(&KeyRole::ALL, &intent(&vault)).unwrap();
    assert_eq!(made.iter().map(|key| key.role).collect::<Vec<_>>(), KeyRole::ALL);
    drop(vault);
    let vault = place.open();
    assert_eq!(vault.keys(), made, "public halves are readable while it is locked");
    vault.unlock(PASSPHRASE, NOON).unwrap();
    for key in made {
        match key.verifying_key() {
            Some(public) => {
                let signer = vault.signer(key.id, intent(&vault)).unwrap();
                assert_eq!(signer.public_key(), public);
                assert_verifies(&public, b"message", &signer.sign(b"message").unwrap());
            }
            None => assert!(matches!(vault.signer(key.id, intent(&vault)), Err(Error::WrongUse { .. }))),
        }
    }
    let kem = vault.key(KeyRole::Kem).unwrap();
    let public = vault.with_kem_secret(kem.id, &intent(&vault), |secret| secret.public()).unwrap();
    assert_eq!(Some(public), kem.kem_key());
    assert_eq!(kem.id.as_bytes(), public.id().as_bytes());
}

#[test]
fn what_is_sealed_to_the_vault_opens_in_it_and_leaves_an_audit_entry() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Kem, KeyRole::Ticket]).unwrap();
    let kem = vault.key(KeyRole::Kem).unwrap();
    let to = kem.kem_key().unwrap();
    let recipient = envelope::Recipient::Key(to.id());
    let sealed = envelope::seal("fleetseal-test/1", &to, recipient, b"content key").unwrap();
    let before = vault.verify_audit().unwrap().seq;
    let open = |secret: &envelope::KemSecret| {
        envelope::open("fleetseal-test/1", secret, recipient, &sealed, 1024).unwrap()
    };
    let opened = vault.with_kem_secret(kem.id, &intent(&vault), open).unwrap();
    assert_eq!(&opened[..], b"content key");
    assert_eq!(vault.audit_entries(before, 10).unwrap().len(), 1);
    let ticket = vault.key(KeyRole::Ticket).unwrap().id;
    let refused = vault.with_kem_secret(ticket, &intent(&vault), |_| ());
    assert!(matches!(refused, Err(Error::WrongUse { role: KeyRole::Ticket })));
}

#[test]
fn a_batch_is_one_audit_entry_and_every_signature_verifies() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    let key = vault.key(KeyRole::Ticket).unwrap();
    let before = vault.verify_audit().unwrap().seq;
    let messages: Vec<Vec<u8>> = (0..300u16).map(|n| n.to_be_bytes().to_vec()).collect();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let signatures = vault.sign_batch(key.id, &intent(&vault), &messages).unwrap();
    for (message, signature) in messages.iter().zip(&signatures) {
        assert_verifies(&key.verifying_key().unwrap(), message, signature);
    }
    let entries = vault.audit_entries(before, 10).unwrap();
    let signed = entries.first().unwrap().signed.unwrap();
    assert_eq!((entries.len(), signed.count, signed.key), (1, 300, key.id));
    assert!(vault.sign_batch(key.id, &intent(&vault), &[]).unwrap().is_empty());
    assert_eq!(vault.verify_audit().unwrap().seq, before + 1);
}

#[test]
fn a_locked_vault_refuses_signers_made_before() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root, KeyRole::Kem, KeyRole::Token, KeyRole::Memory]).unwrap();
    let signer = vault.signer(vault.key(KeyRole::Root).unwrap().id, intent(&vault)).unwrap();
    let kem = vault.key(KeyRole::Kem).unwrap().id;
    assert!(signer.sign(b"message").is_ok());
    vault.lock();
    assert!(!vault.is_unlocked());
    assert!(matches!(signer.sign(b"message"), Err(SignError::Locked)));
    assert!(matches!(generate(&vault, &[KeyRole::Root]), Err(Error::Locked)));
    assert!(matches!(vault.with_kem_secret(kem, &intent(&vault), |_| ()), Err(Error::Locked)));
    assert!(matches!(vault.memory_mac(b""), Err(Error::Locked)));
    assert!(matches!(vault.enrolment_secret(&TokenId::new([1; 16]), b""), Err(Error::Locked)));
    assert!(matches!(
        vault.test_restore(Path::new("/nowhere"), &Opener::Passphrase(PASSPHRASE), NOON),
        Err(Error::Locked)
    ));
    let change = vault.change_passphrase(&Opener::Passphrase(PASSPHRASE), OTHER, Params::floor(), NOON);
    assert!(matches!(change, Err(Error::Locked)));
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert!(signer.sign(b"message").is_ok());
}

#[test]
fn it_locks_when_idle_and_when_its_time_is_over() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let signer = vault.signer(vault.key(KeyRole::Root).unwrap().id, intent(&vault)).unwrap();
    vault.set_lifetime(Lifetime { idle: Seconds(100), absolute: Seconds(250) });
    assert_eq!(vault.locks_at(), Some(NOON + Seconds(100)));
    assert!(vault.tick(NOON + Seconds(99)));
    assert!(vault.touch(NOON + Seconds(99)));
    assert!(vault.tick(NOON + Seconds(198)));
    assert!(signer.sign(b"message").is_ok());
    assert!(!vault.tick(NOON + Seconds(199)), "idle for 100 s");
    assert!(matches!(signer.sign(b"message"), Err(SignError::Locked)));
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert!(vault.touch(NOON + Seconds(99)) && vault.touch(NOON + Seconds(180)));
    assert_eq!(vault.locks_at(), Some(NOON + Seconds(250)));
    assert!(!vault.touch(NOON + Seconds(250)), "unlocked for 250 s, however busy");
    assert_eq!(vault.locks_at(), None);
    vault.unlock(PASSPHRASE, NOON).unwrap();
    vault.set_lifetime(Lifetime { idle: Seconds(0), absolute: Seconds(0) });
    assert!(matches!(signer.sign(b"message"), Err(SignError::Locked)), "without any tick");
}

#[test]
fn wrong_passphrases_wait_longer_and_longer_across_restarts() {
    let place = Place::new();
    drop(place.create());
    let mut now = NOON;
    for wait in [1, 2, 4] {
        let vault = place.open();
        let wrong = vault.unlock("not the passphrase", now);
        assert!(matches!(wrong, Err(Error::WrongPassphrase { wait: Seconds(s) }) if s == wait));
        drop(vault);
        let vault = place.open();
        assert_eq!(vault.wait(now), Seconds(wait));
        let early = vault.unlock(PASSPHRASE, now);
        assert!(
            matches!(early, Err(Error::TooEarly { wait: Seconds(s) }) if s == wait),
            "even the right one"
        );
        let back = vault.unlock(PASSPHRASE, now - Seconds::days(30));
        assert!(matches!(back, Err(Error::TooEarly { .. })), "a clock set back");
        now = now + Seconds(wait);
    }
    let vault = place.open();
    vault.unlock(PASSPHRASE, now).unwrap();
    let wrong = vault.unlock("not the passphrase", now);
    assert!(matches!(wrong, Err(Error::WrongPassphrase { wait: Seconds(1) })), "success forgets");
    let refused = vault.audit_entries(0, 100).unwrap();
    assert_eq!(refused.iter().filter(|entry| entry.intent.action == "vault.refuse").count(), 4);
}

#[test]
fn weak_passphrases_make_no_vault() {
    let place = Place::new();
    for weak in ["1234567890", "Ada Lovelace 1"] {
        let holder = "Ada Lovelace".parse().unwrap();
        let made = Vault::create(&place.folder(), holder, weak, Params::floor(), NOON);
        assert!(matches!(made, Err(Error::WeakPassphrase { .. })));
    }
    assert!(!place.folder().exists());
}

#[test]
fn files_that_others_can_read_are_refused() {
    let place = Place::new();
    drop(place.create());
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for name in ["keys.cbor", "state.cbor", "audit.sqlite"] {
        let path = place.folder().join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        for mode in [0o640, 0o604, 0o620] {
            set(&path, mode);
            assert!(matches!(Vault::open(&place.folder()), Err(Error::Exposed { .. })), "{name} {mode:o}");
        }
        set(&path, 0o600);
    }
    set(&place.folder(), 0o750);
    assert!(matches!(Vault::open(&place.folder()), Err(Error::Exposed { .. })));
    set(&place.folder(), 0o700);
    symlink(place.folder(), place.path("link")).unwrap();
    assert!(matches!(Vault::open(&place.path("link")), Err(Error::Exposed { .. })));
    let keys = key_file(&place.folder());
    fs::rename(&keys, place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), &keys).unwrap();
    assert!(matches!(Vault::open(&place.folder()), Err(Error::Exposed { .. })));
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let vault = place.create();
    let clone = vault.clone();
    drop(vault);
    assert!(matches!(Vault::open(&place.folder()), Err(Error::InUse { .. })));
    assert!(matches!(
        Vault::restore(&place.folder(), &key_file(&place.folder()), &Opener::Passphrase(PASSPHRASE), NOON),
        Err(Error::InUse { .. })
    ));
    drop(clone);
    assert!(Vault::open(&place.folder()).is_ok());
}

#[test]
fn a_vault_is_never_made_over_another_nor_found_where_there_is_none() {
    let place = Place::new();
    assert!(matches!(Vault::open(&place.folder()), Err(Error::Missing { .. })));
    drop(place.create());
    let again = || {
        let holder = "Ada Lovelace".parse().unwrap();
        Vault::create(&place.folder(), holder, PASSPHRASE, Params::floor(), NOON)
    };
    assert!(matches!(again(), Err(Error::Exists { .. })));
    fs::rename(key_file(&place.folder()), kept(&place.folder(), 1)).unwrap();
    assert!(matches!(again(), Err(Error::Exists { .. })), "an older generation alone");
}

#[test]
fn a_new_passphrase_shuts_out_the_old_one() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let keys = vault.keys();
    let change = |old, new| vault.change_passphrase(&Opener::Passphrase(old), new, Params::floor(), NOON);
    assert!(matches!(change(PASSPHRASE, "1234567890"), Err(Error::WeakPassphrase { .. })));
    change(PASSPHRASE, OTHER).unwrap();
    assert_eq!(generations(&place.folder()).unwrap(), [0u64; 0], "the old one opens them");
    drop(vault);
    let vault = place.open();
    assert!(matches!(vault.unlock(PASSPHRASE, NOON), Err(Error::WrongPassphrase { .. })));
    vault.unlock(OTHER, NOON + Seconds(1)).unwrap();
    assert_eq!(vault.keys(), keys);
}

#[test]
fn enrolment_secrets_are_recomputed_and_bound() {
    let place = Place::new();
    let vault = place.create();
    assert!(matches!(
        vault.enrolment_secret(&TokenId::new([1; 16]), b"serial"),
        Err(Error::NoRole { role: KeyRole::Token })
    ));
    generate(&vault, &[KeyRole::Token]).unwrap();
    let secret = |vault: &Vault, token, binding: &[u8]| {
        vault.enrolment_secret(&TokenId::new([token; 16]), binding).unwrap()
    };
    let first = secret(&vault, 1, b"serial");
    assert_ne!(first, secret(&vault, 2, b"serial"));
    assert_ne!(first, secret(&vault, 1, b"seriam"));
    assert!(matches!(generate(&vault, &[KeyRole::Token]), Err(Error::OnlyOne { role: KeyRole::Token })));
    drop(vault);
    assert_eq!(secret(&place.unlocked(), 1, b"serial"), first);
}

#[test]
fn only_this_vault_recognises_what_it_remembers() {
    let (place, other) = (Place::new(), Place::new());
    let (vault, theirs) = (place.create(), other.create());
    let both = [KeyRole::Memory, KeyRole::Memory];
    assert!(matches!(generate(&vault, &both), Err(Error::OnlyOne { role: KeyRole::Memory })));
    generate(&vault, &[KeyRole::Memory]).unwrap();
    generate(&theirs, &[KeyRole::Memory]).unwrap();
    let mac = vault.memory_mac(b"device").unwrap();
    assert!(vault.memory_verify(b"device", &mac).unwrap());
    assert!(!vault.memory_verify(b"devicf", &mac).unwrap());
    assert!(!theirs.memory_verify(b"device", &mac).unwrap());
}

#[test]
fn nothing_is_signed_unless_the_intent_is_written() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let key = vault.key(KeyRole::Root).unwrap().id;
    let head = vault.verify_audit().unwrap();
    for wrong in [
        Intent { action: String::new(), ..intent(&vault) },
        Intent { reason: "x".repeat(1025), ..intent(&vault) },
    ] {
        assert!(matches!(vault.signer(key, wrong).unwrap().sign(b"message"), Err(SignError::Failed { .. })));
    }
    assert_eq!(vault.verify_audit().unwrap(), head);
    vault.signer(key, intent(&vault)).unwrap().sign(b"message").unwrap();
    let entry = vault.audit_entries(head.seq, 10).unwrap().remove(0);
    assert_eq!(entry.intent, intent(&vault));
    assert_eq!((entry.previous, entry.signed.unwrap().count), (head.hash, 1));
    assert_eq!(entry.signed.unwrap().root, envelope::sha256(b"\0message"));
}

#[test]
fn an_audit_log_that_was_edited_reordered_or_cut_is_noticed() {
    for edit in [
        "UPDATE entries SET entry = (SELECT entry FROM entries WHERE seq = 3) WHERE seq = 2",
        "UPDATE entries SET (entry, hash) = (SELECT entry, hash FROM entries WHERE seq = 3) WHERE seq = 2",
        "UPDATE entries SET entry = zeroblob(200) WHERE seq = 4",
        "UPDATE entries SET hash = zeroblob(32) WHERE seq = 3",
        "DELETE FROM entries WHERE seq = 2",
        "DELETE FROM entries WHERE seq >= 3",
        "DELETE FROM entries",
        "UPDATE entries SET seq = 100 WHERE seq = 2",
    ] {
        let place = Place::new();
        let vault = place.create();
        for _ in 0..3 {
            vault.record(&intent(&vault)).unwrap();
        }
        generate(&vault, &[KeyRole::Root]).unwrap();
        assert!(vault.verify_audit().unwrap().seq == 5);
        drop(vault);
        let db = rusqlite::Connection::open(place.folder().join("audit.sqlite")).unwrap();
        assert!(db.execute(edit, []).unwrap() > 0, "{edit}");
        drop(db);
        let found = Vault::open(&place.folder()).and_then(|vault| vault.verify_audit());
        assert!(matches!(found, Err(Error::AuditBroken { .. })), "{edit}: {found:?}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Root]).unwrap();
    let signer = vault.signer(vault.key(KeyRole::Root).unwrap().id, intent(&vault)).unwrap();
    let shown = format!("{vault:?} {signer:?} {:?} {:?}", vault.keys(), vault.id());
    let inner = vault.inner();
    let secret: String = inner.secret(0).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = format!("{:?}", inner.secret(0).unwrap().to_vec());
    assert!(!shown.contains(&secret[..16]) && !shown.contains(&listed[1..30]), "{shown}");
}

#[test]
fn signers_work_from_many_threads_at_once() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    let key = vault.key(KeyRole::Ticket).unwrap();
    let signer = vault.signer(key.id, intent(&vault)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (signer, key) = (&signer, &key);
            scope.spawn(move || {
                for at in 0..5u8 {
                    let signature = signer.sign(&[thread, at]).unwrap();
                    assert_verifies(&key.verifying_key().unwrap(), &[thread, at], &signature);
                }
            });
        }
    });
    assert_eq!(vault.verify_audit().unwrap().seq, 22);
}

#[test]
fn a_batch_of_messages_yet_unknown_is_bounded_and_dies_with_the_lock() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Ticket, KeyRole::CaRoot]).unwrap();
    let key = vault.key(KeyRole::Ticket).unwrap();
    let ca = vault.key(KeyRole::CaRoot).unwrap().id;
    let before = vault.verify_audit().unwrap().seq;
    let plan = merkle_root(&[b"device one", b"device two"]);
    let batch = vault.batch(key.id, &intent(&vault), plan, 2).unwrap();
    for message in [b"one", b"two"] {
        assert_verifies(&key.verifying_key().unwrap(), message, &batch.sign(message).unwrap());
    }
    assert!(matches!(batch.sign(b"three"), Err(SignError::Failed { .. })));
    batch.finish().unwrap();
    let entries = vault.audit_entries(before, 10).unwrap();
    let signed: Vec<_> =
        entries.iter().map(|entry| entry.signed.unwrap()).map(|s| (s.root, s.count)).collect();
    assert_eq!(signed, [(plan, 2), (merkle_root(&[b"one", b"two"]), 2)]);
    let batch = vault.batch(key.id, &intent(&vault), plan, 2).unwrap();
    vault.lock();
    assert!(matches!(batch.sign(b"one"), Err(SignError::Locked)));
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert!(matches!(batch.sign(b"one"), Err(SignError::Locked)), "its key was wiped");
    assert!(matches!(vault.batch(ca, &intent(&vault), plan, 2), Err(Error::WrongUse { .. })));
}

#[test]
fn a_lock_stops_a_batch_in_flight_and_none_of_it_leaves() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    let key = vault.key(KeyRole::Ticket).unwrap();
    let messages: Vec<[u8; 4]> = (0..100_000u32).map(u32::to_be_bytes).collect();
    let messages: Vec<&[u8]> = messages.iter().map(<[u8; 4]>::as_slice).collect();
    let before = vault.verify_audit().unwrap().seq;
    let signed = std::thread::scope(|scope| {
        let signing = scope.spawn(|| vault.sign_batch(key.id, &intent(&vault), &messages));
        // The intent is on the disk: signing has begun.
        while vault.audit_entries(before, 1).unwrap().is_empty() {
            std::thread::yield_now();
        }
        vault.lock();
        signing.join().unwrap()
    });
    assert!(
        matches!(signed, Err(Error::Interrupted { messages: 100_000 })),
        "{:?}",
        signed.map(|made| made.len())
    );
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert_eq!(vault.sign_batch(key.id, &intent(&vault), &messages[..2]).unwrap().len(), 2);
}

#[test]
fn unlocking_again_while_a_batch_is_signed_stops_nothing() {
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::Ticket]).unwrap();
    let key = vault.key(KeyRole::Ticket).unwrap().id;
    let batch = vault.batch(key, &intent(&vault), merkle_root(&[b"plan"]), 2).unwrap();
    vault.unlock(PASSPHRASE, NOON).unwrap();
    assert!(batch.sign(b"one").is_ok());
}

#[test]
fn ca_keys_issue_and_other_keys_do_not() {
    use pki::P256Signer as _;
    let place = Place::new();
    let vault = place.create();
    generate(&vault, &[KeyRole::CaDevices, KeyRole::Root]).unwrap();
    let ca = vault.key(KeyRole::CaDevices).unwrap();
    let signer = vault.ca_signer(ca.id, intent(&vault)).unwrap();
    let public = envelope::PublicKey::P256(signer.public_key_sec1());
    assert_eq!(Some(public), ca.verifying_key());
    assert_verifies(&public, b"certificate", &signer.sign(b"certificate").unwrap());
    let root = vault.key(KeyRole::Root).unwrap().id;
    let refused = vault.ca_signer(root, intent(&vault));
    assert!(matches!(refused, Err(Error::WrongUse { role: KeyRole::Root })));
    vault.lock();
    assert!(matches!(signer.sign(b"certificate"), Err(pki::SignError::Locked)));
}

fn assert_verifies(public: &envelope::PublicKey, message: &[u8], signature: &[u8; 64]) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
    let algorithm: &'static dyn VerificationAlgorithm = match public {
        envelope::PublicKey::Ed25519(_) => &ED25519,
        envelope::PublicKey::P256(_) => &ECDSA_P256_SHA256_FIXED,
    };
    UnparsedPublicKey::new(algorithm, public.as_bytes()).verify(message, signature).unwrap();
}
