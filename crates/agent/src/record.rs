//! What the device accepted, how far it has come with it, and what it has yet to report.

use std::collections::{BTreeMap, VecDeque};

use envelope::{Report, Signer, device::State, tuf::TrustedState};
use model::{Component, DeploymentId, DeploymentState, DeviceId, Digest, FleetId, UnixTime, Version};
use protocol::Base64;
use serde::{Deserialize, Serialize};

use crate::{Artifact, Blob, Copies, Error, Loaded, Parts, Settings, Storage};

/// How many reports wait at most; beyond that, the oldest that does not end a deployment goes.
const WAITING: usize = 200;

/// Everything that must not be gone back behind, but for the metadata and the check-in counter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) state: State,
    /// At most one per component, and at most one of them past recall.
    pub(crate) underway: BTreeMap<Component, Progress>,
    pub(crate) outbox: Outbox,
}

/// How far one deployment has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) deployment: DeploymentId,
    /// The ticket as it came, sealed.
    pub(crate) sealed_ticket: Base64,
    pub(crate) ticket: Digest,
    pub(crate) artifact: Artifact,
    /// The version that ran when it was accepted.
    pub(crate) before: Option<Version>,
    pub(crate) stage: Stage,
    /// What was reported last.
    pub(crate) reported: DeploymentState,
    /// How often the device started since it was to boot the new software, or to go back.
    pub(crate) starts: u8,
}

/// Where a deployment stands on the device. Each is durable before what it stands for begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// To be fetched and verified. A hold, or another ticket, may still replace it.
    Accepted,
    /// Pass two: the installer writes.
    Installing,
    /// The installer has written; nothing was booted yet.
    Installed,
    /// The new software is to be booted.
    Booting,
    /// The new software runs and is checked.
    Confirming,
    /// The new software is well, and is made permanent.
    Confirmed,
    /// The old software is to be booted again.
    RollingBack {
        /// Why, as a word.
        code: String,
        /// Why, in the installer's words.
        detail: String,
    },
}

/// Reports that the backend has not taken yet, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    counter: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    counter: u64,
    ends: bool,
    report: Base64,
}

impl Stage {
    /// Whether from here on nothing may replace the ticket.
    pub(crate) const fn past_recall(&self) -> bool {
        !matches!(self, Self::Accepted)
    }

    /// Whether the old or the new software is on its way, so that a start means something.
    pub(crate) const fn booting(&self) -> bool {
        matches!(self, Self::Booting | Self::Confirming | Self::Confirmed | Self::RollingBack { .. })
    }
}

impl Record {
    /// Stores what an enrolled device begins with. What is there already, whole and of this device, stays:
    /// enrolling again must not make it forget what it may not go back behind.
    pub(crate) fn begin(
        trusted: &TrustedState,
        fleet: FleetId,
        (device, identity): (DeviceId, envelope::Identity),
        settings: &Settings,
        parts: &mut Parts,
    ) -> Result<(), Error> {
        let storage = &mut *parts.storage;
        let store = Error::storage("store the state");
        let (mut copies, loaded) = load(Blob::Trust, storage)?;
        if read_trusted(&loaded).is_none() {
            copies.store(storage, &trusted.to_bytes()).map_err(store)?;
        }
        let (mut copies, loaded) = load(Blob::Counter, storage)?;
        if read_counter(&loaded).is_none() {
            // Begins at the time, so that it rises also when the one before was lost.
            let counter = parts.clock.now().as_secs();
            copies.store(storage, &counter.to_be_bytes()).map_err(Error::storage("store the counter"))?;
        }
        let (mut copies, loaded) = load(Blob::State, storage)?;
        let known = Self::read(&loaded).is_some_and(|known| {
            let me = known.state.addressee(None);
            me.device == device && me.fleet == fleet && me.identity == Some(identity)
        });
        if !known {
            let components = parts.components.iter();
            let components = components.map(|(component, fitting)| (component.clone(), fitting.state()));
            let (model, revision) = (settings.model.clone(), settings.hardware_revision.clone());
            let state = State::new(fleet, device, Some(identity), model, revision, components);
            let outbox = Outbox { counter: parts.clock.now().as_secs(), waiting: VecDeque::new() };
            let record = Self { state, underway: BTreeMap::new(), outbox };
            copies.store(storage, &record.to_bytes()).map_err(Error::storage("store the state"))?;
        }
        Ok(())
    }

    /// What is stored; nothing if it is lost or was never there.
    pub(crate) fn read(loaded: &Loaded) -> Option<Self> {
        match loaded {
            Loaded::Content(content) => serde_json::from_slice(content).ok(),
            Loaded::Absent | Loaded::Lost => None,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps with text keys, and no floats")
    }

    /// The component whose deployment is to be worked on: the one past recall, if there is one.
    pub(crate) fn next_up(&self) -> Option<&Component> {
        let past_recall = self.underway.iter().find(|(_, progress)| progress.stage.past_recall());
        past_recall.or_else(|| self.underway.first_key_value()).map(|(component, _)| component)
    }
}

impl Outbox {
    /// Signs a report and lets it wait; its counter is set here.
    pub(crate) fn add(&mut self, mut report: Report, identity: &dyn Signer) -> Result<(), envelope::Error> {
        self.counter += 1;
        report.counter = self.counter;
        let signed = report.sign(identity)?;
        let ends = report.state.ended();
        self.waiting.push_back(Waiting { counter: self.counter, ends, report: signed.into() });
        if self.waiting.len() > WAITING {
            let oldest = self.waiting.iter().position(|waiting| !waiting.ends).unwrap_or(0);
            self.waiting.remove(oldest);
        }
        Ok(())
    }

    /// The oldest reports, at most `most`, and the counter of the last of them.
    pub(crate) fn oldest(&self, most: usize) -> Option<(Vec<Base64>, u64)> {
        let last = self.waiting.iter().take(most).next_back()?.counter;
        Some((self.waiting.iter().take(most).map(|waiting| waiting.report.clone()).collect(), last))
    }

    /// Forgets the reports up to this counter: the backend has them.
    pub(crate) fn taken(&mut self, counter: u64) {
        self.waiting.retain(|waiting| waiting.counter > counter);
    }

    /// How many were ever made, from some number on.
    pub(crate) const fn made(&self) -> u64 {
        self.counter
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// A report of a device that lost its state; it counts from the time, for its counter is lost too.
pub(crate) fn loss(device: DeviceId, now: UnixTime) -> Report {
    Report {
        device,
        deployment: None,
        state: DeploymentState::Failed,
        counter: now.as_secs(),
        ticket: None,
        code: Some("state_lost".to_owned()),
        detail: None,
        before: None,
        after: None,
        bytes: 0,
        stored_seq: None,
        at: now,
    }
}

pub(crate) fn load(
    blob: fn(crate::Copy) -> Blob,
    storage: &mut dyn Storage,
) -> Result<(Copies, Loaded), Error> {
    Copies::load(blob, storage).map_err(Error::storage("read the stored state"))
}

pub(crate) fn read_trusted(loaded: &Loaded) -> Option<TrustedState> {
    match loaded {
        Loaded::Content(content) => TrustedState::choose(Some(content), None).ok(),
        Loaded::Absent | Loaded::Lost => None,
    }
}

pub(crate) fn read_counter(loaded: &Loaded) -> Option<u64> {
    match loaded {
        Loaded::Content(content) => content.as_slice().try_into().ok().map(u64::from_be_bytes),
        Loaded::Absent | Loaded::Lost => None,
    }
}
