use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use envelope::{
    Report, TargetBytes, Verified,
    device::{Basis, Clock as Knowledge, ComponentState, Install, State},
    tuf::TrustedState,
};
use model::{
    Component, DeploymentId, DeploymentState, DeviceId, HardwareRevision, ModelName, Random, SecurityCounter,
    Serial, UnixTime, Version,
};
use protocol::device::{ReportsRequest, ReportsResponse, path};
use tls::Clock;
use tokio::time::Instant;

use crate::{
    Blob, Copies, Dial, Error, Event, Installer, Pace, Storage,
    download::Download,
    http::Http,
    identity::{Enrolled, Keys},
    pace::Backoff,
    record::{self, Progress, Record, Stage},
};

/// What a device is, as its maker set it up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its product type.
    pub model: ModelName,
    /// Its hardware revision.
    pub hardware_revision: HardwareRevision,
    /// Its serial number, to stand in its request for a certificate.
    pub serial: Option<Serial>,
    /// Whether it has a clock of its own to rely on.
    pub own_clock: bool,
    /// When this software was built: time is never before it.
    pub built_at: UnixTime,
}

/// A component, and the way into it.
pub struct Fitting {
    /// The way into it.
    pub installer: Box<dyn Installer>,
    /// The version that it was made with; none if that is not known.
    pub version: Option<Version>,
    /// The security counter of that version.
    pub security_counter: SecurityCounter,
}

/// What a device is made of, and what connects it with the world. Faults are put into these.
pub struct Parts {
    /// What survives a power cut.
    pub storage: Box<dyn Storage>,
    /// Its components.
    pub components: BTreeMap<Component, Fitting>,
    /// How it reaches its backend.
    pub dial: Arc<dyn Dial>,
    /// The time, as its clock has it.
    pub clock: Arc<dyn Clock>,
    /// Secure randomness.
    pub random: Box<dyn Random + Send>,
    /// Told of what happens.
    pub observer: Box<dyn FnMut(&Event) + Send>,
    /// How it paces itself.
    pub pace: Pace,
}

/// An enrolled device.
///
/// It acts only on what is durable: dropping it at any point, or a power cut, is like the agent being
/// killed, and opening it again on the same storage goes on from there. One task runs it.
pub struct Device {
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) keys: Keys,
    pub(crate) enrolled: Enrolled,
    pub(crate) http: Http,
    pub(crate) floor: Arc<Floor>,
    pub(crate) record: Record,
    record_copies: Copies,
    pub(crate) trusted: TrustedState,
    pub(crate) trusted_copies: Copies,
    pub(crate) counter: u64,
    pub(crate) counter_copies: Copies,
    /// The targets and keys of the last refresh, until something may have changed.
    pub(crate) basis: Option<Basis>,
    pub(crate) trust_keys: Option<Verified<TargetBytes>>,
    /// What the backend said the time is, and when it said so.
    pub(crate) hint: Option<(UnixTime, Instant)>,
    /// The newest link of each component, sealed.
    pub(crate) links: BTreeMap<Component, Vec<u8>>,
    pub(crate) order: Option<Box<Verified<Install>>>,
    pub(crate) download: Option<Download>,
    /// Whether a push stream is open, as was last told.
    listening: bool,
}

/// The time for TLS: the device's clock, but never before its floor.
#[derive(Debug)]
pub(crate) struct Floor {
    clock: Arc<dyn Clock>,
    floor: AtomicU64,
}

/// What a device is doing, for people.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Status {
    /// Its id.
    pub device: DeviceId,
    /// Host and port of its backend.
    pub address: String,
    /// When its certificate lapses.
    pub certificate_not_after: UnixTime,
    /// What runs in each component.
    pub components: BTreeMap<Component, ComponentNow>,
    /// Reports that the backend has not taken yet.
    pub waiting_reports: usize,
}

/// What runs in one component, and what is being done about it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ComponentNow {
    /// The version that last confirmed itself.
    pub version: Option<Version>,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// The deployment under way.
    pub deployment: Option<DeploymentId>,
    /// The version that it brings.
    pub next_version: Option<Version>,
    /// Where it stands, as last reported.
    pub state: Option<DeploymentState>,
}

