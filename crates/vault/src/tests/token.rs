//! Keys that live in tokens, with SoftHSM2 as the token.
//!
//! A PKCS#11 module reads its configuration when it is loaded, from the environment of the whole program: so
//! each test runs itself again in a program of its own, with tokens of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::UserType,
    types::AuthPin,
};
use envelope::{SignError, Signer};
use model::Digest;
use tempfile::TempDir;

use super::{NOON, PASSPHRASE, Place, assert_verifies, intent};
use crate::{
    Algorithm, Error, KeyId, KeyRole, Opener, TokenSerial, Tokens, Vault,
    token::{Login, TokenPlace},
};

pub(super) const PIN: &str = "48151623";

/// The tokens of one test.
pub(super) struct Desk {
    folder: PathBuf,
}

fn alone(name: &str, test: impl FnOnce(&Desk)) {
    alone_in("token", name, test);
}

/// Runs `test` in a program of its own whose tokens are in a folder of its own.
pub(super) fn alone_in(module: &str, name: &str, test: impl FnOnce(&Desk)) {
    if let Some(folder) = env::var_os("FLEETSEAL_TEST_TOKENS") {
        return test(&Desk { folder: folder.into() });
    }
    let temp: TempDir = tempfile::tempdir().unwrap();
    let folder = temp.path().join("tokens");
    fs::create_dir(&folder).unwrap();
    let conf = temp.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n",
        folder.display()
    );
    fs::write(&conf, text).unwrap();
    let run = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("tests::{module}::{name}"), "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env("FLEETSEAL_TEST_TOKENS", &folder)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn module() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib64/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.expect("SoftHSM2 is missing: `cargo xtask test` installs it").to_owned()
}

impl Desk {
    /// Sets up a token and gives the folder that it lies in.
    pub(super) fn token(&self, label: &str) -> PathBuf {
        let before = self.folders();
        let run = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "00000000"])
            .output()
            .expect("SoftHSM2 is missing: `cargo xtask test` installs it");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        self.folders().into_iter().find(|folder| !before.contains(folder)).unwrap()
    }

    fn folders(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The module, loaded once all tokens are set up, and the serial number of each token by its label.
    pub(super) fn tokens<const N: usize>(&self, labels: [&str; N]) -> (Arc<Tokens>, [TokenSerial; N]) {
        let tokens = Tokens::load(&module()).unwrap();
        let list = tokens.list().unwrap();
        let serials =
            labels.map(|label| list.iter().find(|info| info.label == label).unwrap().serial.clone());
        (Arc::new(tokens), serials)
    }

    pub(super) fn pull(&self, token: &Path) {
        fs::rename(token, self.aside("pulled")).unwrap();
    }

    pub(super) fn plug_in(&self, token: &Path) {
        fs::rename(self.aside("pulled"), token).unwrap();
    }

    pub(super) fn aside(&self, name: &str) -> PathBuf {
        self.folder.parent().unwrap().join(name)
    }
}

pub(super) fn vault(place: &Place, tokens: &Arc<Tokens>) -> Vault {
    let vault = place.create();
    vault.set_tokens(Arc::clone(tokens));
    vault
}

