//! Many simulated devices at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent::{EnrolmentToken, Event};
use hdrhistogram::Histogram;
use model::DeploymentState;
use serde::Serialize;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::SimDevice;

/// When devices come: an open loop, which does not wait for those that came before.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Arrivals {
    /// So many a second.
    pub per_second: f64,
}

/// What the fleet did so far.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Tally {
    /// Check-ins that were answered.
    pub check_ins: u64,
    /// Push streams that are open.
    pub listening: u64,
    /// Times that something did not get through, and was tried again.
    pub troubles: u64,
    /// Offers that a device refused, by the rule that they broke.
    pub refused: BTreeMap<String, u64>,
    /// Deployments by the state that they came to.
    pub reached: BTreeMap<String, u64>,
    /// What was tried against the backend and refused.
    pub repelled: BTreeMap<String, u64>,
    /// What was tried against the backend and let through: nothing, if it keeps its rules.
    pub let_through: BTreeMap<String, u64>,
    /// Devices that stopped, by the reason.
    pub stopped: BTreeMap<String, u64>,
    /// Ciphertext bytes that were staged and verified.
    pub staged_bytes: u64,
}

/// How long something took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// Half of them took no longer, in microseconds.
    pub p50_us: u64,
    /// Ninety of a hundred.
    pub p90_us: u64,
    /// Ninety-nine of a hundred.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What a fleet did, once it was stopped.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Report {
    /// In counts.
    pub tally: Tally,
    /// From a device's arrival to its first answered check-in.
    pub check_in: Latency,
    /// From the first byte staged to the last.
    pub download: Latency,
    /// From the first sign of a deployment to its success.
    pub update: Latency,
}

/// A fleet at work.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    devices: JoinSet<()>,
    cancel: CancellationToken,
    tally: watch::Receiver<Tally>,
}

#[derive(Debug)]
struct Shared {
    tally: watch::Sender<Tally>,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    check_in: Histogram<u64>,
    download: Histogram<u64>,
    update: Histogram<u64>,
}

impl Fleet {
    /// Enrols devices, a few at a time, each by its token.
    ///
    /// # Errors
    /// The first device that was refused; the others go on.
    pub async fn enrol(
        devices: &[Arc<SimDevice>],
        tokens: Vec<EnrolmentToken>,
        mut enrolled: impl FnMut(usize),
    ) -> Result<(), agent::Error> {
        let mut tasks = JoinSet::new();
        for (device, token) in devices.iter().zip(tokens) {
            let device = Arc::clone(device);
            tasks.spawn(async move { device.enrol(token).await.map(drop) });
        }
        let mut count = 0;
        while let Some(done) = tasks.join_next().await {
            done.unwrap_or(Err(agent::Error::NotEnrolled))?;
            count += 1;
            enrolled(count);
        }
        Ok(())
    }

    /// Switches devices on, one after the other.
    pub fn start(devices: Vec<Arc<SimDevice>>, arrivals: Arrivals) -> Self {
        let (sender, tally) = watch::channel(Tally::default());
        let shared = Arc::new(Shared { tally: sender, times: Mutex::new(Times::new()) });
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let begin = Instant::now();
        for (number, device) in devices.into_iter().enumerate() {
            let at = begin + Duration::from_secs_f64(number as f64 / arrivals.per_second.max(0.001));
            let (shared, cancel) = (Arc::clone(&shared), cancel.clone());
            tasks.spawn(async move {
                sleep_until(at).await;
                let watcher = Arc::clone(&shared);
                // Due times, not the times at which a busy machine got round to it.
                let (greet, greeted) = oneshot::channel();
                let mut seen =
                    Seen { arrived: at, first_bytes: None, began: None, greet: Some(greet), greeted: false };
                let run = device.run(cancel, Box::new(move |event| watcher.note(event, &mut seen)));
                // Whoever comes in its place comes after it was there once.
                let attack = async {
                    if greeted.await.is_ok() {
                        shared.attacked(&device.attack().await);
                    }
                };
                let (outcome, ()) = tokio::join!(run, attack);
                if let Err(error) = outcome {
                    shared.tally.send_modify(|tally| {
                        *tally.stopped.entry(error.code().as_str().to_owned()).or_default() += 1;
                    });
                }
            });
        }
        Self { shared, devices: tasks, cancel, tally }
    }