impl Device {
    /// Opens an enrolled device where it left off. No network is needed.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`]; [`Error::StateLost`], which [`report_loss`] tells the backend; or the
    /// medium failed.
    pub fn open(settings: Settings, mut parts: Parts) -> Result<Self, Error> {
        let storage = &mut *parts.storage;
        let enrolled = Enrolled::load(storage)?.ok_or(Error::NotEnrolled)?;
        let keys = Keys::load(storage)?.ok_or(Error::NotEnrolled)?;
        let (record_copies, record) = record::load(Blob::State, storage)?;
        let (trusted_copies, trusted) = record::load(Blob::Trust, storage)?;
        let (counter_copies, counter) = record::load(Blob::Counter, storage)?;
        let record = Record::read(&record).ok_or(Error::StateLost)?;
        let trusted = record::read_trusted(&trusted).ok_or(Error::StateLost)?;
        let counter = record::read_counter(&counter).ok_or(Error::StateLost)?;
        let floor = Arc::new(Floor::new(parts.clock.clone(), settings.built_at.max(trusted.time_floor())));
        let http = Http::new(enrolled.endpoint(&keys, parts.dial.clone(), floor.clone())?);
        let mut device = Self {
            settings,
            parts,
            keys,
            enrolled,
            http,
            floor,
            record,
            record_copies,
            trusted,
            trusted_copies,
            counter,
            counter_copies,
            basis: None,
            trust_keys: None,
            hint: None,
            links: BTreeMap::new(),
            order: None,
            download: None,
            listening: false,
        };
        device.fit()?;
        device.started()?;
        Ok(device)
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        let not_after = self.enrolled.certificate().map(|certificate| certificate.certificate().not_after());
        Status::new(&self.enrolled, &self.record, not_after.unwrap_or_default())
    }

    /// Its id.
    pub const fn id(&self) -> DeviceId {
        self.enrolled.device
    }

    /// Takes it apart, so that it can be opened again as after a power cut.
    pub fn into_parts(self) -> Parts {
        self.parts
    }

    /// What it knows of the time.
    pub(crate) fn time(&self) -> Knowledge {
        let mut time = Knowledge::new(self.settings.built_at, &self.trusted);
        time.own = self.settings.own_clock.then(|| self.parts.clock.now());
        time.hint = self.hint.map(|(at, heard)| at + model::Seconds(heard.elapsed().as_secs()));
        time
    }

    /// Makes `next` what is true, durably. If that fails, what was true stays so.
    pub(crate) fn store(&mut self, next: Record) -> Result<(), Error> {
        self.record_copies
            .store(&mut *self.parts.storage, &next.to_bytes())
            .map_err(Error::storage("store the state"))?;
        self.record = next;
        Ok(())
    }

    /// Takes the next step of a deployment: its stage, the state that goes with it and the report of it
    /// become durable together.
    pub(crate) fn advance(
        &mut self,
        component: &Component,
        stage: Stage,
        state: Option<State>,
        reported: DeploymentState,
    ) -> Result<(), Error> {
        let mut next = self.record.clone();
        next.state = state.unwrap_or(next.state);
        let Some(progress) = next.underway.get_mut(component) else { return Ok(()) };
        progress.stage = stage;
        let news = progress.reported != reported;
        progress.reported = reported;
        let progress = progress.clone();
        if news {
            let report = self.report(&progress, reported, None, None);
            next.outbox.add(report, &self.keys.identity)?;
        }
        self.store(next)?;
        if news {
            self.tell(&progress, reported, None);
        }
        Ok(())
    }

    /// Ends a deployment: it is forgotten, and its end is reported.
    pub(crate) fn end(
        &mut self,
        component: &Component,
        state: Option<State>,
        reported: DeploymentState,
        code: Option<&str>,
        detail: Option<String>,
    ) -> Result<(), Error> {
        let mut next = self.record.clone();
        next.state = state.unwrap_or(next.state);
        let Some(progress) = next.underway.remove(component) else { return Ok(()) };
        let report = self.report(&progress, reported, code, detail);
        next.outbox.add(report, &self.keys.identity)?;
        self.store(next)?;
        self.forget(component);
        self.tell(&progress, reported, code);
        Ok(())
    }

