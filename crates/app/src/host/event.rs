//! What a screen is told without asking.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{DeviceId, JobId, ReleaseId, RolloutId, UnixTime};
use protocol::{ErrorBody, operator::Hint};
use serde::Serialize;
use tokio::sync::{Notify, broadcast};
use ts_rs::TS;

use super::{ceremony::Ceremony, job::JobRow, registry::WorkspaceRow};
use crate::{Shutdown, dto::VisitLive};

/// At most one batch of events in this span.
const SPAN: Duration = Duration::from_millis(250);
/// How many batches wait for a slow screen, which is then told to fetch everything anew.
const WAITING: usize = 64;
/// How many changed things of a kind one batch names; of more, it says that all changed.
const NAMED: usize = 200;
/// The lists that a backend keeps.
const FROM_BACKEND: [List; 7] =
    [List::Device, List::Rollout, List::Link, List::Release, List::Request, List::Enrolment, List::Alarm];

/// Something that changed. Events come in batches, at most four a second; of several changes of one
/// thing, the last one is told.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HostEvent {
    /// The way to the backend.
    Connection(Connection),
    /// The vault was made, opened or locked.
    Vault {
        /// How it stands.
        state: VaultState,
        /// When it locks itself, unless it is used before.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        locks_at: Option<UnixTime>,
    },
    /// Fetch these anew.
    Changed(Changed),
    /// A job began, went on or ended.
    Job {
        /// As in the list.
        job: JobRow,
    },
    /// A visit on the bench went on.
    Visit {
        /// As it stands.
        visit: VisitLive,
    },
    /// What waits for consent in the vault's window: all of it.
    Ceremonies {
        /// The oldest first.
        pending: Vec<Ceremony>,
    },
    /// Another workspace is in use.
    Workspace {
        /// Which; none before the first run is over.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        current: Option<WorkspaceRow>,
    },
}

/// The way to the backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
pub struct Connection {
    /// How it stands.
    pub state: ConnectionState,
    /// The backend's clock less this computer's, in seconds: what to add to this computer's time before
    /// a countdown is drawn. As last heard.
    #[ts(type = "number")]
    pub server_offset: i64,
    /// Since when it stands so, by this computer's clock.
    pub since: UnixTime,
    /// Why it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<ErrorBody>,
}

/// How the way to the backend stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// There is no backend: this workspace belongs to no fleet.
    None,
    /// It is being tried for the first time.
    Connecting,
    /// Its event stream is open.
    Online,
    /// It was lost, and is tried again and again.
    Offline,
}

/// How the vault stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum VaultState {
    /// There is none.
    None,
    /// It is locked.
    Locked,
    /// It is open.
    Unlocked,
}

/// What changed.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, TS)]
pub struct Changed {
    /// Lists with a change in them.
    pub lists: BTreeSet<List>,
    /// These devices; all of the list's if empty.
    pub devices: BTreeSet<DeviceId>,
    /// These rollouts, their deployments and links; all of the list's if empty.
    pub rollouts: BTreeSet<RolloutId>,
    /// These releases; all of the list's if empty.
    pub releases: BTreeSet<ReleaseId>,
}

/// A list that a screen shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Devices.
    Device,
    /// Rollouts and deployments.
    Rollout,
    /// Download links.
    Link,
    /// Releases.
    Release,
    /// Requests for signatures.
    Request,
    /// Waiting enrolments.
    Enrolment,
    /// Alarms.
    Alarm,
    /// Workspaces.
    Workspace,
    /// What is plugged in on the bench, and how visits ended.
    Bench,
}

/// Collects changes and tells them in batches.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    wake: Notify,
    out: broadcast::Sender<Vec<HostEvent>>,
}

/// A screen's end of the channel.
#[derive(Debug)]
pub struct Events {
    first: Option<Vec<HostEvent>>,
    rest: broadcast::Receiver<Vec<HostEvent>>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    vault: (VaultState, Option<UnixTime>),
    workspace: Option<WorkspaceRow>,
    ceremonies: Vec<Ceremony>,
    told: Told,
    jobs: BTreeMap<JobId, JobRow>,
    visits: BTreeMap<String, VisitLive>,
    changed: Changed,
}

