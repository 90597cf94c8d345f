//! Writes TUF repositories, honest and hostile, with what our own client makes of each, for a client
//! that nobody here wrote to judge (`tests/judges/tuf_judge.py`).
//!
//! `cargo run -p fleetseal-envelope --example emit_tuf -- DIR`
//!
//! `DIR/<case>/root.json` is the root that clients begin with; `DIR/<case>/<n>/` is the repository as it
//! stands at the n-th refresh; `DIR/cases.json` says what our client made of each.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use envelope::{
    Ed25519Key, PublicKey, Signer,
    tuf::{
        Client, Error, Fetched, MetaFile, Metadata, Need, Role, Root, Signed, Snapshot, TRUST_KEYS_TARGET,
        TargetCustom, TargetFile, Targets, Timestamp, TrustedState,
    },
};
use model::{ReleaseId, Seconds, SecurityCounter, TargetName, UnixTime};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
/// A repository's files by path.
type Files = BTreeMap<String, Vec<u8>>;

const ARTIFACT: &str = "gw-200/main/1.2.3.bin";
const KEYS: &[u8] = b"stands for a key set";

/// A repository that publishes whatever it is told to.
struct Repository {
    now: UnixTime,
    root: Root,
    targets: Targets,
    snapshot: Option<Snapshot>,
    timestamp: Option<Timestamp>,
    signers: BTreeMap<Role, Vec<u8>>,
    files: Files,
}

impl Repository {
    /// Version 1 of everything. Root keys 1, 2 and 3, of which two sign; targets 4 and 5, both;
    /// snapshot 6; timestamp 7.
    fn new(now: UnixTime) -> Outcome<Self> {
        let mut root = Root::new(now + Role::Root.life());
        let roles: [(Role, &[u8]); 4] = [
            (Role::Root, &[1, 2, 3]),
            (Role::Targets, &[4, 5]),
            (Role::Snapshot, &[6]),
            (Role::Timestamp, &[7]),
        ];
        for (role, keys) in roles {
            keys.iter().for_each(|number| root.add_key(role, &public(*number)));
        }
        root.set_threshold(Role::Root, 2);
        root.set_threshold(Role::Targets, 2);
        let mut targets = Targets::new(now);
        targets.targets.insert(TRUST_KEYS_TARGET.parse()?, TargetFile::of(KEYS, None));
        targets.targets.insert(ARTIFACT.parse()?, TargetFile::of(b"firmware", Some(custom()?)));
        let signers = BTreeMap::from([
            (Role::Root, vec![1, 3]),
            (Role::Targets, vec![4, 5]),
            (Role::Snapshot, vec![6]),
            (Role::Timestamp, vec![7]),
        ]);
        let files = Files::new();
        let mut repository = Self { now, root, targets, snapshot: None, timestamp: None, signers, files };
        repository.publish_root()?;
        repository.publish_targets()?;
        Ok(repository)
    }

    fn publish_root(&mut self) -> Outcome<()> {
        self.put(&self.sign(self.root.clone())?);
        Ok(())
    }

    /// Publishes the targets, and the snapshot and timestamp that name them.
    fn publish_targets(&mut self) -> Outcome<()> {
        let signed = self.sign(self.targets.clone())?;
        self.put(&signed);
        for (name, target) in &self.targets.targets {
            let content: &[u8] = if name.as_str() == TRUST_KEYS_TARGET { KEYS } else { b"firmware" };
            let (folder, file) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
            let path = format!("targets/{folder}/{}.{file}", target.hashes.sha256);
            self.files.insert(path, content.to_vec());
        }
        let version = self.snapshot.as_ref().map_or(1, |last| last.version + 1);
        self.snapshot = Some(Snapshot::new(version, self.now, &signed));
        self.publish_snapshot()
    }

    fn publish_snapshot(&mut self) -> Outcome<()> {
        let signed = self.sign(self.snapshot.clone().ok_or("no snapshot yet")?)?;
        self.put(&signed);
        let version = self.timestamp.as_ref().map_or(1, |last| last.version + 1);
        self.timestamp = Some(Timestamp::new(version, self.now, &signed));
        self.publish_timestamp()
    }

    fn publish_timestamp(&mut self) -> Outcome<()> {
        self.put(&self.sign(self.timestamp.clone().ok_or("no timestamp yet")?)?);
        Ok(())
    }

    fn timestamp(&mut self) -> Outcome<&mut Timestamp> {
        Ok(self.timestamp.as_mut().ok_or("no timestamp yet")?)
    }

    fn snapshot(&mut self) -> Outcome<&mut Snapshot> {
        Ok(self.snapshot.as_mut().ok_or("no snapshot yet")?)
    }

    fn sign<T: Metadata>(&self, metadata: T) -> Outcome<Signed<T>> {
        let mut file = Signed::new(metadata)?;
        for number in &self.signers[&T::ROLE] {
            file.sign(&key(*number))?;
        }
        Ok(file)
    }

    fn put<T: Metadata>(&mut self, file: &Signed<T>) {
        let path = format!("metadata/{}", T::ROLE.path(file.signed().version()));
        self.files.insert(path, file.raw().to_vec());
    }

