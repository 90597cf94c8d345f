use std::collections::BTreeMap;

use model::{Component, Digest, HardwareRevision, ModelName, TargetName, UnixTime, Version};

use super::{Error, TargetCustom, TargetFile};
use crate::{Sha256, TargetBytes, Verified};

/// The targets that are in force, as a refresh or a bundle left them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetsView {
    pub(super) root_version: u64,
    pub(super) targets_version: u64,
    pub(super) issued_at: Option<UnixTime>,
    pub(super) targets_expire: UnixTime,
    pub(super) expires: UnixTime,
    pub(super) offline: bool,
    pub(super) consistent: bool,
    pub(super) targets: BTreeMap<TargetName, TargetFile>,
}

/// One target that is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetInfo {
    name: TargetName,
    length: u64,
    sha256: Digest,
    custom: Option<TargetCustom>,
    consistent: bool,
}

/// Matches a target's content with its length and digest, piece by piece.
#[derive(Debug)]
pub struct TargetHash {
    target: TargetInfo,
    seen: u64,
    sha256: Sha256,
}

impl TargetsView {
    /// The root's version.
    pub const fn root_version(&self) -> u64 {
        self.root_version
    }

    /// The targets metadata's version.
    pub const fn targets_version(&self) -> u64 {
        self.targets_version
    }

    /// When the targets metadata was issued, if it says.
    pub const fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// When the targets metadata itself lapses.
    pub const fn targets_expire(&self) -> UnixTime {
        self.targets_expire
    }

    /// From when on nothing may be decided on it any more: the first of root, targets, snapshot and
    /// timestamp to lapse; offline, the bundle.
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Whether it came from a bundle, without snapshot and timestamp.
    pub const fn is_offline(&self) -> bool {
        self.offline
    }

    /// The lowest release between these two versions that no device of this kind may jump over. A device
    /// that confirmed nothing yet is below all.
    pub fn must_pass(
        &self,
        model: &ModelName,
        hardware_revision: &HardwareRevision,
        component: &Component,
        above: Option<&Version>,
        below: &Version,
    ) -> Option<&TargetCustom> {
        let custom = self.targets.values().filter_map(|file| file.custom.as_ref());
        let meant = custom.filter(|custom| {
            custom.must_pass
                && custom.model == *model
                && custom.component == *component
                && custom.hardware_revisions.contains(hardware_revision)
        });
        let between = meant
            .filter(|custom| custom.version < *below && above.is_none_or(|above| custom.version > *above));
        between.min_by_key(|custom| &custom.version)
    }

    /// The names of all targets.
    pub fn names(&self) -> impl Iterator<Item = &TargetName> {
        self.targets.keys()
    }
}

impl Verified<TargetsView> {
    /// What was signed for this target.
    pub fn target(&self, name: &TargetName) -> Option<Verified<TargetInfo>> {
        let file = self.targets.get(name)?;
        Some(Verified::new(TargetInfo {
            name: name.clone(),
            length: file.length,
            sha256: file.hashes.sha256,
            custom: file.custom.clone(),
            consistent: self.consistent,
        }))
    }
}

impl TargetInfo {
    /// The target's name.
    pub const fn name(&self) -> &TargetName {
        &self.name
    }

    /// Its length in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Its SHA-256.
    pub const fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// What it is for, if it is an artifact.
    pub const fn custom(&self) -> Option<&TargetCustom> {
        self.custom.as_ref()
    }

    /// Where a repository keeps it below its targets' address: with consistent snapshots its digest
    /// stands before its file name.
    pub fn path(&self) -> String {
        let name = self.name.as_str();
        let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
        match (self.consistent, folder) {
            (false, _) => name.to_owned(),
            (true, "") => format!("{}.{file}", self.sha256),
            (true, folder) => format!("{folder}/{}.{file}", self.sha256),
        }
    }
}

impl Verified<TargetInfo> {
    /// Verifies that `bytes` are the target's content.
    ///
    /// # Errors
    /// They are not.
    pub fn verify(&self, bytes: Vec<u8>) -> Result<Verified<TargetBytes>, Error> {
        let mut hash = self.hash();
        hash.update(&bytes)?;
        hash.finish()?;
        Ok(Verified::new(TargetBytes::new(self.name.clone(), bytes)))
    }

    /// Begins to match content too large to hold.
    pub fn hash(&self) -> TargetHash {
        TargetHash { target: TargetInfo::clone(self), seen: 0, sha256: Sha256::new() }
    }
}

impl TargetHash {
    /// Takes the next piece.
    ///
    /// # Errors
    /// The content is longer than the target.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.seen = self.seen.saturating_add(piece.len() as u64);
        if self.seen > self.target.length {
            return Err(Error::TargetMismatch { name: self.target.name.clone() });
        }
        self.sha256.update(piece);
        Ok(())
    }

    /// Whether all that was taken is the target's content.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(self) -> Result<(), Error> {
        let same = self.seen == self.target.length && self.sha256.finish() == self.target.sha256;
        if same { Ok(()) } else { Err(Error::TargetMismatch { name: self.target.name }) }
    }
}
