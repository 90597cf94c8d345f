use model::UnixTime;

use super::{
    Error, MetaFile, Metadata, Role, Root, Signed, Snapshot, StateLost, Targets, TargetsView, Timestamp,
    copies::{self, Kind},
};
use crate::Verified;

/// What a device or desktop trusts between refreshes.
///
/// Every change raises its generation. Whoever runs a [`super::Client`] stores
/// [`Self::to_bytes`] in two copies, one after the other, whenever the generation has risen, also
/// when the refresh failed later on: a root that was accepted stays accepted.
#[derive(Clone, Debug)]
pub struct TrustedState {
    generation: u64,
    root: Signed<Root>,
    timestamp: Option<Signed<Timestamp>>,
    snapshot: Option<Signed<Snapshot>>,
    targets: Option<Signed<Targets>>,
    min_targets_version: u64,
    time_floor: UnixTime,
}

/// When a bundle says that it was made and lapses; both stand in its signed index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bundled {
    /// When it was made: its metadata must have been valid then.
    pub issued_at: UnixTime,
    /// When it lapses.
    pub expires: UnixTime,
}

impl TrustedState {
    /// Trusts this root as it is: the one that came with the device's token, or with its software.
    ///
    /// # Errors
    /// It is no root, or is not signed by its own threshold.
    pub fn bootstrap(root: &[u8]) -> Result<Self, Error> {
        let root = Signed::<Root>::parse(root)?;
        root.signed().verify(&root)?;
        Ok(Self {
            generation: 1,
            root,
            timestamp: None,
            snapshot: None,
            targets: None,
            min_targets_version: 0,
            time_floor: UnixTime::EPOCH,
        })
    }