    fn file(&mut self, name: &str) -> Outcome<&mut Vec<u8>> {
        Ok(self.files.get_mut(&format!("metadata/{name}")).ok_or("no such file")?)
    }
}

/// What a case does between the first refresh, of an honest repository, and the second.
type Attack = fn(&mut Repository) -> Outcome<()>;

const CASES: &[(&str, Attack)] = &[
    ("nothing_new", |_| Ok(())),
    ("new_targets", |r| {
        r.targets = r.targets.next(r.now);
        r.publish_targets()
    }),
    ("rotated_root_and_targets_keys", |r| {
        r.root = r.root.next(r.now + Role::Root.life());
        let old = r.root.roles.root.keyids[0].clone();
        r.root.remove_key(Role::Root, &old);
        r.root.add_key(Role::Root, &public(8));
        r.root.add_key(Role::Targets, &public(9));
        r.signers.insert(Role::Root, vec![1, 3, 8]);
        r.signers.insert(Role::Targets, vec![5, 9]);
        r.publish_root()?;
        r.targets = r.targets.next(r.now);
        r.publish_targets()
    }),
    ("fast_forward_recovery", |r| {
        r.root = r.root.next(r.now + Role::Root.life());
        for (role, number) in [(Role::Snapshot, 10), (Role::Timestamp, 11)] {
            let old = r.root.role(role).keyids[0].clone();
            r.root.remove_key(role, &old);
            r.root.add_key(role, &public(number));
            r.signers.insert(role, vec![number]);
        }
        r.publish_root()?;
        r.snapshot()?.version = 1;
        r.timestamp()?.version = 0;
        r.publish_snapshot()
    }),
    ("rolled_back_timestamp", |r| {
        r.timestamp()?.version = 1;
        r.publish_timestamp()
    }),
    ("rolled_back_snapshot", |r| {
        r.snapshot()?.version = 1;
        r.publish_snapshot()
    }),
    ("rolled_back_targets", |r| {
        r.targets.version = 1;
        r.publish_targets()
    }),
    ("mixed_snapshot", |r| {
        r.publish_targets()?;
        r.snapshot()?.expires = r.now + Seconds::days(6);
        let mixed = r.sign(r.snapshot.clone().ok_or("no snapshot yet")?)?;
        r.put(&mixed);
        Ok(())
    }),
    ("mixed_targets", |r| {
        r.targets = r.targets.next(r.now);
        r.publish_targets()?;
        r.targets.targets.clear();
        let mixed = r.sign(r.targets.clone())?;
        r.put(&mixed);
        Ok(())
    }),
    ("targets_of_another_version", |r| {
        r.targets = r.targets.next(r.now);
        r.publish_targets()?;
        r.targets.version = 7;
        let other = r.sign(r.targets.clone())?;
        *r.file("3.targets.json")? = other.raw().to_vec();
        let meta = MetaFile { version: 3, ..MetaFile::of(&other) };
        r.snapshot()?.meta.insert("targets.json".into(), meta);
        r.publish_snapshot()
    }),
    ("expired_root", |r| {
        r.root = r.root.next(r.now - Seconds::days(1));
        r.publish_root()
    }),
    ("expired_timestamp", |r| {
        r.publish_targets()?;
        r.timestamp()?.expires = r.now - Seconds(1);
        r.publish_timestamp()
    }),
    ("expired_snapshot", |r| {
        r.snapshot()?.version += 1;
        r.snapshot()?.expires = r.now - Seconds(1);
        r.publish_snapshot()
    }),
    ("expired_targets", |r| {
        r.targets = r.targets.next(r.now - Seconds::days(100));
        r.publish_targets()
    }),
    ("targets_below_their_threshold", |r| {
        r.signers.insert(Role::Targets, vec![4]);
        r.targets = r.targets.next(r.now);
        r.publish_targets()
    }),
    ("targets_by_a_stranger", |r| {
        r.signers.insert(Role::Targets, vec![4, 12]);
        r.targets = r.targets.next(r.now);
        r.publish_targets()
    }),
    ("root_not_signed_by_the_old_threshold", |r| {
        r.root = r.root.next(r.now + Role::Root.life());
        r.root.add_key(Role::Root, &public(8));
        r.signers.insert(Role::Root, vec![1, 8]);
        r.publish_root()
    }),
    ("root_not_signed_by_the_new_threshold", |r| {
        r.root = r.root.next(r.now + Role::Root.life());
        r.root.set_threshold(Role::Root, 3);
        r.publish_root()
    }),
    ("root_that_skips_a_version", |r| {
        r.root.version = 3;
        let skipped = r.sign(r.root.clone())?;
        r.files.insert("metadata/2.root.json".into(), skipped.raw().to_vec());
        Ok(())
    }),
    ("endless_timestamp", |r| {
        r.file("timestamp.json")?.resize(20_000, b' ');
        Ok(())
    }),
    ("missing_timestamp", |r| {
        r.files.remove("metadata/timestamp.json");
        Ok(())
    }),
    ("missing_targets", |r| {
        r.targets = r.targets.next(r.now);
        r.publish_targets()?;
        r.files.remove("metadata/3.targets.json");
        Ok(())
    }),
    ("timestamp_signed_twice_by_one_key", |r| {
        r.publish_targets()?;
        let file = r.file("timestamp.json")?;
        let mut forged: Value = serde_json::from_slice(file)?;
        let again = forged["signatures"][0].clone();
        forged["signatures"].as_array_mut().ok_or("no signatures")?.push(again);
        *file = forged.to_string().into_bytes();
        Ok(())
    }),
    ("changed_timestamp", |r| {
        r.publish_targets()?;
        let file = r.file("timestamp.json")?;
        let mut forged: Value = serde_json::from_slice(file)?;
        forged["signed"]["version"] = 1_000_000.into();
        *file = forged.to_string().into_bytes();
        Ok(())
    }),
    ("changed_artifact", |r| {
        r.files.values_mut().filter(|content| **content == b"firmware").for_each(|content| content[0] = b'F');
        Ok(())
    }),
];

