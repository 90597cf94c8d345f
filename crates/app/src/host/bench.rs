//! The bench as a desktop watches it: what is plugged in where, who that is, what goes on with it. Ports are
//! opened only while somebody looks at the bench.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Host, Open,
    event::{Hub, List},
    registry::WorkspaceKind,
    table::BenchPlaces,
};
use crate::{
    Error,
    bench::{BAUD, Recognized, row, sightings},
    command::Handle,
    dto::{
        BenchDevice, BenchIdentity, BenchPlace, BenchPort, BenchPorts, Page, PlaceState, VisitLive, VisitRow,
    },
    vaults::blocking,
    visit::version_of,
};

/// How often the system is asked what is plugged in.
const LOOK: Duration = Duration::from_millis(500);
/// How long after the last time that somebody looked at the bench it is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How long after nobody answered it is asked again.
const AGAIN: Duration = Duration::from_secs(3);
/// How often the backend is asked for a bundle for a device.
const FETCH: Duration = Duration::from_secs(15);

/// What is known of the bench.
#[derive(Debug, Default)]
pub(crate) struct Bench(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Until when it is watched; none while nobody does.
    until: Option<Instant>,
    /// In which workspace.
    workspace: String,
    /// Ports to look at beside those that the system lists.
    also: BTreeSet<String>,
    /// Simulated boards, which are there in training alone.
    training: Vec<String>,
    places: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    place: BenchPlace,
    ask: Ask,
    /// When the backend is asked for a bundle for it.
    fetch: Instant,
}

/// What is to be done after a look at what is plugged in.
struct Met {
    /// Place and port of devices to be asked who they are.
    ask: Vec<(String, String)>,
    /// Numbers of devices that the backend may have a bundle for.
    fetch: Vec<String>,
    changed: bool,
}

/// When a device is asked who it is.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Ask {
    /// As soon as its line is free.
    Now,
    /// It is being asked.
    Asked,
    /// It said so.
    Known,
    /// It did not.
    At(Instant),
}

impl Handle<BenchPlaces> for Host {
    async fn handle(&self, request: BenchPorts) -> Result<Page<BenchPlace>, Error> {
        let open = self.open_workspace()?;
        if self.bench.look(request.ports, &open)
            && let Some(host) = self.me.upgrade()
        {
            tokio::spawn(async move { watch(&host).await });
        }
        let mut rows = self.bench.rows();
        for place in &mut rows {
            let Some(inventory) = &place.inventory else { continue };
            let Some(serial) = &inventory.hardware_id else { continue };
            let active = inventory.slots.iter().find(|slot| slot.active);
            let runs = active.and_then(|slot| version_of(&slot.version));
            place.offer = open.app.offer(serial, runs.as_ref()).await;
        }
        Ok(Page { rows, next: None })
    }
}

/// Watches until nobody looks at the bench any more.
async fn watch(host: &Arc<Host>) {
    while !host.stop.is_cancelled() && host.bench.is_looked_at() {
        let ports = host.bench.ports();
        let found = blocking(move || sightings(&ports, BAUD)).await;
        if let (Ok(found), Ok(open)) = (found, host.open_workspace()) {
            let met = host.bench.meet(found.iter().map(row).collect());
            for place in met.ask {
                tokio::spawn(ask(Arc::clone(host), open.clone(), place));
            }
            for serial in met.fetch {
                tokio::spawn(fetch(Arc::clone(host), open.clone(), serial));
            }
            if met.changed {
                host.hub.list(List::Bench);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = host.stop.cancelled() => {}
        }
    }
}

/// Asks the device at this place who it is.
async fn ask(host: Arc<Host>, open: Open, (place, port): (String, String)) {
    let Some(line) = open.app.lines.try_take(&port) else { return host.bench.put_off(&place) };
    let began = Instant::now();
    let said = open.app.recognize(BenchPort { port, baud: None, raw: false }).await;
    drop(line);
    host.bench.said(&place, said, began.elapsed());
    host.hub.list(List::Bench);
}

/// Keeps what the backend has for a device. Without a network, what is kept is what there is.
async fn fetch(host: Arc<Host>, open: Open, serial: String) {
    match open.app.fetch_for(&serial).await {
        Ok(Some(_)) => host.hub.list(List::Bench),
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, serial, "no bundle was fetched"),
    }
}

impl Bench {
    /// The simulated boards that are there in training.
    pub(crate) fn train(&self, ports: Vec<String>) {
        self.state().training = ports;
    }

