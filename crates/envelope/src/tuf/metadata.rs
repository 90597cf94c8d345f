//! The four roles' metadata (TUF 1.0, section 4), and how the next version of each is made.

use std::collections::BTreeMap;

use model::{
    Component, Digest, HardwareRevision, InstallerName, ModelName, PersonName, ReleaseId, Seconds,
    SecurityCounter, TargetName, UnixTime, Version,
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use super::{Error, Key, KeyId, Signed};

/// One of TUF's top-level roles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Names all other keys.
    Root,
    /// Signs releases and the trust keys.
    Targets,
    /// Says which targets metadata is current.
    Snapshot,
    /// Says which snapshot is current, and that it still is.
    Timestamp,
}

/// Metadata of one role.
pub trait Metadata: Serialize + DeserializeOwned {
    /// Whose metadata it is.
    const ROLE: Role;
    /// Its version, from 1.
    fn version(&self) -> u64;
    /// When it lapses.
    fn expires(&self) -> UnixTime;
    /// What its types alone do not say.
    ///
    /// # Errors
    /// What is wrong, as a fragment.
    fn check(&self) -> Result<(), &'static str>;
}

/// Root metadata (section 4.3): the keys and thresholds of all four roles.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Root {
    /// Its version, from 1; the next one is always exactly one higher.
    pub version: u64,
    /// When it lapses.
    #[serde(deserialize_with = "instant")]
    pub expires: UnixTime,
    /// Whether files other than the timestamp carry their version or digest in their name.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// Every key that a role names.
    pub keys: BTreeMap<KeyId, Key>,
    /// Who signs what.
    pub roles: Roles,
    /// Who holds a key: an extra signed field. Two keys of one person make one signature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holders: BTreeMap<KeyId, PersonName>,
}

/// The four roles of root metadata.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Roles {
    /// Of root metadata itself.
    pub root: RoleKeys,
    /// Of targets metadata.
    pub targets: RoleKeys,
    /// Of snapshot metadata.
    pub snapshot: RoleKeys,
    /// Of timestamp metadata.
    pub timestamp: RoleKeys,
}

/// A role's keys, and how many of them must sign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoleKeys {
    /// The keys that count.
    pub keyids: Vec<KeyId>,
    /// How many different ones must have signed.
    pub threshold: u32,
}

/// Targets metadata (section 4.5): the artifacts that a threshold of release keys signed. Flat:
/// delegations are not followed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Targets {
    /// Its version, from 1.
    pub version: u64,
    /// When it was made: an extra signed field, and the floor of a device's time.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_instant")]
    pub issued_at: Option<UnixTime>,
    /// When it lapses.
    #[serde(deserialize_with = "instant")]
    pub expires: UnixTime,
    /// The targets by name.
    pub targets: BTreeMap<TargetName, TargetFile>,
}

/// What targets metadata says of one target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What it is for. Absent where the target is no artifact, such as `trust/keys.cbor`, and where
    /// it says something that we do not understand: such a target is never installed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "understood")]
    pub custom: Option<TargetCustom>,
}

/// What a release says of an artifact: where it goes and what it needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetCustom {
    /// The model it is for.
    pub model: ModelName,
    /// The revisions of that model's hardware that it runs on.
    pub hardware_revisions: Vec<HardwareRevision>,
    /// The part of the device that it replaces.
    pub component: Component,
    /// Its version.
    pub version: Version,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// What writes it.
    pub installer: InstallerName,
    /// The release that it belongs to.
    pub release: ReleaseId,
    /// The lowest confirmed version that other components must have.
    #[serde(default)]
    pub requires: BTreeMap<Component, Version>,
    /// No device jumps over it: one below this version gets it before anything above it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_pass: bool,
}

/// Snapshot metadata (section 4.4): which targets metadata is current.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its version, from 1.
    pub version: u64,
    /// When it lapses.
    #[serde(deserialize_with = "instant")]
    pub expires: UnixTime,
    /// The current metadata files by name; `targets.json` among them.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Timestamp metadata (section 4.6): which snapshot is current.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timestamp {
    /// Its version, from 1.
    pub version: u64,
    /// When it lapses.
    #[serde(deserialize_with = "instant")]
    pub expires: UnixTime,
    /// The current snapshot.
    pub meta: TimestampMeta,
}

/// The one file that a timestamp names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimestampMeta {
    /// The current snapshot.
    #[serde(rename = "snapshot.json")]
    pub snapshot: MetaFile,
}

/// What one metadata file says of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MetaFile {
    /// The version that is current.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

/// Digests of a file; others than SHA-256 are not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hashes {
    /// The SHA-256.
    pub sha256: Digest,
}

/// A version that a person must approve: it would jump further ahead than the clock explains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("version {next} is more than seven days ahead of {last}")]
pub struct VersionJump {
    /// The version in force.
    pub last: u64,
    /// The version that the clock asks for.
    pub next: u64,
}