#[test]
fn keys_made_in_a_token_sign_wherever_a_vault_signs_and_stay_there() {
    alone("keys_made_in_a_token_sign_wherever_a_vault_signs_and_stay_there", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.generate(&[KeyRole::Targets, KeyRole::Kem], &intent(&vault)).unwrap();
        let refused = vault.generate_in_token(KeyRole::Targets, &serial, &intent(&vault));
        assert!(matches!(refused, Err(Error::NoPin { .. })));
        vault.enter_pin(&serial, PIN).unwrap();
        for role in [KeyRole::Targets, KeyRole::Root, KeyRole::Ticket, KeyRole::CaRoot] {
            let made = vault.generate_in_token(role, &serial, &intent(&vault)).unwrap();
            assert_eq!((made.role, made.token.as_ref()), (role, Some(&serial)));
            assert_eq!(vault.key(role).unwrap().id, made.id, "the newest of its role");
        }
        let refused = vault.generate_in_token(KeyRole::Kem, &serial, &intent(&vault));
        assert!(matches!(refused, Err(Error::NotInToken)));
        drop(vault);
        // As another day, another program would.
        let vault = place.unlocked();
        vault.set_tokens(Arc::clone(&tokens));
        let signer = |role| vault.signer(vault.key(role).unwrap().id, intent(&vault)).unwrap();
        let without = signer(KeyRole::Targets).sign(b"message");
        assert!(matches!(without, Err(SignError::Unavailable { .. })), "{without:?}");
        vault.enter_pin(&serial, PIN).unwrap();
        for role in [KeyRole::Targets, KeyRole::Root, KeyRole::CaRoot] {
            let signer = signer(role);
            assert_verifies(&signer.public_key(), b"message", &signer.sign(b"message").unwrap());
        }
        use pki::P256Signer as _;
        let ca = vault.ca_signer(vault.key(KeyRole::CaRoot).unwrap().id, intent(&vault)).unwrap();
        let signature = ca.sign(b"certificate").unwrap();
        assert_verifies(&envelope::PublicKey::P256(ca.public_key_sec1()), b"certificate", &signature);
        let ticket = vault.key(KeyRole::Ticket).unwrap();
        let batch = vault.batch(ticket.id, &intent(&vault), Digest::new([0; 32]), 2).unwrap();
        assert_verifies(&batch.public_key(), b"ticket", &batch.sign(b"ticket").unwrap());
        batch.finish().unwrap();
        vault.lock();
        assert!(matches!(signer(KeyRole::Root).sign(b"message"), Err(SignError::Locked)));
        vault.unlock(PASSPHRASE, NOON).unwrap();
        let after = signer(KeyRole::Root).sign(b"message");
        assert!(matches!(after, Err(SignError::Unavailable { .. })), "locking forgets the PIN");
        vault.verify_audit().unwrap();
    });
}

#[test]
fn a_backup_holds_no_key_of_a_token_and_asks_for_none() {
    alone("a_backup_holds_no_key_of_a_token_and_asks_for_none", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.enter_pin(&serial, PIN).unwrap();
        vault.generate(&[KeyRole::CaRoot], &intent(&vault)).unwrap();
        vault.generate_in_token(KeyRole::Root, &serial, &intent(&vault)).unwrap();
        let backup = place.path("backup");
        vault.backup(&backup, NOON).unwrap();
        vault.test_restore(&backup, &Opener::Passphrase(PASSPHRASE), NOON).unwrap();
        assert_eq!(vault.backup_proven_at(), Some(NOON));
        assert!(!vault.key(KeyRole::Root).unwrap().backup_proven);
        let restored =
            Vault::restore(&place.path("new"), &backup, &Opener::Passphrase(PASSPHRASE), NOON).unwrap();
        restored.set_tokens(tokens);
        restored.enter_pin(&serial, PIN).unwrap();
        let signer = restored.signer(restored.key(KeyRole::Root).unwrap().id, intent(&restored)).unwrap();
        assert_verifies(&signer.public_key(), b"message", &signer.sign(b"message").unwrap());
    });
}