    /// What it did so far, as it changes.
    pub fn tally(&self) -> watch::Receiver<Tally> {
        self.tally.clone()
    }

    /// Switches all devices off.
    pub async fn stop(mut self) -> Report {
        self.cancel.cancel();
        while self.devices.join_next().await.is_some() {}
        let times = self.shared.times.lock().unwrap_or_else(PoisonError::into_inner);
        Report {
            tally: self.tally.borrow().clone(),
            check_in: Latency::of(&times.check_in),
            download: Latency::of(&times.download),
            update: Latency::of(&times.update),
        }
    }
}

/// What was seen of one device.
struct Seen {
    arrived: Instant,
    /// Told at its first check-in.
    greet: Option<oneshot::Sender<()>>,
    greeted: bool,
    began: Option<Instant>,
    first_bytes: Option<Instant>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most events need no counting, and more may come")]
impl Shared {
    /// An attack that could not be made counts as neither.
    fn attacked(&self, outcome: &std::io::Result<Option<(&'static str, bool)>>) {
        if let Ok(Some((what, refused))) = outcome {
            self.tally.send_modify(|tally| {
                let by = if *refused { &mut tally.repelled } else { &mut tally.let_through };
                *by.entry((*what).to_owned()).or_default() += 1;
            });
        }
    }

    fn note(&self, event: &Event, seen: &mut Seen) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::CheckedIn { .. } if !seen.greeted => {
                seen.greeted = true;
                if let Some(greet) = seen.greet.take() {
                    // Nobody may be waiting any more.
                    greet.send(()).ok();
                }
                record(&mut times.check_in, seen.arrived);
            }
            Event::Staged { bytes, total_bytes, .. } => {
                let from = *seen.first_bytes.get_or_insert_with(Instant::now);
                if bytes == total_bytes {
                    record(&mut times.download, from);
                    seen.first_bytes = None;
                }
            }
            Event::Deployment { state, .. } => {
                let from = *seen.began.get_or_insert_with(Instant::now);
                if *state == DeploymentState::Succeeded {
                    record(&mut times.update, from);
                }
                if state.ended() {
                    seen.began = None;
                }
            }
            _ => {}
        }
        drop(times);
        self.tally.send_modify(|tally| match event {
            Event::CheckedIn { .. } => tally.check_ins += 1,
            Event::Push { open: true } => tally.listening += 1,
            Event::Push { open: false } => tally.listening = tally.listening.saturating_sub(1),
            Event::Trouble { .. } => tally.troubles += 1,
            Event::Refused { code, .. } => *tally.refused.entry(code.clone()).or_default() += 1,
            Event::Deployment { state, .. } => {
                *tally.reached.entry(state.as_str().to_owned()).or_default() += 1;
            }
            Event::Staged { bytes, total_bytes, .. } if bytes == total_bytes => tally.staged_bytes += bytes,
            _ => {}
        });
    }
}

impl Times {
    fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds and three figures are possible")
        };
        Self { check_in: histogram(), download: histogram(), update: histogram() }
    }
}

impl Latency {
    fn of(times: &Histogram<u64>) -> Self {
        Self {
            count: times.len(),
            p50_us: times.value_at_quantile(0.5),
            p90_us: times.value_at_quantile(0.9),
            p99_us: times.value_at_quantile(0.99),
            max_us: times.max(),
        }
    }
}

/// What takes longer counts as this: a day, in microseconds.
const LONGEST_US: u64 = 86_400 * 1_000_000;

fn record(times: &mut Histogram<u64>, from: Instant) {
    let micros = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
    times.saturating_record(micros);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_is_reported_as_long_as_it_was() {
        let mut times = Times::new();
        let from = Instant::now();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        record(&mut times.check_in, from);
        let latency = Latency::of(&times.check_in);
        assert_eq!(latency.count, 1);
        assert!((1_500_000..=1_501_500).contains(&latency.p50_us), "{}", latency.p50_us);
    }
}
