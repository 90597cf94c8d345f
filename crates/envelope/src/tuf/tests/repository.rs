use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use model::{Seconds, TargetName, UnixTime};
use serde_json::Value;

use crate::{
    Ed25519Key, PublicKey, Signer, Verified,
    tuf::{
        Bundled, Client, Error, Fetched, Hashes, KeyId, MetaFile, Metadata, Need, Role, Root, Signed,
        Snapshot, TargetFile, Targets, TargetsView, Timestamp, TrustedState,
    },
};

/// When every test begins.
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

/// The key with this number.
pub(super) fn key(number: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[number; 32])
}

pub(super) fn public(number: u8) -> [u8; 32] {
    match key(number).public_key() {
        PublicKey::Ed25519(bytes) => bytes,
        PublicKey::P256(_) => unreachable!("an Ed25519 key"),
    }
}

/// A repository whose every part a test may change, publish, or publish wrongly.
pub(super) struct Repository {
    pub(super) root: Root,
    pub(super) targets: Targets,
    pub(super) snapshot: Snapshot,
    pub(super) timestamp: Timestamp,
    /// Who signs, by number; whether they may is the root's business.
    pub(super) signers: BTreeMap<Role, Vec<u8>>,
    /// Whether metadata gives the digests and lengths of what it names.
    pub(super) with_hashes: bool,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    requests: RefCell<Vec<String>>,
}

impl Repository {
    /// Version 1 of everything: root by key 1, targets 2, snapshot 3, timestamp 4.
    pub(super) fn new() -> Self {
        let mut root = Root::new(NOW + Role::Root.life());
        let mut signers = BTreeMap::new();
        for (number, role) in (1..).zip([Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp]) {
            root.add_key(role, &public(number));
            signers.insert(role, vec![number]);
        }
        let targets = Targets::new(NOW);
        let unsigned = Signed::new(targets.clone()).unwrap();
        let snapshot = Snapshot::new(1, NOW, &unsigned);
        let timestamp = Timestamp::new(1, NOW, &Signed::new(snapshot.clone()).unwrap());
        let mut repository = Self {
            root,
            targets,
            snapshot,
            timestamp,
            signers,
            with_hashes: true,
            files: BTreeMap::new(),
            requests: RefCell::default(),
        };
        repository.publish_root();
        repository.publish_targets();
        repository.publish_snapshot();
        repository.publish_timestamp();
        repository
    }

    pub(super) fn first_root(&self) -> &[u8] {
        &self.files["1.root.json"]
    }

    pub(super) fn client(&self) -> Device {
        Device { state: TrustedState::bootstrap(self.first_root()).unwrap() }
    }

    /// The next root.
    pub(super) fn bump_root(&mut self) {
        self.root.version += 1;
        self.publish_root();
    }

    /// The next targets, and all that follows from it.
    pub(super) fn bump_targets(&mut self) {
        self.targets.version += 1;
        self.publish_targets();
        self.bump_snapshot();
    }

    pub(super) fn bump_snapshot(&mut self) {
        self.snapshot.version += 1;
        self.publish_snapshot();
        self.bump_timestamp();
    }

    pub(super) fn bump_timestamp(&mut self) {
        self.timestamp.version += 1;
        self.publish_timestamp();
    }

    pub(super) fn publish_root(&mut self) {
        self.put(&self.sign(&self.root));
    }

    pub(super) fn publish_targets(&mut self) {
        let file = self.sign(&self.targets);
        self.put(&file);
    }

    /// The snapshot, naming the targets as they are published.
    pub(super) fn publish_snapshot(&mut self) {
        let targets = self.meta(&self.sign(&self.targets));
        self.snapshot.meta.insert("targets.json".into(), targets);
        self.put(&self.sign(&self.snapshot));
    }

    /// The timestamp, naming the snapshot as it is published.
    pub(super) fn publish_timestamp(&mut self) {
        self.timestamp.meta.snapshot = self.meta(&self.sign(&self.snapshot));
        self.put(&self.sign(&self.timestamp));
    }

    /// Signs with the role's signers.
    pub(super) fn sign<T: Metadata + Clone>(&self, metadata: &T) -> Signed<T> {
        let mut file = Signed::new(metadata.clone()).unwrap();
        self.signers[&T::ROLE].iter().for_each(|number| file.sign(&key(*number)).unwrap());
        file
    }