#[test]
fn several_tokens_are_told_apart_by_serial_and_a_wrong_one_is_named() {
    alone("several_tokens_are_told_apart_by_serial_and_a_wrong_one_is_named", |desk| {
        desk.token("ada");
        desk.token("bob");
        let (tokens, [ada, bob]) = desk.tokens(["ada", "bob"]);
        assert_ne!(ada, bob);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        for (role, serial) in [(KeyRole::Root, &ada), (KeyRole::Targets, &bob)] {
            vault.enter_pin(serial, PIN).unwrap();
            vault.generate_in_token(role, serial, &intent(&vault)).unwrap();
        }
        assert_eq!(vault.token_serials().len(), 2);
        for role in [KeyRole::Root, KeyRole::Targets] {
            let signer = vault.signer(vault.key(role).unwrap().id, intent(&vault)).unwrap();
            assert_verifies(&signer.public_key(), b"message", &signer.sign(b"message").unwrap());
        }
        let elsewhere: TokenSerial = "0123456789abcdef".parse().unwrap();
        let missing = vault.enter_pin(&elsewhere, PIN);
        let Err(Error::WrongToken { serial, found }) = missing else { panic!("{missing:?}") };
        assert!(serial == elsewhere && found.contains(&ada) && found.contains(&bob));
        // A key of the same name in another token is another key.
        let ours = tokens.keys(&ada).unwrap().remove(0);
        let swapped = TokenPlace { serial: bob, id: ours.id };
        let login = Login { place: &swapped, pin: PIN };
        let signed = tokens.sign(&login, (ours.algorithm, &ours.public), &[b"message"], &|| Ok(()));
        assert!(matches!(signed, Err(Error::TokenKeyMissing { .. })), "{signed:?}");
    });
}

#[test]
fn a_key_exchanged_for_another_under_its_name_is_noticed() {
    alone("a_key_exchanged_for_another_under_its_name_is_noticed", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.enter_pin(&serial, PIN).unwrap();
        vault.generate_in_token(KeyRole::Root, &serial, &intent(&vault)).unwrap();
        let other = tokens.generate(&serial, PIN, Algorithm::Ed25519, "other").unwrap();
        let known = vault.key(KeyRole::Root).unwrap();
        let place = TokenPlace { serial, id: other.id };
        let login = Login { place: &place, pin: PIN };
        let signed = tokens.sign(&login, (Algorithm::Ed25519, &known.public), &[b"message"], &|| Ok(()));
        assert!(matches!(signed, Err(Error::TokenKeyOther { .. })), "{signed:?}");
        assert!(KeyId::of(&other.public) != known.id);
    });
}

#[test]
fn wrong_pins_are_capped_before_the_token_blocks_itself_across_restarts() {
    alone("wrong_pins_are_capped_before_the_token_blocks_itself_across_restarts", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let open = || {
            let vault = place.unlocked();
            vault.set_tokens(Arc::clone(&tokens));
            vault
        };
        drop(place.create());
        for left in [1, 0] {
            let wrong = open().enter_pin(&serial, "0000");
            assert!(matches!(wrong, Err(Error::WrongPin { left: l, .. }) if l == left), "{wrong:?}");
        }
        assert!(matches!(open().enter_pin(&serial, PIN), Err(Error::PinCapped { .. })), "even the right one");
        assert!(!tokens.list().unwrap()[0].blocked);
        open().forget_wrong_pins(&serial).unwrap();
        let vault = open();
        assert!(matches!(vault.enter_pin(&serial, "0000"), Err(Error::WrongPin { left: 1, .. })));
        vault.enter_pin(&serial, PIN).unwrap();
        assert!(
            matches!(vault.enter_pin(&serial, "0000"), Err(Error::WrongPin { left: 1, .. })),
            "success forgets"
        );
    });
}

