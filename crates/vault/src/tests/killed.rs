//! A save that is killed, loses power or finds the disk full at any step, a thousand times by seed.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{NOON, OTHER, Place, disk::copy_folder, generate};
use crate::{
    Error, KeyId, KeyRole, Opener, Params, Share, Vault,
    save::{Disk, Files, Trust},
};

const SEEDS: u64 = 1_000;

/// A small generator (splitmix64): the same seed always takes the same way.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % sides
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Fault {
    /// The program is killed: what it wrote stays.
    Killed,
    /// The power is cut: what was not synced is lost or torn.
    PowerCut,
    /// The disk is full, until somebody makes room.
    Full,
}

/// A disk on which one fault happens at one step of its use.
struct Unlucky {
    state: Mutex<State>,
}

struct State {
    fault: Fault,
    steps_left: Option<u64>,
    fired: bool,
    dice: Dice,
    /// Files whose bytes were not synced.
    unsynced: Vec<PathBuf>,
    /// What the folder was like before each change of a name that was not synced.
    names: Vec<HashMap<PathBuf, Option<Vec<u8>>>>,
}

impl Unlucky {
    fn new(fault: Fault, dice: Dice) -> Self {
        let state = State { fault, steps_left: None, fired: false, dice, unsynced: vec![], names: vec![] };
        Self { state: Mutex::new(state) }
    }

    fn arm(&self, steps: u64) {
        let mut state = self.state.lock().unwrap();
        state.steps_left = Some(steps);
        state.unsynced.clear();
        state.names.clear();
    }

    /// Makes room again, or boots after the power cut; says whether anything happened.
    fn recover(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.steps_left = None;
        if state.fired && state.fault == Fault::PowerCut {
            for path in std::mem::take(&mut state.unsynced) {
                if let Ok(bytes) = fs::read(&path) {
                    let kept = state.dice.roll(bytes.len() as u64 + 1);
                    fs::write(&path, &bytes[..usize::try_from(kept).unwrap()]).unwrap();
                }
            }
            let changes = state.names.len() as u64;
            let lost = state.dice.roll(changes + 1);
            for before in
                std::mem::take(&mut state.names).into_iter().rev().take(usize::try_from(lost).unwrap())
            {
                for (path, content) in before {
                    match content {
                        Some(bytes) => {
                            drop(fs::remove_file(&path));
                            Disk.create(&path, &bytes).unwrap();
                        }
                        None => drop(fs::remove_file(&path)),
                    }
                }
            }
        }
        state.fired
    }

    /// Fails if it is time to; `Some` of how much of a write still comes through.
    fn step(&self, path: &Path) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        match state.steps_left {
            None => return Ok(()),
            Some(0) => state.fired = true,
            Some(left) => {
                state.steps_left = Some(left - 1);
                return Ok(());
            }
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(Error::Io { action: "use", path: path.to_owned(), source })
    }

    /// Reading, removing and renaming need no room.
    fn step_without_room(&self, path: &Path) -> Result<(), Error> {
        if self.state.lock().unwrap().fault == Fault::Full { Ok(()) } else { self.step(path) }
    }

    fn renames(&self, paths: &[&Path]) {
        let before = paths.iter().map(|path| (path.to_path_buf(), fs::read(path).ok())).collect();
        self.state.lock().unwrap().names.push(before);
    }
}

impl Files for Unlucky {
    fn read(&self, path: &Path, trust: Trust) -> Result<Vec<u8>, Error> {
        self.step_without_room(path)?;
        Disk.read(path, trust)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let step = self.step(path);
        let torn = usize::try_from(self.state.lock().unwrap().dice.roll(bytes.len() as u64 + 1)).unwrap();
        self.renames(&[path]);
        self.state.lock().unwrap().unsynced.push(path.to_owned());
        Disk.create(path, if step.is_ok() { bytes } else { &bytes[..torn] })?;
        step
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        self.state.lock().unwrap().unsynced.retain(|other| other != path);
        Disk.sync(path)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(from)?;
        if !to.exists() {
            self.renames(&[to]);
        }
        Disk.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step_without_room(from)?;
        self.renames(&[from, to]);
        for path in &mut self.state.lock().unwrap().unsynced {
            if path == from {
                *path = to.to_owned();
            }
        }
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        self.step_without_room(path)?;
        self.renames(&[path]);
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        self.state.lock().unwrap().names.clear();
        Disk.sync_folder(path)
    }
}

/// One change of a vault, by dice.
fn change(vault: &Vault, dice: &mut Dice, ways: &Ways<'_>) -> Result<(), Error> {
    match dice.roll(3) {
        0 => generate(vault, &[KeyRole::Targets]),
        1 => (ways.add)(vault),
        _ => match vault.slots().last() {
            Some(slot) if slot.label == "more" => vault.remove_slot(slot.id, NOON),
            _ => generate(vault, &[KeyRole::Root, KeyRole::CaRoot]),
        },
    }
}

/// How a vault is opened in a test, and what is added to it: a slot called "more".
struct Ways<'a> {
    open: &'a dyn Fn(&Vault, u64) -> Result<(), Error>,
    add: &'a dyn Fn(&Vault) -> Result<(), Error>,
}