/// Where snapshot metadata lists the targets metadata.
pub(crate) const TARGETS_FILE: &str = "targets.json";
/// The target that holds the trust keys.
pub const TRUST_KEYS_TARGET: &str = "trust/keys.cbor";

impl Role {
    /// The role as it stands in metadata and file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// How long new metadata of this role lives.
    pub const fn life(self) -> Seconds {
        match self {
            Self::Root => Seconds::days(365),
            Self::Targets => Seconds::days(90),
            Self::Snapshot => Seconds::days(7),
            Self::Timestamp => Seconds::hours(24),
        }
    }

    /// The longest file that is read, in bytes.
    pub const fn max_bytes(self) -> u64 {
        match self {
            Self::Root => 512_000,
            Self::Targets => 5_000_000,
            Self::Snapshot => 2_000_000,
            Self::Timestamp => 16_384,
        }
    }

    /// The file that holds this version: `7.root.json`; the timestamp always `timestamp.json`.
    pub fn path(self, version: u64) -> String {
        match self {
            Self::Timestamp => "timestamp.json".to_owned(),
            Self::Root | Self::Targets | Self::Snapshot => format!("{version}.{}.json", self.as_str()),
        }
    }
}

/// The version after `last` of snapshot or timestamp metadata: the clock's seconds, so that a
/// restored backup goes on above everything it ever published.
///
/// # Errors
/// The clock is more than seven days ahead of `last`; `last` 0 stands for none.
pub fn next_online_version(last: u64, now: UnixTime) -> Result<u64, VersionJump> {
    let next = now.as_secs().max(last.saturating_add(1));
    if last > 0 && next - last > Seconds::days(7).0 { Err(VersionJump { last, next }) } else { Ok(next) }
}

impl Root {
    /// The first root of a fleet, without keys yet.
    pub fn new(expires: UnixTime) -> Self {
        let nobody = RoleKeys { keyids: Vec::new(), threshold: 1 };
        let roles = Roles {
            root: nobody.clone(),
            targets: nobody.clone(),
            snapshot: nobody.clone(),
            timestamp: nobody,
        };
        let holders = BTreeMap::new();
        Self { version: 1, expires, consistent_snapshot: true, keys: BTreeMap::new(), roles, holders }
    }

    /// The next version, to be changed and then signed by the thresholds of both.
    pub fn next(&self, expires: UnixTime) -> Self {
        Self { version: self.version.saturating_add(1), expires, ..self.clone() }
    }

    /// Who signs for `role`.
    pub fn role(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.roles.root,
            Role::Targets => &self.roles.targets,
            Role::Snapshot => &self.roles.snapshot,
            Role::Timestamp => &self.roles.timestamp,
        }
    }

    /// Lets the Ed25519 key `public` sign for `role`.
    pub fn add_key(&mut self, role: Role, public: &[u8; 32]) {
        let id = KeyId::of(public);
        self.keys.insert(id.clone(), Key::ed25519(public));
        let role = self.role_mut(role);
        if !role.keyids.contains(&id) {
            role.keyids.push(id);
        }
    }

    /// Says whose the Ed25519 key `public` is.
    pub fn set_holder(&mut self, public: &[u8; 32], holder: &PersonName) {
        self.holders.insert(KeyId::of(public), holder.clone());
    }

    /// Who holds the key `id`, if the root says.
    pub fn holder(&self, id: &KeyId) -> Option<&PersonName> {
        self.holders.get(id)
    }

    /// Lets the key `id` sign for `role` no more, and forgets it where no role names it.
    pub fn remove_key(&mut self, role: Role, id: &KeyId) {
        self.role_mut(role).keyids.retain(|other| other != id);
        let roles = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
        if !roles.iter().any(|role| self.role(*role).keyids.contains(id)) {
            self.keys.remove(id);
            self.holders.remove(id);
        }
    }

    /// Asks for `threshold` different signatures from `role`.
    pub fn set_threshold(&mut self, role: Role, threshold: u32) {
        self.role_mut(role).threshold = threshold;
    }

    /// Whether every role has keys enough for its threshold: what a root must be to be signed.
    pub fn is_complete(&self) -> bool {
        [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp].into_iter().all(|role| {
            self.role(role).threshold >= 1 && self.voices(role) >= self.role(role).threshold as usize
        })
    }

    /// The different keys of a role, by value: two ids for one key are one key.
    pub(crate) fn role_key_bytes(&self, role: Role) -> std::collections::BTreeSet<[u8; 32]> {
        self.role(role).keyids.iter().filter_map(|id| self.keys.get(id)?.bytes()).collect()
    }

    /// How many different signatures a role can come to: keys, of which those of one person are one.
    fn voices(&self, role: Role) -> usize {
        let mut voices = std::collections::BTreeSet::new();
        let keys =
            self.role(role).keyids.iter().filter_map(|id| self.keys.get(id)?.bytes().map(|key| (id, key)));
        let mut of_nobody = std::collections::BTreeSet::new();
        for (id, key) in keys {
            match self.holder(id) {
                Some(holder) => drop(voices.insert(holder)),
                None => drop(of_nobody.insert(key)),
            }
        }
        voices.len() + of_nobody.len()
    }

    fn role_mut(&mut self, role: Role) -> &mut RoleKeys {
        match role {
            Role::Root => &mut self.roles.root,
            Role::Targets => &mut self.roles.targets,
            Role::Snapshot => &mut self.roles.snapshot,
            Role::Timestamp => &mut self.roles.timestamp,
        }
    }
}