/// Which parts of the state were told since they changed.
#[derive(Debug)]
struct Told {
    connection: bool,
    vault: bool,
    workspace: bool,
    ceremonies: bool,
}

impl Hub {
    pub(crate) fn new(now: UnixTime) -> Self {
        let state = State {
            connection: Connection {
                state: ConnectionState::None,
                server_offset: 0,
                since: now,
                error: None,
            },
            vault: (VaultState::None, None),
            workspace: None,
            ceremonies: Vec::new(),
            told: Told { connection: true, vault: true, workspace: true, ceremonies: true },
            jobs: BTreeMap::new(),
            visits: BTreeMap::new(),
            changed: Changed::default(),
        };
        Self { state: Mutex::new(state), wake: Notify::new(), out: broadcast::Sender::new(WAITING) }
    }

    /// Everything as it stands, then what changes.
    pub(crate) fn subscribe(&self) -> Events {
        // In this order: what is told twice does no harm, what is missed would.
        let rest = self.out.subscribe();
        let state = self.state();
        let first = vec![
            HostEvent::Workspace { current: state.workspace.clone() },
            HostEvent::Connection(state.connection.clone()),
            HostEvent::Vault { state: state.vault.0, locks_at: state.vault.1 },
            HostEvent::Ceremonies { pending: state.ceremonies.clone() },
        ];
        Events { first: Some(first), rest }
    }