    /// Forgets what was fetched for a component. It can be fetched again, so a failure is no more than
    /// lost space until the next time.
    pub(crate) fn forget(&mut self, component: &Component) {
        self.links.remove(component);
        self.order = None;
        self.download = None;
        if let Err(error) = self.parts.storage.cut_staged(0) {
            tracing::warn!(%error, "the staged bytes could not be removed");
        }
    }

    /// A report of this deployment, but for its counter.
    pub(crate) fn report(
        &self,
        progress: &Progress,
        state: DeploymentState,
        code: Option<&str>,
        detail: Option<String>,
    ) -> Report {
        let after = (state == DeploymentState::Succeeded).then(|| progress.artifact.version.clone());
        Report {
            device: self.enrolled.device,
            deployment: Some(progress.deployment),
            state,
            counter: 0,
            ticket: Some(progress.ticket),
            code: code.map(str::to_owned),
            detail,
            before: progress.before.clone(),
            after: after.or_else(|| progress.before.clone()),
            bytes: self.parts.storage.staged_bytes().unwrap_or(0),
            stored_seq: None,
            at: self.time().latest(),
        }
    }

    /// Sends what waits to be reported, oldest first. A report that the backend refuses is dropped: it
    /// would refuse it again.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        let mut most = 100;
        while let Some((reports, last)) = self.record.outbox.oldest(most) {
            let request = ReportsRequest { reports };
            match self.http.json::<ReportsResponse>(path::REPORTS, &request, Duration::ZERO).await {
                Ok(answer) => {
                    for error in answer.refused.iter().flatten() {
                        let (code, message) = (error.code.as_str(), &error.message);
                        tracing::warn!(code, message, "a report was refused");
                    }
                }
                // One among them cannot be read: it must not keep the others back.
                Err(Error::Backend { status: 400 | 409 | 413 | 422, .. }) if request.reports.len() > 1 => {
                    most = 1;
                    continue;
                }
                Err(Error::Backend { status: 400 | 409 | 413 | 422, error }) => {
                    tracing::warn!(
                        code = error.code.as_str(),
                        message = error.message,
                        "a report was refused"
                    );
                }
                Err(error) => return Err(error),
            }
            let mut next = self.record.clone();
            next.outbox.taken(last);
            self.store(next)?;
        }
        Ok(())
    }

    fn tell(&mut self, progress: &Progress, state: DeploymentState, code: Option<&str>) {
        self.observe(&Event::Deployment {
            deployment: progress.deployment,
            component: progress.artifact.component.clone(),
            version: progress.artifact.version.clone(),
            state,
            code: code.map(str::to_owned),
        });
    }

    /// Tells when the push stream opens, and when it is gone.
    pub(crate) fn listening(&mut self, open: bool) {
        if self.listening != open {
            self.listening = open;
            self.observe(&Event::Push { open });
        }
    }

    pub(crate) fn observe(&mut self, event: &Event) {
        tracing::info!(?event, "news");
        (self.parts.observer)(event);
    }

    /// Takes in components that were added since the device enrolled.
    fn fit(&mut self) -> Result<(), Error> {
        let mut next = self.record.clone();
        for (component, fitting) in &self.parts.components {
            if next.state.component(component).is_none() {
                next.state = next.state.with_component(component.clone(), fitting.state());
            }
        }
        if next.state == self.record.state { Ok(()) } else { self.store(next) }
    }

    /// Notes a start: software on trial that does not come to its confirmation in a few is given up.
    fn started(&mut self) -> Result<(), Error> {
        if self.record.underway.is_empty() && self.parts.storage.staged_bytes().is_ok_and(|bytes| bytes > 0) {
            self.parts.storage.cut_staged(0).map_err(Error::storage("remove the staged bytes"))?;
        }
        let mut next = self.record.clone();
        let booting = next.underway.values_mut().find(|progress| progress.stage.booting());
        let Some(progress) = booting else { return Ok(()) };
        progress.starts = progress.starts.saturating_add(1);
        self.store(next)
    }
}