#[test]
fn a_pin_that_is_wrong_when_it_signs_is_counted_and_forgotten_at_once() {
    alone("a_pin_that_is_wrong_when_it_signs_is_counted_and_forgotten_at_once", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.enter_pin(&serial, PIN).unwrap();
        let key = vault.generate_in_token(KeyRole::Root, &serial, &intent(&vault)).unwrap().id;
        let sign = |vault: &Vault| vault.sign_batch(key, &intent(vault), &[b"message"]);
        sign(&vault).unwrap();
        change_pin(PIN, "15162342");
        let wrong = sign(&vault);
        assert!(matches!(wrong, Err(Error::WrongPin { left: 1, .. })), "{wrong:?}");
        let forgotten = sign(&vault);
        assert!(matches!(forgotten, Err(Error::NoPin { .. })), "{forgotten:?}");
        drop(vault);
        // The count outlives the program.
        let vault = place.unlocked();
        vault.set_tokens(Arc::clone(&tokens));
        let wrong = vault.enter_pin(&serial, PIN);
        assert!(matches!(wrong, Err(Error::WrongPin { left: 0, .. })), "{wrong:?}");
        vault.forget_wrong_pins(&serial).unwrap();
        vault.enter_pin(&serial, "15162342").unwrap();
        // A batch that is on its way asks no second time with the PIN that it was lent.
        let batch = vault.batch(key, &intent(&vault), Digest::new([0; 32]), 5).unwrap();
        batch.sign(b"one").unwrap();
        change_pin("15162342", PIN);
        for _ in 0..4 {
            let refused = batch.sign(b"more");
            assert!(matches!(refused, Err(SignError::Unavailable { .. })), "{refused:?}");
        }
        let counted = vault.enter_pin(&serial, "0000");
        assert!(matches!(counted, Err(Error::WrongPin { left: 0, .. })), "{counted:?}");
        let capped = vault.enter_pin(&serial, PIN);
        assert!(matches!(capped, Err(Error::PinCapped { .. })), "{capped:?}");
        assert!(!tokens.list().unwrap()[0].blocked);
    });
}

#[test]
fn a_login_of_somebody_else_in_this_program_makes_no_pin_right() {
    alone("a_login_of_somebody_else_in_this_program_makes_no_pin_right", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        let other = Pkcs11::new(module()).unwrap();
        let slot = other.get_slots_with_initialized_token().unwrap()[0];
        let session = other.open_ro_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        let wrong = vault.enter_pin(&serial, "0000");
        assert!(matches!(wrong, Err(Error::WrongPin { left: 1, .. })), "{wrong:?}");
        vault.enter_pin(&serial, PIN).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        vault.generate_in_token(KeyRole::Root, &serial, &intent(&vault)).unwrap();
    });
}

#[test]
fn whoever_loads_a_module_again_waits_until_what_is_being_signed_is_signed() {
    alone("whoever_loads_a_module_again_waits_until_what_is_being_signed_is_signed", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let key = tokens.generate(&serial, PIN, Algorithm::Ed25519, "ours").unwrap();
        let at = TokenPlace { serial: serial.clone(), id: key.id };
        let login = Login { place: &at, pin: PIN };
        let begun = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let again = Tokens::load(&module()).unwrap();
                begun.wait();
                again.check_pin(&serial, "0000")
            });
            let begin = std::sync::Once::new();
            let wait = || {
                begin.call_once(|| {
                    begun.wait();
                });
                Ok(())
            };
            let messages = [&b"message"[..]; 50];
            tokens.sign(&login, (Algorithm::Ed25519, &key.public), &messages, &wait).unwrap();
            let wrong = other.join().unwrap();
            assert!(matches!(wrong, Err(Error::WrongPin { .. })), "{wrong:?}");
        });
    });
}

#[test]
fn a_token_pulled_out_while_it_signs_gives_nothing_out_and_loses_nothing() {
    alone("a_token_pulled_out_while_it_signs_gives_nothing_out_and_loses_nothing", |desk| {
        let folder = desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.enter_pin(&serial, PIN).unwrap();
        let made = vault.generate_in_token(KeyRole::Root, &serial, &intent(&vault)).unwrap();
        let id = tokens.keys(&serial).unwrap().remove(0).id;
        let at = TokenPlace { serial, id };
        let login = Login { place: &at, pin: PIN };
        let asked = std::sync::atomic::AtomicU32::new(0);
        let pull = || {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                desk.pull(&folder);
            }
            Ok(())
        };
        let messages: [&[u8]; 3] = [b"one", b"two", b"three"];
        let signed = tokens.sign(&login, (Algorithm::Ed25519, &made.public), &messages, &pull);
        assert!(matches!(signed, Err(Error::TokenPulled { .. })), "{signed:?}");
        desk.plug_in(&folder);
        drop(vault);
        assert_eq!(place.open().key(KeyRole::Root).unwrap().id, made.id);
    });
}