    /// Tells what changed, batch by batch, until `stop`.
    pub(crate) async fn run(&self, stop: Shutdown) {
        let work = async {
            loop {
                self.wake.notified().await;
                let batch = self.state().take();
                if !batch.is_empty() {
                    // Nobody may be watching.
                    drop(self.out.send(batch));
                }
                tokio::time::sleep(SPAN).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    pub(crate) fn connection(&self, state: ConnectionState, now: UnixTime, error: Option<ErrorBody>) {
        self.change(|all| {
            let old = &mut all.connection;
            if old.state != state || old.error != error {
                let since = if old.state == state { old.since } else { now };
                *old = Connection { state, server_offset: old.server_offset, since, error };
                all.told.connection = false;
            }
        });
    }

    pub(crate) fn server_offset(&self, offset: i64) {
        self.change(|all| {
            if all.connection.server_offset != offset {
                all.connection.server_offset = offset;
                all.told.connection = false;
            }
        });
    }

    pub(crate) fn vault(&self, state: VaultState, locks_at: Option<UnixTime>) {
        self.change(|all| {
            if all.vault != (state, locks_at) {
                all.vault = (state, locks_at);
                all.told.vault = false;
            }
        });
    }

    pub(crate) fn workspace(&self, current: Option<WorkspaceRow>) {
        self.change(|all| {
            all.workspace = current;
            all.told.workspace = false;
        });
    }

    pub(crate) fn ceremonies(&self, pending: Vec<Ceremony>) {
        self.change(|all| {
            all.ceremonies = pending;
            all.told.ceremonies = false;
        });
    }

    pub(crate) fn job(&self, job: JobRow) {
        self.change(|all| drop(all.jobs.insert(job.id, job)));
    }

    pub(crate) fn visit(&self, visit: VisitLive) {
        self.change(|all| drop(all.visits.insert(visit.place.clone(), visit)));
    }

    pub(crate) fn list(&self, list: List) {
        self.change(|all| all.changed.whole(list));
    }

    /// Every list: after the connection came back, or another workspace was chosen.
    pub(crate) fn everything(&self) {
        self.change(|all| {
            FROM_BACKEND.into_iter().for_each(|list| all.changed.whole(list));
        });
    }

    /// What the backend said.
    pub(crate) fn hint(&self, hint: &Hint) {
        self.change(|all| {
            let changed = &mut all.changed;
            match hint {
                Hint::Ping { .. } => {}
                Hint::Device { device } => changed.one(List::Device, |all| &mut all.devices, *device),
                Hint::Release { release } => changed.one(List::Release, |all| &mut all.releases, *release),
                Hint::Rollout { rollout } => {
                    changed.one(List::Rollout, |all| &mut all.rollouts, *rollout);
                    changed.lists.insert(List::Link);
                }
                Hint::Enrolment => changed.whole(List::Enrolment),
                Hint::Request { .. } => changed.whole(List::Request),
                Hint::Alarm => changed.whole(List::Alarm),
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.wake.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Vec<HostEvent> {
        let mut batch = Vec::new();
        let told = std::mem::replace(
            &mut self.told,
            Told { connection: true, vault: true, workspace: true, ceremonies: true },
        );
        if !told.workspace {
            batch.push(HostEvent::Workspace { current: self.workspace.clone() });
        }
        if !told.connection {
            batch.push(HostEvent::Connection(self.connection.clone()));
        }
        if !told.vault {
            batch.push(HostEvent::Vault { state: self.vault.0, locks_at: self.vault.1 });
        }
        if !told.ceremonies {
            batch.push(HostEvent::Ceremonies { pending: self.ceremonies.clone() });
        }
        batch.extend(std::mem::take(&mut self.jobs).into_values().map(|job| HostEvent::Job { job }));
        let visits = std::mem::take(&mut self.visits).into_values();
        batch.extend(visits.map(|visit| HostEvent::Visit { visit }));
        let changed = std::mem::take(&mut self.changed);
        if !changed.lists.is_empty() {
            batch.push(HostEvent::Changed(changed.named()));
        }
        batch
    }
}

impl Changed {
    /// One thing of a list; unless all of it changed already.
    fn one<T: Ord>(&mut self, list: List, of: impl FnOnce(&mut Self) -> &mut BTreeSet<T>, id: T) {
        let new = self.lists.insert(list);
        let ids = of(self);
        if new || !ids.is_empty() {
            ids.insert(id);
        }
    }

    fn whole(&mut self, list: List) {
        self.lists.insert(list);
        match list {
            List::Device => self.devices.clear(),
            List::Rollout => self.rollouts.clear(),
            List::Release => self.releases.clear(),
            List::Link | List::Request | List::Enrolment | List::Alarm | List::Workspace | List::Bench => {}
        }
    }

    /// With no more names than a screen wants to hear.
    fn named(mut self) -> Self {
        if self.devices.len() > NAMED {
            self.devices.clear();
        }
        if self.rollouts.len() > NAMED {
            self.rollouts.clear();
        }
        if self.releases.len() > NAMED {
            self.releases.clear();
        }
        self
    }
}

impl Events {
    /// The next batch; none once the host has ended.
    pub async fn next(&mut self) -> Option<Vec<HostEvent>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.rest.recv().await {
            Ok(batch) => Some(batch),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let lists = FROM_BACKEND.into_iter().chain([List::Workspace, List::Bench]).collect();
                Some(vec![HostEvent::Changed(Changed { lists, ..Changed::default() })])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u8) -> DeviceId {
        DeviceId::new([number; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_hints_of_a_second_reach_a_screen_as_at_most_five_batches() {
        let hub = Hub::new(UnixTime::EPOCH);
        let stop = Shutdown::new();
        let mut events = hub.subscribe();
        assert!(events.next().await.is_some_and(|first| first.len() == 4));
        let hints = async {
            for number in 0..1_000_u32 {
                hub.hint(&Hint::Device { device: device((number % 7) as u8) });
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
        };
        tokio::join!(hub.run(stop.clone()), hints);
        let mut batches = 0;
        while let Ok(batch) = events.rest.try_recv() {
            let [HostEvent::Changed(changed)] = batch.as_slice() else { panic!("{batch:?}") };
            assert!(changed.lists.contains(&List::Device) && changed.devices.len() <= 7);
            batches += 1;
        }
        assert!((1..=5).contains(&batches), "{batches}");
    }

    #[test]
    fn a_list_that_changed_as_a_whole_names_nothing_in_it() {
        let hub = Hub::new(UnixTime::EPOCH);
        hub.hint(&Hint::Device { device: device(1) });
        hub.list(List::Device);
        hub.hint(&Hint::Device { device: device(2) });
        let batch = hub.state().take();
        let [HostEvent::Changed(changed)] = batch.as_slice() else { panic!("{batch:?}") };
        assert!(changed.lists.contains(&List::Device) && changed.devices.is_empty());
        assert!(hub.state().take().is_empty());
    }
}