fn keys(vault: &Vault) -> Vec<KeyId> {
    vault.keys().iter().map(|key| key.id).collect()
}

#[test]
fn a_vault_killed_or_out_of_room_at_any_step_of_a_save_always_opens_with_all_its_keys() {
    let template = Place::quick();
    let vault = template.create();
    generate(&vault, &[KeyRole::Root, KeyRole::Targets]).unwrap();
    // Shares open it without a derivation: a thousand of those would be most of this test's time.
    let (_, shares) = vault.make_shares("", 2, 2, NOON).unwrap();
    drop(vault);
    let words: Vec<_> = shares.iter().map(Share::words).collect();
    let open = |vault: &Vault, _| {
        let shares: Vec<Share> = words.iter().map(|words| Share::parse(words).unwrap()).collect();
        vault.unlock_with(&Opener::Shares(&shares), NOON)
    };
    let add = |vault: &Vault| vault.make_shares("more", 2, 2, NOON).map(drop);
    play(&template, &Ways { open: &open, add: &add });
}

#[cfg(target_os = "linux")]
#[test]
fn a_vault_that_a_token_and_a_keyring_open_always_opens_however_a_save_ends() {
    use super::{keyring, token};
    let name = "a_vault_that_a_token_and_a_keyring_open_always_opens_however_a_save_ends";
    let body = |desk: &token::Desk| {
        desk.token("ada");
        let (tokens, [serial]) = desk.tokens(["ada"]);
        let template = Place::quick();
        let vault = token::vault(&template, &tokens);
        generate(&vault, &[KeyRole::Root, KeyRole::Targets]).unwrap();
        vault.enter_pin(&serial, token::PIN).unwrap();
        vault.add_token("", &serial, None, None, NOON).unwrap();
        vault.add_keyring("", OTHER, Params::floor(), None, NOON).unwrap();
        drop(vault);
        let second = tokens.generate_agreeing(&serial, token::PIN).unwrap().id;
        let by_token = Opener::Token { tokens: &tokens, serial: &serial, pin: token::PIN };
        let open = |vault: &Vault, seed| {
            vault.set_tokens(Arc::clone(&tokens));
            // A derivation in the keyring's way takes its time: every fortieth.
            let by_keyring = Opener::Keyring(OTHER);
            vault.unlock_with(if seed % 40 == 0 { &by_keyring } else { &by_token }, NOON)?;
            vault.enter_pin(&serial, token::PIN)
        };
        let add = |vault: &Vault| vault.add_token("more", &serial, Some(&second), None, NOON).map(drop);
        play(&template, &Ways { open: &open, add: &add });
    };
    token::alone_in("killed", name, |desk| keyring::alone_in("killed", name, || body(desk)));
}

/// A thousand changes that end badly, of copies of this vault.
fn play(template: &Place, ways: &Ways<'_>) {
    let mut seen: HashMap<(Fault, bool, bool), u64> = HashMap::new();
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let fault = [Fault::Killed, Fault::PowerCut, Fault::Full][usize::try_from(dice.roll(3)).unwrap()];
        let place = Place::quick();
        copy_folder(&template.folder(), &place.folder());
        let disk = Arc::new(Unlucky::new(fault, dice.clone()));
        let vault = Vault::open_on(Arc::clone(&disk) as Arc<dyn Files>, &place.folder()).unwrap();
        (ways.open)(&vault, seed).unwrap();
        for _ in 0..dice.roll(3) {
            change_or_not(&vault, &mut dice, ways);
        }
        let before = (keys(&vault), vault.slots());
        disk.arm(dice.roll(24));
        let done = change(&vault, &mut dice, ways);
        let fired = disk.recover();
        let after = (keys(&vault), vault.slots());
        if fault == Fault::Full {
            // The program lives on, and so does the vault once there is room.
            if !vault.is_unlocked() {
                (ways.open)(&vault, seed).unwrap();
            }
            assert!(after == before || done.is_ok(), "seed {seed}: nothing half done");
            generate(&vault, &[KeyRole::Seal]).unwrap();
        }
        let grown = usize::from(fault == Fault::Full);
        drop(vault);
        let vault = Vault::open(&place.folder()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        (ways.open)(&vault, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let now = keys(&vault);
        assert!(now.starts_with(&before.0), "seed {seed}: every key of the last good save is there");
        if done.is_ok() {
            assert!(now.starts_with(&after.0), "seed {seed}: what was reported as saved is there");
            assert_eq!((now.len(), vault.slots()), (after.0.len() + grown, after.1), "seed {seed}");
        }
        vault.verify_audit().unwrap();
        generate(&vault, &[KeyRole::Ticket]).unwrap();
        *seen.entry((fault, fired, done.is_ok())).or_default() += 1;
    }
    for fault in [Fault::Killed, Fault::PowerCut, Fault::Full] {
        for end in [(true, false), (false, true)] {
            assert!(seen.get(&(fault, end.0, end.1)).is_some_and(|times| *times > 20), "{fault:?} {seen:?}");
        }
    }
}

/// A change before the disk turns bad: a slot of this kind may be there already.
fn change_or_not(vault: &Vault, dice: &mut Dice, ways: &Ways<'_>) {
    match change(vault, dice, ways) {
        Ok(()) | Err(Error::KeyTwice { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
