//! The fuzzer's corpus, fed to every target by a plain test. `FLEETSEAL_BLESS=1` writes its seeds anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use model::UnixTime;
use rustix::time::{ClockId, clock_gettime};
use tests::hostile::{TARGETS, seeds};
use vault::{Intent, KeyRole, Params, Vault};

/// The most processor time that one small input may cost, without optimisation.
const BUDGET: Duration = Duration::from_secs(2);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn files(target: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(corpus().join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_input_of_the_corpus_breaks_a_target_or_keeps_it_busy() {
    for (folder, _) in TARGETS {
        for file in files(folder) {
            let input = fs::read(&file).unwrap();
            assert!(input.len() <= 64 << 10, "{} is too large for a corpus", file.display());
            for (target, run) in TARGETS {
                let before = clock_gettime(ClockId::ThreadCPUTime);
                run(&input);
                let after = clock_gettime(ClockId::ThreadCPUTime);
                let took = Duration::try_from(after - before).unwrap();
                assert!(took < BUDGET, "{target} took {took:?} over {}", file.display());
            }
        }
    }
}

#[test]
fn every_seed_is_accepted_so_that_nothing_stops_the_fuzzer_at_the_door() {
    let bless = std::env::var_os("FLEETSEAL_BLESS").is_some();
    if bless {
        for (target, name, content) in seeds().into_iter().chain([("vault", "founded", vault())]) {
            let file = corpus().join(target).join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
        }
    }
    for (target, run) in TARGETS {
        let named = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        let is_seed = |name: &String| !name.chars().all(|letter| letter.is_ascii_hexdigit());
        let seeds: Vec<_> = files(target).into_iter().filter(|file| is_seed(&named(file))).collect();
        assert!(!seeds.is_empty(), "{target} has no seed");
        for seed in seeds {
            assert!(run(&fs::read(&seed).unwrap()), "{} is refused", seed.display());
        }
    }
}

/// The key file of a vault with two keys.
fn vault() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = UnixTime::from_secs(1_800_000_000);
    let holder: model::PersonName = "Ada Example".parse().unwrap();
    let made = Vault::create(
        &folder.path().join("vault"),
        holder.clone(),
        "marble-otter-tunic-79-lantern",
        Params::floor(),
        at,
    );
    let intent = Intent {
        actor: holder,
        action: "vault.generate".into(),
        subject: String::new(),
        reason: String::new(),
        at,
    };
    made.unwrap().generate(&[KeyRole::Targets, KeyRole::Kem], &intent).unwrap();
    fs::read(folder.path().join("vault/keys.cbor")).unwrap()
}