#[test]
fn a_token_exchanged_while_it_signs_gives_nothing_out() {
    alone("a_token_exchanged_while_it_signs_gives_nothing_out", |desk| {
        let (ours, theirs) = (desk.token("ada"), desk.token("eve"));
        let aside = desk.aside("aside");
        fs::rename(&theirs, &aside).unwrap();
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let key = tokens.generate(&serial, PIN, Algorithm::Ed25519, "ours").unwrap();
        let at = TokenPlace { serial: serial.clone(), id: key.id };
        let login = Login { place: &at, pin: PIN };
        let swap = || {
            if aside.exists() {
                desk.pull(&ours);
                fs::rename(&aside, &ours).unwrap();
            }
            Ok(())
        };
        let messages: [&[u8]; 2] = [b"one", b"two"];
        let signed = tokens.sign(&login, (Algorithm::Ed25519, &key.public), &messages, &swap);
        assert!(matches!(&signed, Err(Error::TokenSwapped { found, .. }) if *found != serial), "{signed:?}");
    });
}

#[test]
fn a_key_that_could_leave_its_token_is_not_adopted_and_one_that_cannot_is() {
    alone("a_key_that_could_leave_its_token_is_not_adopted_and_one_that_cannot_is", |desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let place = Place::new();
        let vault = vault(&place, &tokens);
        vault.enter_pin(&serial, PIN).unwrap();
        let good = tokens.generate(&serial, PIN, Algorithm::Ed25519, "good").unwrap();
        loose_key(b"loose");
        let adopt = |role, id: &[u8]| vault.adopt_from_token(role, &serial, id, &intent(&vault));
        assert!(matches!(adopt(KeyRole::CaRoot, b"loose"), Err(Error::TokenKeyLoose { .. })));
        assert!(matches!(adopt(KeyRole::CaRoot, b"none"), Err(Error::TokenKeyMissing { .. })));
        assert!(
            matches!(adopt(KeyRole::CaRoot, &good.id), Err(Error::TokenKeyMissing { .. })),
            "no P-256 key"
        );
        let adopted = adopt(KeyRole::Targets, &good.id).unwrap();
        assert_eq!(adopted.public, good.public);
        assert!(
            matches!(adopt(KeyRole::Root, &good.id), Err(Error::KeyTwice { .. })),
            "one key, one purpose"
        );
        let signer = vault.signer(adopted.id, intent(&vault)).unwrap();
        assert_verifies(&signer.public_key(), b"message", &signer.sign(b"message").unwrap());
    });
}

#[test]
fn what_is_no_module_is_refused_by_name() {
    for path in ["libsofthsm2.so", "/nowhere/module.so", "/etc/hostname"] {
        let loaded = Tokens::load(Path::new(path));
        assert!(matches!(loaded, Err(Error::TokenModule { .. })), "{path}: {loaded:?}");
    }
}

/// As the maker's tool does it, in this very program.
fn change_pin(from: &str, to: &str) {
    let module = Pkcs11::new(module()).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(from.into()))).unwrap();
    session.set_pin(&AuthPin::new(from.into()), &AuthPin::new(to.into())).unwrap();
    session.logout().unwrap();
}

/// A P-256 key in the first token that can be taken out of it.
pub(super) fn loose_key(id: &[u8]) {
    let module = Pkcs11::new(module()).unwrap();
    drop(module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    let public = [
        Attribute::Token(true),
        Attribute::Id(id.to_vec()),
        Attribute::EcParams(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07".to_vec()),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Id(id.to_vec()),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Sign(true),
    ];
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
    assert_eq!(session.find_objects(&wanted).unwrap().len(), 1);
    session.logout().unwrap();
}
