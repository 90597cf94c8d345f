use model::UnixTime;

use super::{
    Error, MetaFile, Metadata, Role, Root, Signed, Snapshot, Targets, TargetsView, Timestamp, TrustedState,
    metadata::TARGETS_FILE, state::expect_valid,
};
use crate::Verified;

/// How many new roots one refresh takes; the next refresh goes on where it stopped.
const MAX_ROOTS: u32 = 256;

/// One refresh of the metadata (TUF 1.0, section 5), without I/O: [`Self::next`] says which file is
/// wanted, [`Self::feed`] takes it.
///
/// After every `feed`, also one that failed, the caller stores [`Self::state`] if its generation has
/// risen.
#[derive(Debug)]
pub struct Client {
    state: TrustedState,
    now: UnixTime,
    step: Step,
}

/// What a refresh wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Need {
    /// A file of the repository.
    Fetch {
        /// Its path below the metadata's address.
        path: String,
        /// No more than this is read of it. The caller stops there and feeds what it has, which is
        /// refused if the file goes on.
        max_bytes: u64,
    },
    /// Nothing: it came to its end, for better or worse.
    Done,
}

/// What became of a fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetched<'a> {
    /// The file.
    Bytes(&'a [u8]),
    /// The repository has no such file. Only a repository that was reached says so; where it was
    /// not, the refresh is dropped.
    NotFound,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Root { taken: u32 },
    Timestamp,
    Snapshot(MetaFile),
    Targets(MetaFile),
    Done,
    Failed,
}

impl Client {
    /// Begins a refresh at `now`, which holds for the whole of it; never before the state's own
    /// time floor.
    pub fn new(state: TrustedState, now: UnixTime) -> Self {
        let now = now.max(state.time_floor());
        Self { state, now, step: Step::Root { taken: 0 } }
    }

    /// What is wanted now.
    pub fn next(&self) -> Need {
        let fetch = |role: Role, version: u64, length: Option<u64>| {
            let consistent = self.state.root().signed().consistent_snapshot || role == Role::Root;
            let path = if consistent { role.path(version) } else { format!("{role}.json") };
            let max_bytes = length.unwrap_or(u64::MAX).min(role.max_bytes());
            Need::Fetch { path, max_bytes }
        };
        match &self.step {
            Step::Root { .. } => {
                fetch(Role::Root, self.state.root().signed().version.saturating_add(1), None)
            }
            Step::Timestamp => fetch(Role::Timestamp, 0, None),
            Step::Snapshot(file) => fetch(Role::Snapshot, file.version, file.length),
            Step::Targets(file) => fetch(Role::Targets, file.version, file.length),
            Step::Done | Step::Failed => Need::Done,
        }
    }

    /// Takes what [`Self::next`] asked for.
    ///
    /// # Errors
    /// It is not to be trusted. The refresh is over then; what was accepted before stays accepted.
    pub fn feed(&mut self, fetched: Fetched<'_>) -> Result<(), Error> {
        let step = std::mem::replace(&mut self.step, Step::Failed);
        self.step = match (step, fetched) {
            (Step::Root { taken }, Fetched::Bytes(bytes)) => {
                if taken == MAX_ROOTS {
                    return Err(Error::TooManyRoots { max: MAX_ROOTS });
                }
                self.state.accept_root(Signed::parse(bytes)?)?;
                Step::Root { taken: taken + 1 }
            }
            (Step::Root { .. }, Fetched::NotFound) => {
                expect_valid(self.state.root(), self.now)?;
                Step::Timestamp
            }
            (Step::Timestamp, Fetched::Bytes(bytes)) => {
                self.take_timestamp(bytes)?;
                self.after_timestamp()?
            }
            (Step::Snapshot(file), Fetched::Bytes(bytes)) => {
                self.take_snapshot(&file, bytes)?;
                self.after_snapshot()?
            }
            (Step::Targets(file), Fetched::Bytes(bytes)) => {
                self.take_targets(&file, bytes)?;
                self.after_targets()?
            }
            (Step::Timestamp, Fetched::NotFound) => return Err(Error::NotFound { role: Role::Timestamp }),
            (Step::Snapshot(_), Fetched::NotFound) => return Err(Error::NotFound { role: Role::Snapshot }),
            (Step::Targets(_), Fetched::NotFound) => return Err(Error::NotFound { role: Role::Targets }),
            (Step::Done, _) => Step::Done,
            (Step::Failed, _) => return Err(Error::Incomplete),
        };
        Ok(())
    }