    /// A visit went on.
    pub(crate) fn visit(&self, visit: VisitLive, hub: &Hub) {
        if let Some(known) = self.state().places.get_mut(&visit.place) {
            let new = known.place.state != PlaceState::Visiting;
            known.place.state = PlaceState::Visiting;
            known.place.visit = Some(visit.clone());
            if new {
                known.place.last = None;
                hub.list(List::Bench);
            }
        }
        hub.visit(visit);
    }

    /// A visit ended: what is there now is asked anew.
    pub(crate) fn visited(&self, place: &str, row: VisitRow, hub: &Hub) {
        if let Some(known) = self.state().places.get_mut(place) {
            known.place.state = PlaceState::Looking;
            known.place.visit = None;
            known.place.last = Some(row);
            known.ask = Ask::Now;
        }
        hub.list(List::Bench);
    }

    /// Somebody looks at the bench; whether a watch has to begin.
    fn look(&self, ports: Vec<String>, open: &Open) -> bool {
        let mut state = self.state();
        if state.workspace != open.entry.name {
            // A visit that goes on is shown where it was asked for.
            state.places.clear();
            state.workspace.clone_from(&open.entry.name);
        }
        state.also = ports.into_iter().collect();
        if open.entry.kind == WorkspaceKind::Training {
            let training = state.training.clone();
            state.also.extend(training);
        }
        state.until.replace(Instant::now() + WATCHED).is_none()
    }

    fn is_looked_at(&self) -> bool {
        let mut state = self.state();
        let visiting = state.places.values().any(|known| known.place.visit.is_some());
        let looked_at = visiting || state.until.is_some_and(|until| Instant::now() < until);
        if !looked_at {
            state.until = None;
            state.places.clear();
        }
        looked_at
    }

    fn ports(&self) -> Vec<String> {
        self.state().also.iter().cloned().collect()
    }

    fn rows(&self) -> Vec<BenchPlace> {
        self.state().places.values().map(|known| known.place.clone()).collect()
    }

    /// What is plugged in now, and what is to be done about it.
    fn meet(&self, found: Vec<BenchDevice>) -> Met {
        let mut state = self.state();
        let there: BTreeSet<&str> = found.iter().map(|device| device.place.as_str()).collect();
        let before = state.places.len();
        // A device that a visit waits for is shown all the same.
        state.places.retain(|place, known| there.contains(place.as_str()) || known.place.visit.is_some());
        let mut changed = state.places.len() != before;
        for device in found {
            let known = state.places.get_mut(&device.place);
            match known {
                Some(known) if known.place.device == device || known.place.visit.is_some() => {}
                Some(_) | None => {
                    changed = true;
                    state.places.insert(device.place.clone(), Known::new(device));
                }
            }
        }
        let now = Instant::now();
        let mut met = Met { ask: Vec::new(), fetch: Vec::new(), changed };
        for (place, known) in &mut state.places {
            let serial = known.place.inventory.as_ref().and_then(|inventory| inventory.hardware_id.clone());
            if let Some(serial) = serial.filter(|_| known.ask == Ask::Known && known.fetch <= now) {
                known.fetch = now + FETCH;
                met.fetch.push(serial);
            }
            let wanted = match known.ask {
                Ask::Now => true,
                Ask::At(at) => at <= now,
                Ask::Asked | Ask::Known => false,
            };
            if wanted && known.place.visit.is_none() {
                known.ask = Ask::Asked;
                met.ask.push((place.clone(), known.place.device.port.clone()));
            }
        }
        met
    }

    fn put_off(&self, place: &str) {
        if let Some(known) = self.state().places.get_mut(place) {
            known.ask = Ask::Now;
        }
    }

    fn said(&self, place: &str, said: Result<Recognized, Error>, took: Duration) {
        let mut state = self.state();
        let Some(known) = state.places.get_mut(place) else { return };
        if known.place.visit.is_some() {
            known.ask = Ask::Now;
            return;
        }
        match said {
            Ok(said) => {
                known.ask = Ask::Known;
                known.place.state = PlaceState::Recognized;
                known.place.recognized_ms = u64::try_from(took.as_millis()).ok();
                known.place.inventory = Some(said.inventory);
                known.place.identity = said.identity;
                known.place.error = None;
            }
            Err(error) => {
                known.ask = Ask::At(Instant::now() + AGAIN);
                known.place.state = PlaceState::Silent;
                known.place.inventory = None;
                known.place.error = Some(error.body().clone());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new(device: BenchDevice) -> Self {
        let place = BenchPlace {
            device,
            state: PlaceState::Looking,
            recognized_ms: None,
            inventory: None,
            identity: BenchIdentity::Unknown,
            offer: None,
            visit: None,
            last: None,
            error: None,
        };
        Self { place, ask: Ask::Now, fetch: Instant::now() }
    }
}
