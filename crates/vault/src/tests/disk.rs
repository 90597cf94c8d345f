//! A disk that fails at any step loses no key.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{NOON, PASSPHRASE, Place, generate};
use crate::{
    Error, KeyRole, Vault,
    save::{Disk, Files, Trust},
};

#[test]
fn a_disk_that_fails_at_any_step_loses_no_key() {
    let template = Place::new();
    generate(&template.create(), &[KeyRole::Root]).unwrap();
    let mut steps = Vec::new();
    for crash in [false, true] {
        for step in 0.. {
            let place = Place::new();
            copy_folder(&template.folder(), &place.folder());
            let disk = Arc::new(FailingDisk::default());
            let vault = Vault::open_on(Arc::clone(&disk) as Arc<dyn Files>, &place.folder()).unwrap();
            vault.unlock(PASSPHRASE, NOON).unwrap();
            disk.arm(step, crash);
            let result = generate(&vault, &[KeyRole::Targets]);
            let fired = disk.disarm();
            if !crash && !vault.is_unlocked() {
                vault.unlock(PASSPHRASE, NOON).unwrap();
            }
            if !crash {
                let keys = vault.keys().len();
                generate(&vault, &[KeyRole::Ticket]).unwrap();
                assert_eq!(vault.keys().len(), keys + 1, "step {step}: it goes on");
            }
            let ticket = usize::from(!crash);
            drop(vault);
            let vault = place.unlocked();
            let keys = vault.keys().len() - ticket;
            assert!(keys == 1 || keys == 2, "step {step}: the old or the new content");
            assert!(result.is_err() || keys == 2, "step {step}: what was reported as saved is there");
            assert!(vault.key(KeyRole::Root).is_ok());
            vault.verify_audit().unwrap();
            steps.push((crash, fired, result.is_ok(), keys));
            if !fired {
                break;
            }
        }
    }
    steps.retain(|(_, fired, _, _)| *fired);
    assert!(steps.len() >= 16, "{steps:?}");
    let outcome = |expected: usize| steps.iter().any(|(.., keys)| *keys == expected);
    assert!(outcome(1) && outcome(2));
}

#[test]
fn a_disk_that_gives_back_other_bytes_replaces_nothing() {
    let place = Place::new();
    drop(place.create());
    let disk = Arc::new(FailingDisk::default());
    let vault = Vault::open_on(Arc::clone(&disk) as Arc<dyn Files>, &place.folder()).unwrap();
    vault.unlock(PASSPHRASE, NOON).unwrap();
    disk.state.lock().unwrap().lies = true;
    assert!(matches!(generate(&vault, &[KeyRole::Root]), Err(Error::Damaged { .. })));
    disk.state.lock().unwrap().lies = false;
    assert!(vault.keys().is_empty() && vault.is_unlocked());
    drop(vault);
    assert_eq!(place.unlocked().generation(), 1);
}

#[test]
fn a_save_that_cannot_be_remembered_fails_the_unlocking_and_not_the_vault() {
    let place = Place::new();
    drop(place.create());
    let disk = Arc::new(FailingDisk::default());
    let vault = Vault::open_on(Arc::clone(&disk) as Arc<dyn Files>, &place.folder()).unwrap();
    // Operation 0 reads the key file; 2 writes down the try.
    disk.arm(2, true);
    assert!(matches!(vault.unlock(PASSPHRASE, NOON), Err(Error::Io { .. })));
    disk.disarm();
    drop(vault);
    assert!(place.unlocked().is_unlocked());
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A disk that fails at one step, once or, as in a crash, from then on for good; a crash leaves half of what was
/// not synced.
#[derive(Default)]
struct FailingDisk {
    state: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    countdown: Option<u32>,
    crash: bool,
    fired: bool,
    lies: bool,
    unsynced: HashSet<PathBuf>,
}

impl FailingDisk {
    fn arm(&self, step: u32, crash: bool) {
        let mut state = self.state.lock().unwrap();
        *state = Plan { countdown: Some(step), crash, ..Plan::default() };
    }

    /// Whether it failed since it was armed.
    fn disarm(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.countdown = None;
        if state.fired && state.crash {
            for path in state.unsynced.drain() {
                if let Ok(bytes) = fs::read(&path) {
                    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                }
            }
        }
        state.fired
    }

    fn step(&self, path: &Path) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        match state.countdown {
            None => return Ok(()),
            Some(0) => {
                state.fired = true;
                if !state.crash {
                    state.countdown = None;
                }
            }
            Some(left) => {
                state.countdown = Some(left - 1);
                return Ok(());
            }
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(Error::Io { action: "use", path: path.to_owned(), source })
    }
}

impl Files for FailingDisk {
    fn read(&self, path: &Path, trust: Trust) -> Result<Vec<u8>, Error> {
        self.step(path)?;
        let mut bytes = Disk.read(path, trust)?;
        if self.state.lock().unwrap().lies && path.ends_with("keys.new") {
            bytes[40] ^= 1;
        }
        Ok(bytes)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let step = self.step(path);
        let written = if step.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        Disk.create(path, written)?;
        self.state.lock().unwrap().unsynced.insert(path.to_owned());
        step
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        self.state.lock().unwrap().unsynced.remove(path);
        Disk.sync(path)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(from)?;
        Disk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(from)?;
        let mut state = self.state.lock().unwrap();
        if state.unsynced.remove(from) {
            state.unsynced.insert(to.to_owned());
        }
        drop(state);
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        self.state.lock().unwrap().unsynced.remove(path);
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        Disk.sync_folder(path)
    }
}