impl Fitting {
    /// What a device remembers of the component before its first update.
    pub(crate) fn state(&self) -> ComponentState {
        let (confirmed, security_counter) = (self.version.clone(), self.security_counter);
        ComponentState { confirmed, security_counter, ..ComponentState::default() }
    }
}

/// Tells the backend, signed by the device, that its state is lost.
///
/// # Errors
/// The device is not enrolled, its keys are gone, or the network failed.
pub async fn report_loss(parts: &mut Parts) -> Result<(), Error> {
    let enrolled = Enrolled::load(&*parts.storage)?.ok_or(Error::NotEnrolled)?;
    let keys = Keys::load(&*parts.storage)?.ok_or(Error::NotEnrolled)?;
    let endpoint = enrolled.endpoint(&keys, parts.dial.clone(), parts.clock.clone())?;
    let report = record::loss(enrolled.device, parts.clock.now()).sign(&keys.identity)?;
    let request = ReportsRequest { reports: vec![report.into()] };
    let mut http = Http::new(endpoint);
    let mut backoff = Backoff::new(parts.pace.retry);
    for _ in 0..3 {
        match http.json::<ReportsResponse>(path::REPORTS, &request, Duration::ZERO).await {
            Err(error) if error.passes() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the loss is not reported yet");
                tokio::time::sleep(backoff.next(&mut *parts.random)).await;
            }
            ended => return ended.map(drop),
        }
    }
    Err(Error::answer("the loss of the state could not be reported"))
}

impl Status {
    /// What a device in this folder is doing, without disturbing it.
    ///
    /// # Errors
    /// It is not enrolled, its state is lost, or the folder is not readable for this user.
    pub fn read(storage: &dyn Storage) -> Result<Self, Error> {
        let enrolled = Enrolled::load(storage)?.ok_or(Error::NotEnrolled)?;
        let read = |copy| storage.read(Blob::State(copy)).map_err(Error::storage("read the stored state"));
        let content = crate::storage::newest(read(crate::Copy::First)?, read(crate::Copy::Second)?);
        let record = content.and_then(|(_, content)| Record::read(&crate::Loaded::Content(content)));
        let record = record.ok_or(Error::StateLost)?;
        let not_after = enrolled.certificate()?.certificate().not_after();
        Ok(Self::new(&enrolled, &record, not_after))
    }

    fn new(enrolled: &Enrolled, record: &Record, certificate_not_after: UnixTime) -> Self {
        let components = record.state.components().iter().map(|(name, state)| {
            let progress = record.underway.get(name);
            let now = ComponentNow {
                version: state.confirmed.clone(),
                security_counter: state.security_counter,
                deployment: progress.map(|progress| progress.deployment),
                next_version: progress.map(|progress| progress.artifact.version.clone()),
                state: progress.map(|progress| progress.reported),
            };
            (name.clone(), now)
        });
        Self {
            device: enrolled.device,
            address: enrolled.address.clone(),
            certificate_not_after,
            components: components.collect(),
            waiting_reports: record.outbox.len(),
        }
    }
}

impl Floor {
    pub(crate) const fn new(clock: Arc<dyn Clock>, floor: UnixTime) -> Self {
        Self { clock, floor: AtomicU64::new(floor.as_secs()) }
    }

    /// Time is never before `instant` from now on.
    pub(crate) fn raise(&self, instant: UnixTime) {
        self.floor.fetch_max(instant.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for Floor {
    fn now(&self) -> UnixTime {
        self.clock.now().max(UnixTime::from_secs(self.floor.load(Ordering::Relaxed)))
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.enrolled.device)
    }
}

impl std::fmt::Debug for Fitting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fitting({})", self.installer.name())
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("components", &self.components).finish_non_exhaustive()
    }
}