    /// One copy to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.extend_from_slice(&self.min_targets_version.to_be_bytes());
        content.extend_from_slice(&self.time_floor.as_secs().to_be_bytes());
        let files = [
            Some(self.root.raw()),
            self.timestamp.as_ref().map(Signed::raw),
            self.snapshot.as_ref().map(Signed::raw),
            self.targets.as_ref().map(Signed::raw),
        ];
        for file in files {
            // No metadata file is empty, so that nothing stands for none.
            let file = file.unwrap_or_default();
            content.extend_from_slice(&(file.len() as u64).to_be_bytes());
            content.extend_from_slice(file);
        }
        copies::write(Kind::Trusted, self.generation, &content)
    }

    /// The newest of two stored copies that is whole.
    ///
    /// # Errors
    /// Neither is.
    pub fn choose(a: Option<&[u8]>, b: Option<&[u8]>) -> Result<Self, StateLost> {
        copies::choose(Kind::Trusted, [a, b], Self::read)
    }

    /// How often it has changed.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest instant at which a threshold of release keys issued targets metadata that was
    /// accepted here. Time never lies before it.
    pub const fn time_floor(&self) -> UnixTime {
        self.time_floor
    }

    /// The trusted root.
    pub const fn root(&self) -> &Signed<Root> {
        &self.root
    }

    /// The trusted timestamp, if there is one.
    pub const fn timestamp(&self) -> Option<&Signed<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The trusted snapshot, if there is one.
    pub const fn snapshot(&self) -> Option<&Signed<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The trusted targets metadata, if there is one.
    pub const fn targets(&self) -> Option<&Signed<Targets>> {
        self.targets.as_ref()
    }

    /// Accepts a bundle's root chain and targets, without snapshot and timestamp. Roots that are
    /// known already are passed over. Roots that were accepted stay so when the targets are refused.
    ///
    /// What the bundle says of its own times must be verified afterwards, with the trust keys
    /// that its targets vouch for.
    ///
    /// # Errors
    /// A root does not follow the trusted one; root or targets were not valid when the bundle was
    /// made; or the targets go back behind what is trusted.
    pub fn accept_bundle(
        &mut self,
        roots: &[&[u8]],
        targets: &[u8],
        bundle: Bundled,
    ) -> Result<Verified<TargetsView>, Error> {
        for raw in roots {
            let root = Signed::<Root>::parse(raw)?;
            if root.signed().version > self.root.signed().version {
                self.accept_root(root)?;
            }
        }
        expect_valid(&self.root, bundle.issued_at)?;
        let targets = Signed::<Targets>::parse(targets)?;
        self.root.signed().verify(&targets)?;
        expect_valid(&targets, bundle.issued_at)?;
        if let Some(issued_at) = targets.signed().issued_at.filter(|at| *at > bundle.issued_at) {
            return Err(Error::NotYetIssued { issued_at });
        }
        // Without a snapshot nothing but the stored targets says what was in force, also after the
        // snapshot's keys were rotated.
        let trusted = self.targets.as_ref().map_or(0, |stored| stored.signed().version);
        let offered = targets.signed().version;
        if offered < trusted {
            return Err(Error::Rollback { role: Role::Targets, trusted, offered });
        }
        self.check_targets_version(offered)?;
        self.accept_targets(targets);
        self.view(bundle.expires, true)
    }

    /// The targets in force by what is stored alone, for a device that goes on where it stopped and
    /// cannot reach a repository.
    ///
    /// # Errors
    /// The last refresh was not complete, or something has lapsed at `now`.
    pub fn in_force(&self, now: UnixTime) -> Result<Verified<TargetsView>, Error> {
        self.view(self.check_in_force(now)?, false)
    }

    /// Verifies that what is stored belongs together and has not lapsed; yields when it will.
    pub(super) fn check_in_force(&self, now: UnixTime) -> Result<UnixTime, Error> {
        let now = now.max(self.time_floor);
        let root = self.root.signed();
        let timestamp = self.timestamp.as_ref().filter(|file| root.verify(file).is_ok());
        let timestamp = timestamp.ok_or(Error::Incomplete)?;
        let file = &timestamp.signed().meta.snapshot;
        let snapshot = self.snapshot.as_ref().filter(|stored| self.is_current(stored, file));
        let snapshot = snapshot.ok_or(Error::Incomplete)?;
        let file = snapshot.signed().targets().ok_or(Error::Incomplete)?;
        let targets = self.targets.as_ref().filter(|stored| self.is_current(stored, file));
        let targets = targets.ok_or(Error::Incomplete)?;
        expect_valid(&self.root, now)?;
        expect_valid(timestamp, now)?;
        expect_valid(snapshot, now)?;
        expect_valid(targets, now)?;
        let expires =
            [root.expires, timestamp.signed().expires, snapshot.signed().expires, targets.signed().expires];
        Ok(expires.into_iter().fold(UnixTime::MAX, UnixTime::min))
    }

    /// Whether the stored file is the one that `file` names, under the present keys.
    pub(super) fn is_current<T: Metadata>(&self, stored: &Signed<T>, file: &MetaFile) -> bool {
        stored.signed().version() == file.version
            && file.check(T::ROLE, stored.raw()).is_ok()
            && self.root.signed().verify(stored).is_ok()
    }

    /// Accepts the next root. A role whose keys changed starts anew: what a stolen key
    /// fast-forwarded must not stand in the way of its successor (TUF 1.0, section 5.3.11).
    pub(super) fn accept_root(&mut self, root: Signed<Root>) -> Result<(), Error> {
        root.verify_successor_of(self.root.signed())?;
        let rotated = |role| self.root.signed().role_key_bytes(role) != root.signed().role_key_bytes(role);
        let snapshot = rotated(Role::Snapshot);
        if rotated(Role::Timestamp) || snapshot {
            self.timestamp = None;
            self.snapshot = None;
        }
        // The keys of the timestamp, and those of the targets, give nobody a say in which targets
        // are current.
        if snapshot {
            self.min_targets_version = 0;
        }
        self.root = root;
        self.generation += 1;
        Ok(())
    }

    pub(super) fn accept_timestamp(&mut self, timestamp: Signed<Timestamp>) {
        self.timestamp = Some(timestamp);
        self.generation += 1;
    }

    pub(super) fn accept_snapshot(&mut self, snapshot: Signed<Snapshot>) {
        self.snapshot = Some(snapshot);
        self.generation += 1;
    }

    pub(super) fn accept_targets(&mut self, targets: Signed<Targets>) {
        let Targets { version, issued_at, .. } = targets.signed();
        self.min_targets_version = self.min_targets_version.max(*version);
        self.time_floor = self.time_floor.max(issued_at.unwrap_or_default());
        self.targets = Some(targets);
        self.generation += 1;
    }

    pub(super) fn check_targets_version(&self, offered: u64) -> Result<(), Error> {
        let trusted = self.min_targets_version;
        if offered < trusted {
            return Err(Error::Rollback { role: Role::Targets, trusted, offered });
        }
        Ok(())
    }

    /// The targets in force, to be decided on before `expires`.
    pub(super) fn view(&self, expires: UnixTime, offline: bool) -> Result<Verified<TargetsView>, Error> {
        let targets = self.targets.as_ref().ok_or(Error::Incomplete)?.signed();
        let root = self.root.signed();
        Ok(Verified::new(TargetsView {
            root_version: root.version,
            targets_version: targets.version,
            issued_at: targets.issued_at,
            targets_expire: targets.expires,
            expires,
            offline,
            consistent: root.consistent_snapshot,
            targets: targets.targets.clone(),
        }))
    }

    fn read(generation: u64, content: &[u8]) -> Option<Self> {
        let mut rest = content;
        let min_targets_version = number(&mut rest)?;
        let time_floor = UnixTime::from_secs(number(&mut rest)?);
        let root = file(&mut rest)??;
        let state = Self {
            generation,
            min_targets_version,
            time_floor,
            timestamp: file(&mut rest)?,
            snapshot: file(&mut rest)?,
            targets: file(&mut rest)?,
            ..Self::bootstrap(Signed::<Root>::raw(&root)).ok()?
        };
        rest.is_empty().then_some(state)
    }
}

/// Expiry as section 5 has it: metadata that lapses at `now` has lapsed.
pub(super) fn expect_valid<T: Metadata>(file: &Signed<T>, now: UnixTime) -> Result<(), Error> {
    let expires = file.signed().expires();
    if expires <= now { Err(Error::Expired { role: T::ROLE, expires }) } else { Ok(()) }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_at_checked(8)?;
    *rest = tail;
    Some(u64::from_be_bytes(head.try_into().ok()?))
}

fn file<T: Metadata>(rest: &mut &[u8]) -> Option<Option<Signed<T>>> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (raw, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    if raw.is_empty() { Some(None) } else { Signed::parse(raw).ok().map(Some) }
}