impl Targets {
    /// The first targets metadata, without targets yet, living from `issued_at` on.
    pub fn new(issued_at: UnixTime) -> Self {
        let expires = issued_at + Role::Targets.life();
        Self { version: 1, issued_at: Some(issued_at), expires, targets: BTreeMap::new() }
    }

    /// The next version, living from `issued_at` on, to be changed and then signed.
    pub fn next(&self, issued_at: UnixTime) -> Self {
        let first = Self::new(issued_at);
        Self { version: self.version.saturating_add(1), targets: self.targets.clone(), ..first }
    }
}

impl TargetFile {
    /// The entry of these bytes.
    pub fn of(bytes: &[u8], custom: Option<TargetCustom>) -> Self {
        Self { length: bytes.len() as u64, hashes: Hashes { sha256: crate::sha256(bytes) }, custom }
    }
}

impl Snapshot {
    /// The snapshot in which `targets` is current, living from `issued_at` on.
    pub fn new(version: u64, issued_at: UnixTime, targets: &Signed<Targets>) -> Self {
        let meta = BTreeMap::from([(TARGETS_FILE.to_owned(), MetaFile::of(targets))]);
        Self { version, expires: issued_at + Role::Snapshot.life(), meta }
    }

    /// What it says of the targets metadata.
    pub fn targets(&self) -> Option<&MetaFile> {
        self.meta.get(TARGETS_FILE)
    }
}

impl Timestamp {
    /// The timestamp that says that `snapshot` is current, living from `issued_at` on.
    pub fn new(version: u64, issued_at: UnixTime, snapshot: &Signed<Snapshot>) -> Self {
        let meta = TimestampMeta { snapshot: MetaFile::of(snapshot) };
        Self { version, expires: issued_at + Role::Timestamp.life(), meta }
    }
}

impl MetaFile {
    /// The entry of this file as it is published.
    pub fn of<T: Metadata>(file: &Signed<T>) -> Self {
        let raw = file.raw();
        let hashes = Hashes { sha256: crate::sha256(raw) };
        Self { version: file.signed().version(), length: Some(raw.len() as u64), hashes: Some(hashes) }
    }

    /// Whether these bytes are the file.
    pub(crate) fn check(&self, role: Role, bytes: &[u8]) -> Result<(), Error> {
        if self.length.is_some_and(|length| length != bytes.len() as u64)
            || self.hashes.is_some_and(|hashes| hashes.sha256 != crate::sha256(bytes))
        {
            return Err(Error::HashMismatch { role });
        }
        Ok(())
    }
}

impl Metadata for Root {
    const ROLE: Role = Role::Root;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.keys.len() > 256 {
            return Err("too many keys");
        }
        for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
            let RoleKeys { keyids, threshold } = self.role(role);
            if *threshold < 1 {
                return Err("a threshold below one");
            }
            if keyids.len() > 256 {
                return Err("too many keys in a role");
            }
            let mut ids: Vec<_> = keyids.iter().collect();
            ids.sort_unstable();
            if ids.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("a key named twice in a role");
            }
        }
        Ok(())
    }
}

impl Metadata for Targets {
    const ROLE: Role = Role::Targets;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.issued_at.is_some_and(|issued_at| issued_at >= self.expires) {
            return Err("issued after it lapsed");
        }
        Ok(())
    }
}

impl Metadata for Snapshot {
    const ROLE: Role = Role::Snapshot;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.meta.values().any(|file| file.version < 1) {
            return Err("a version below one");
        }
        if self.targets().is_none() { Err("no targets metadata") } else { Ok(()) }
    }
}

impl Metadata for Timestamp {
    const ROLE: Role = Role::Timestamp;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> UnixTime {
        self.expires
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.meta.snapshot.version < 1 { Err("a version below one") } else { Ok(()) }
    }
}

/// TUF writes instants in one way only: `2026-01-31T12:00:00Z`.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse::<UnixTime>() {
        Ok(instant) if instant.to_string() == text => Ok(instant),
        _ => Err(serde::de::Error::custom("no instant such as 2026-01-31T12:00:00Z")),
    }
}

fn maybe_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    instant(deserializer).map(Some)
}

fn understood<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TargetCustom>, D::Error> {
    let custom = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(custom).ok())
}