    /// Puts a file where clients look for it, whoever signed it.
    pub(super) fn put<T: Metadata>(&mut self, file: &Signed<T>) {
        self.files.insert(T::ROLE.path(file.signed().version()), file.raw().to_vec());
        self.files.insert(format!("{}.json", T::ROLE), file.raw().to_vec());
    }

    /// Signs again what `change` makes of the published metadata as JSON.
    pub(super) fn put_changed<T: Metadata + Clone>(&mut self, metadata: &T, change: impl FnOnce(&mut Value)) {
        let mut file: Value = serde_json::from_slice(Signed::new(metadata.clone()).unwrap().raw()).unwrap();
        change(&mut file["signed"]);
        let mut file = Signed::<T>::parse(file.to_string().as_bytes()).unwrap();
        self.signers[&T::ROLE].iter().for_each(|number| file.sign(&key(*number)).unwrap());
        self.put(&file);
    }

    /// Gives the role these keys, threshold and signers.
    pub(super) fn set_role(&mut self, role: Role, keys: &[u8], threshold: u32, signers: &[u8]) {
        for id in self.root.role(role).keyids.clone() {
            self.root.remove_key(role, &id);
        }
        keys.iter().for_each(|number| self.root.add_key(role, &public(*number)));
        self.root.set_threshold(role, threshold);
        self.signers.insert(role, signers.to_vec());
    }

    pub(super) fn add_target(&mut self, name: &str, content: &[u8]) {
        self.targets.targets.insert(name.parse().unwrap(), TargetFile::of(content, None));
    }

    /// The files asked for since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.take()
    }

    fn meta<T: Metadata>(&self, file: &Signed<T>) -> MetaFile {
        let all = MetaFile::of(file);
        if self.with_hashes { all } else { MetaFile { length: None, hashes: None, ..all } }
    }
}

/// A client with what it keeps.
pub(super) struct Device {
    pub(super) state: TrustedState,
}

impl Device {
    pub(super) fn refresh(&mut self, repository: &Repository) -> Result<Verified<TargetsView>, Error> {
        self.refresh_at(repository, NOW + Seconds(60))
    }

    /// Refreshes as a device does that is switched off in between: what it trusts goes through storage.
    pub(super) fn refresh_at(
        &mut self,
        repository: &Repository,
        now: UnixTime,
    ) -> Result<Verified<TargetsView>, Error> {
        let stored = self.state.to_bytes();
        let mut client = Client::new(TrustedState::choose(Some(&stored), None).unwrap(), now);
        let outcome = run(&mut client, repository);
        let result = outcome.and_then(|()| client.targets());
        self.state = client.into_state();
        result
    }

    pub(super) fn bundle(
        &mut self,
        repository: &Repository,
        bundle: Bundled,
    ) -> Result<Verified<TargetsView>, Error> {
        let roots: Vec<&[u8]> = (1..=repository.root.version)
            .filter_map(|version| Some(repository.files.get(&Role::Root.path(version))?.as_slice()))
            .collect();
        self.state.accept_bundle(&roots, &repository.files["targets.json"], bundle)
    }

    /// Root, timestamp, snapshot and targets version; 0 for none.
    pub(super) fn versions(&self) -> [u64; 4] {
        [
            self.state.root().signed().version,
            self.state.timestamp().map_or(0, |file| file.signed().version),
            self.state.snapshot().map_or(0, |file| file.signed().version),
            self.state.targets().map_or(0, |file| file.signed().version),
        ]
    }
}

fn run(client: &mut Client, repository: &Repository) -> Result<(), Error> {
    let mut asked = BTreeSet::new();
    while let Need::Fetch { path, max_bytes } = client.next() {
        assert!(asked.insert(path.clone()), "asked twice for {path}");
        repository.requests.borrow_mut().push(path.clone());
        match repository.files.get(&path) {
            Some(file) => {
                let most = usize::try_from(max_bytes).unwrap() + 1;
                client.feed(Fetched::Bytes(&file[..file.len().min(most)]))?;
            }
            None => client.feed(Fetched::NotFound)?,
        }
    }
    Ok(())
}

/// An id that names nothing in particular.
pub(super) fn odd_key_id(text: &str) -> KeyId {
    serde_json::from_value(text.into()).unwrap()
}

pub(super) fn no_hashes(version: u64) -> MetaFile {
    MetaFile { version, length: None, hashes: None }
}

pub(super) fn name(text: &str) -> TargetName {
    text.parse().unwrap()
}

pub(super) fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: crate::sha256(bytes) }
}