    /// What is trusted by now.
    pub const fn state(&self) -> &TrustedState {
        &self.state
    }

    /// Takes back the state, however far the refresh came.
    pub fn into_state(self) -> TrustedState {
        self.state
    }

    /// The targets in force.
    ///
    /// # Errors
    /// The refresh has not come to a good end.
    pub fn targets(&self) -> Result<Verified<TargetsView>, Error> {
        if self.step == Step::Done { self.state.in_force(self.now) } else { Err(Error::Incomplete) }
    }

    /// Section 5.4.
    fn take_timestamp(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let new = Signed::<Timestamp>::parse(bytes)?;
        self.root().verify(&new)?;
        if let Some(old) = self.state.timestamp() {
            let (trusted, offered) = (old.signed().version, new.signed().version);
            if offered < trusted {
                return Err(Error::Rollback { role: Role::Timestamp, trusted, offered });
            }
            if offered == trusted && self.root().verify(old).is_ok() {
                return expect_valid(old, self.now);
            }
            let (trusted, offered) = (old.signed().meta.snapshot.version, new.signed().meta.snapshot.version);
            if offered < trusted {
                return Err(Error::Rollback { role: Role::Snapshot, trusted, offered });
            }
        }
        expect_valid(&new, self.now)?;
        self.state.accept_timestamp(new);
        Ok(())
    }

    fn after_timestamp(&self) -> Result<Step, Error> {
        let timestamp = self.state.timestamp().ok_or(Error::Incomplete)?;
        let file = timestamp.signed().meta.snapshot.clone();
        match self.state.snapshot().filter(|stored| self.state.is_current(stored, &file)) {
            Some(stored) => {
                expect_valid(stored, self.now)?;
                self.after_snapshot()
            }
            None => Ok(Step::Snapshot(file)),
        }
    }

    /// Section 5.5.
    fn take_snapshot(&mut self, file: &MetaFile, bytes: &[u8]) -> Result<(), Error> {
        let new: Signed<Snapshot> = self.read(file, bytes)?;
        if let Some(old) = self.state.snapshot() {
            for (name, old) in &old.signed().meta {
                let offered = new.signed().meta.get(name).map_or(0, |new| new.version);
                if offered < old.version {
                    let role = if name == TARGETS_FILE { Role::Targets } else { Role::Snapshot };
                    return Err(Error::Rollback { role, trusted: old.version, offered });
                }
            }
        }
        expect_valid(&new, self.now)?;
        self.state.accept_snapshot(new);
        Ok(())
    }

    fn after_snapshot(&self) -> Result<Step, Error> {
        let file = self.state.snapshot().and_then(|snapshot| snapshot.signed().targets()).cloned();
        let file = file.ok_or(Error::Incomplete)?;
        self.state.check_targets_version(file.version)?;
        match self.state.targets().filter(|stored| self.state.is_current(stored, &file)) {
            Some(stored) => {
                expect_valid(stored, self.now)?;
                self.after_targets()
            }
            None => Ok(Step::Targets(file)),
        }
    }

    /// Section 5.6.
    fn take_targets(&mut self, file: &MetaFile, bytes: &[u8]) -> Result<(), Error> {
        let new: Signed<Targets> = self.read(file, bytes)?;
        expect_valid(&new, self.now)?;
        self.state.accept_targets(new);
        Ok(())
    }

    /// New targets may have raised the time floor; nothing that lapsed before it is fresh.
    fn after_targets(&self) -> Result<Step, Error> {
        self.state.check_in_force(self.now).map(|_| Step::Done)
    }

    fn read<T: Metadata>(&self, file: &MetaFile, bytes: &[u8]) -> Result<Signed<T>, Error> {
        file.check(T::ROLE, bytes)?;
        let new = Signed::<T>::parse(bytes)?;
        self.root().verify(&new)?;
        let (expected, found) = (file.version, new.signed().version());
        if found != expected {
            return Err(Error::VersionMismatch { role: T::ROLE, expected, found });
        }
        Ok(new)
    }

    fn root(&self) -> &Root {
        self.state.root().signed()
    }
}
