//! What stands in this program's memory, read as whoever gets hold of it would read it.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::FileExt,
    process::Command,
};

use zeroize::Zeroize;

use super::{NOON, Place, generate};
use crate::{KeyRole, Opener, Params, Vault, harden};

/// How much is read in one go.
const READ: usize = 1 << 16;

/// Bytes to look for, kept so that they do not stand in memory on account of the search.
struct Wanted {
    what: &'static str,
    veiled: Vec<u8>,
}

impl Wanted {
    fn new(what: &'static str, bytes: &[u8]) -> Self {
        Self { what, veiled: bytes.iter().map(|byte| !byte).collect() }
    }

    fn begins(&self, read: &[u8]) -> bool {
        let mut pairs = read.iter().zip(&self.veiled);
        read.len() >= self.veiled.len() && pairs.all(|(byte, veiled)| *byte == !veiled)
    }
}

/// How often each stands anywhere that this program may write.
fn search(wanted: &[Wanted]) -> Vec<(&'static str, usize)> {
    let mut found = vec![0; wanted.len()];
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut by_first = vec![Vec::new(); 256];
    for (which, wanted) in wanted.iter().enumerate() {
        by_first[usize::from(wanted.veiled[0])].push(which);
    }
    let longest = wanted.iter().map(|wanted| wanted.veiled.len()).max().unwrap_or(1);
    let mut buffer = vec![0; READ];
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        // What the kernel maps for itself cannot be read.
        if !rest.starts_with("rw") || rest.contains("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [mut from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        while from < to {
            let length = READ.min(usize::try_from(to - from).unwrap());
            if let Ok(read) = memory.read_at(&mut buffer[..length], from) {
                for at in 0..read {
                    for which in &by_first[usize::from(!buffer[at])] {
                        found[*which] += usize::from(wanted[*which].begins(&buffer[at..read]));
                    }
                }
            }
            buffer[..].zeroize();
            // What lies across two reads is found in the second.
            from += (length - (longest - 1).min(length - 1)) as u64;
            if length < READ {
                break;
            }
        }
    }
    wanted.iter().map(|wanted| wanted.what).zip(found).collect()
}

/// A passphrase that stands in no program.
fn passphrase() -> String {
    let mut bytes = crate::sealed::random::<16>().unwrap();
    let mut text = String::with_capacity(bytes.len());
    text.extend(bytes.iter().map(|byte| char::from(b'a' + byte % 26)));
    bytes.zeroize();
    text
}

/// What this vault has in memory.
fn secrets(vault: &Vault) -> Vec<Wanted> {
    let inner = vault.unlocked().unwrap();
    let open = inner.open.as_ref().unwrap();
    let mut wanted = vec![Wanted::new("the master key", &open.master[..])];
    wanted.extend(open.secrets.iter().flatten().map(|secret| Wanted::new("a key", &secret[..])));
    wanted
}

#[test]
fn a_locked_vault_leaves_no_secret_in_memory() {
    let name = "a_locked_vault_leaves_no_secret_in_memory";
    if env::var_os("FLEETSEAL_TEST_MEMORY").is_none() {
        // In a program of its own, where no other test has secrets.
        let run = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("tests::memory::{name}"), "--nocapture"])
            .env("FLEETSEAL_TEST_MEMORY", "1")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    }
    assert!(harden().no_core_dumps);
    let place = Place::new();
    let mut spoken = passphrase();
    let mut wanted = vec![Wanted::new("the passphrase", spoken.as_bytes())];
    let vault =
        Vault::create(&place.folder(), "Ada".parse().unwrap(), &spoken, Params::floor(), NOON).unwrap();
    // Many keys, so that whatever holds them grows and moves.
    for _ in 0..4 {
        generate(&vault, &[KeyRole::Root, KeyRole::Targets, KeyRole::Ticket, KeyRole::CaRoot]).unwrap();
    }
    generate(&vault, &[KeyRole::Kem, KeyRole::Token, KeyRole::Memory, KeyRole::Audit]).unwrap();
    vault.lock();
    vault.unlock_with(&Opener::Passphrase(&spoken), NOON).unwrap();
    spoken.zeroize();
    wanted.extend(secrets(&vault));
    for role in [KeyRole::Root, KeyRole::Targets, KeyRole::CaRoot] {
        let key = vault.key(role).unwrap().id;
        vault.sign_batch(key, &super::intent(&vault), &[b"message".as_slice(); 200]).unwrap();
    }
    vault.checkpoint().unwrap();
    let (kem, intent) = (vault.key(KeyRole::Kem).unwrap().id, super::intent(&vault));
    vault.with_kem_secret(kem, &intent, |secret| secret.public()).unwrap();
    generate(&vault, &[KeyRole::Seal]).unwrap();

    let unlocked = search(&wanted);
    let kept = |what: &str| unlocked.iter().filter(|(of, _)| *of == what).all(|(_, times)| *times > 0);
    assert!(kept("the master key") && kept("a key"), "the search finds what is there: {unlocked:?}");
    vault.lock();
    let locked = search(&wanted);
    assert!(locked.iter().all(|(_, times)| *times == 0), "{locked:?}");
}