fn main() -> Outcome<()> {
    let dir = std::env::args().nth(1).ok_or("usage: emit_tuf DIR")?;
    let dir = Path::new(&dir);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = UnixTime::from_secs(now.as_secs());
    let mut cases = Vec::new();
    for (name, attack) in CASES {
        let mut repository = Repository::new(now)?;
        let first_root = repository.files["metadata/1.root.json"].clone();
        repository.targets = repository.targets.next(now);
        repository.publish_targets()?;
        let before = repository.files.clone();
        attack(&mut repository)?;

        let folder = dir.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("root.json"), &first_root)?;
        let mut state = TrustedState::bootstrap(&first_root)?;
        let mut refreshes = Vec::new();
        for (number, files) in (1..).zip([&before, &repository.files]) {
            for (path, content) in files {
                let path = folder.join(format!("{number}")).join(path);
                fs::create_dir_all(path.parent().ok_or("a file in no folder")?)?;
                fs::write(path, content)?;
            }
            let (outcome, next) = refresh(state, files, now)?;
            refreshes.push(json!({ "outcome": outcome, "versions": versions(&next) }));
            state = next;
        }
        cases.push(json!({ "name": name, "refreshes": refreshes, "artifact": ARTIFACT }));
    }
    fs::write(dir.join("cases.json"), serde_json::to_vec_pretty(&cases)?)?;
    Ok(())
}

/// Refreshes and fetches the artifact; what became of it, in one word.
fn refresh(state: TrustedState, files: &Files, now: UnixTime) -> Outcome<(&'static str, TrustedState)> {
    let mut client = Client::new(state, now);
    while let Need::Fetch { path, .. } = client.next() {
        let file = files.get(&format!("metadata/{path}"));
        let fed = client.feed(file.map_or(Fetched::NotFound, |file| Fetched::Bytes(file)));
        if let Err(error) = fed {
            return Ok((word(&error), client.into_state()));
        }
    }
    let targets = client.targets()?;
    let target = targets.target(&ARTIFACT.parse::<TargetName>()?).ok_or("the artifact is listed")?;
    let content = files.get(&format!("targets/{}", target.path())).ok_or("the artifact is published")?;
    let word = target.verify(content.clone()).map_or_else(|error| word(&error), |_| "accepted");
    Ok((word, client.into_state()))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no case leads to another")]
fn word(error: &Error) -> &'static str {
    match error {
        Error::Expired { .. } => "expired",
        Error::ThresholdNotMet { .. } => "threshold",
        Error::Rollback { .. } | Error::VersionMismatch { .. } => "version",
        Error::HashMismatch { .. } | Error::TargetMismatch { .. } => "mismatch",
        Error::TooLarge { .. } => "too_large",
        Error::NotFound { .. } => "missing",
        Error::Malformed { .. } => "malformed",
        _ => "other",
    }
}

fn versions(state: &TrustedState) -> Value {
    json!({
        "root": state.root().signed().version,
        "timestamp": state.timestamp().map(|file| file.signed().version),
        "snapshot": state.snapshot().map(|file| file.signed().version),
        "targets": state.targets().map(|file| file.signed().version),
    })
}

fn custom() -> Outcome<TargetCustom> {
    Ok(TargetCustom {
        model: "GW-200".parse()?,
        hardware_revisions: vec!["a".parse()?, "b".parse()?],
        component: "main".parse()?,
        version: "1.2.3+4".parse()?,
        security_counter: SecurityCounter(4),
        installer: "slots".parse()?,
        release: ReleaseId::new([0x5e; 16]),
        requires: BTreeMap::from([("boot".parse()?, "1.0.0".parse()?)]),
        must_pass: false,
    })
}

fn key(number: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[number; 32])
}

fn public(number: u8) -> [u8; 32] {
    match key(number).public_key() {
        PublicKey::Ed25519(public) => public,
        PublicKey::P256(_) => unreachable!("an Ed25519 key"),
    }
}
