//! Visits to several devices at once, each on a thread of its own, and what is told of them meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::bench::smp::{Cancel, Progress};
use model::UnixTime;
use protocol::ErrorCode;
use tokio::sync::Notify;

use crate::{
    App, Error,
    bench::find,
    command::{BenchStop, BenchUpdate, Handle},
    dto::{
        Done, PortName, ReceiptState, StepTime, UpdateDevices, VisitList, VisitLive, VisitReport, VisitRow,
        VisitStep,
    },
    job::{News, step, tell},
    vaults::blocking,
    visit::{Bench, Told},
};

/// So many devices at once.
const AT_ONCE: usize = 16;
/// How long to wait for a line that is being looked at.
const FREE: Duration = Duration::from_secs(5);
/// Over how long a speed is measured.
const PACE: Duration = Duration::from_secs(4);

impl Handle<BenchUpdate> for App {
    async fn handle(&self, request: UpdateDevices) -> Result<VisitList, Error> {
        let ports: BTreeSet<&str> = request.devices.iter().map(|device| device.line.port.as_str()).collect();
        if ports.len() != request.devices.len() || !(1..=AT_ONCE).contains(&ports.len()) {
            let many = format!("1 to {AT_ONCE} devices are updated at once, each at a port of its own");
            return Err(Error::new(ErrorCode::InvalidRequest, many));
        }
        let (session, vault) = (self.session().await?, self.unlocked()?);
        let mut bundles = BTreeMap::new();
        let mut files = Vec::with_capacity(request.devices.len());
        for device in &request.devices {
            let file = match &device.bundle {
                Some(file) => file.clone(),
                None => self.bundle_for(device).await?,
            };
            if !bundles.contains_key(&file) {
                bundles.insert(file.clone(), Arc::new(self.open_bundle(Path::new(&file), &session)?));
            }
            files.push(file);
        }
        let revoked = Arc::new(fs::read(self.workspace().file("revoked.cbor")).ok());
        let (send, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut visits = Vec::with_capacity(request.devices.len());
        for (at, device) in request.devices.into_iter().enumerate() {
            let (_, sighting) = find(&device.line)?;
            let cancel = Cancel::new();
            let bench = Bench {
                folder: self.workspace().file("bench"),
                vault: vault.clone(),
                session: Arc::clone(&session),
                identity: self.workspace().identity()?,
                now: self.now(),
                line: device.line,
                cancel: cancel.clone(),
            };
            let port = bench.line.port.clone();
            let live = Live::new(port.clone(), sighting.place.to_string(), self.now());
            let (lines, clock) = (Arc::clone(&self.lines), self.clock());
            let (bundle, revoked) = (Arc::clone(&bundles[&files[at]]), Arc::clone(&revoked));
            let (tell, end, stop) = (send.clone(), send.clone(), cancel.clone());
            let work = async move {
                let _line = lines.take(&port, stop).await?;
                blocking(move || {
                    let (file, opened) = &*bundle;
                    // Nobody may be listening any more.
                    let tell = |news| drop(tell.send((at, Heard::Told(news))));
                    bench.visit(file, opened, (*revoked).as_deref(), device.serial.as_ref(), &*clock, &tell)
                })
                .await
            };
            visits.push(Going { live, cancel, ended: None });
            tokio::spawn(async move { drop(end.send((at, Heard::Ended(Box::new(work.await))))) });
        }
        drop(send);
        for going in &visits {
            tell(News::Visit(going.live.shown.clone()));
        }
        while let Some((at, heard)) = told.recv().await {
            let going = &mut visits[at];
            match heard {
                Heard::Told(news) => {
                    going.live.hear(news);
                    tell(News::Visit(going.live.shown.clone()));
                }
                Heard::Ended(ended) => {
                    going.ended = Some(*ended);
                    tell(News::Visited(going.live.shown.place.clone(), Box::new(going.row())));
                }
            }
            let (done, total) = visits.iter().fold((0, 0), |(done, total), going| {
                (done + going.live.shown.done_bytes, total + going.live.shown.total_bytes)
            });
            if step("visits on the bench", done, total).is_err() {
                visits.iter().for_each(|going| going.cancel.cancel());
            }
        }
        // At once, if the backend is within reach; otherwise at the next sync.
        let home = self.hand_in_receipts().await.is_ok_and(|queue| queue.waiting == 0);
        if let [Going { ended: Some(Err(error)), .. }] = visits.as_slice() {
            return Err(error.clone());
        }
        let mut rows: Vec<VisitRow> = visits.iter().map(Going::row).collect();
        for report in rows.iter_mut().filter_map(|row| row.report.as_mut()).filter(|_| home) {
            report.receipt = ReceiptState::HandedIn;
        }
        Ok(VisitList { rows })
    }
}

impl Handle<BenchStop> for App {
    async fn handle(&self, request: PortName) -> Result<Done, Error> {
        if self.lines.stop(&request.port) {
            return Ok(Done {});
        }
        Err(Error::new(ErrorCode::NotFound, format!("no visit goes on at `{}`", request.port)))
    }
}

/// What comes from the thread of a visit.
enum Heard {
    Told(Told),
    Ended(Box<Result<VisitReport, Error>>),
}

/// A visit that was begun.
struct Going {
    live: Live,
    cancel: Cancel,
    ended: Option<Result<VisitReport, Error>>,
}

impl Going {
    fn row(&self) -> VisitRow {
        let ended = self.ended.clone();
        let ended =
            ended.unwrap_or_else(|| Err(Error::new(ErrorCode::Internal, "the visit stopped unexpectedly")));
        let (report, error) = match ended {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error.body().clone())),
        };
        VisitRow { port: self.live.shown.port.clone(), report, error }
    }
}

/// A visit as it is shown, and what its speed is measured by.
struct Live {
    shown: VisitLive,
    began: Instant,
    overwrites: bool,
    pace: VecDeque<(Duration, u64)>,
}

impl Live {
    fn new(port: String, place: String, now: UnixTime) -> Self {
        let shown = VisitLive {
            port,
            place,
            serial: None,
            version: None,
            step: VisitStep::Verify,
            took: Vec::new(),
            done_bytes: 0,
            total_bytes: 0,
            bytes_per_second: None,
            seconds_left: None,
            do_not_unplug: false,
            waiting: false,
            began_at: now,
        };
        Self { shown, began: Instant::now(), overwrites: false, pace: VecDeque::new() }
    }

    fn hear(&mut self, news: Told) {
        let shown = &mut self.shown;
        match news {
            Told::Guest(serial, version) => {
                (shown.serial, shown.version) = (Some(serial), Some(version));
            }
            Told::Step(step) => {
                shown.waiting = false;
                if step != shown.step {
                    let took = std::mem::replace(&mut self.began, Instant::now()).elapsed();
                    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    shown.took.retain(|time| time.step != shown.step);
                    shown.took.push(StepTime { step: shown.step, milliseconds });
                    shown.step = step;
                }
                self.pace.clear();
            }
            Told::Overwrites(running) => self.overwrites = running,
            Told::Progress(progress) => {
                shown.waiting = false;
                (shown.done_bytes, shown.total_bytes) = (progress.done_bytes, progress.total_bytes);
                self.measure(progress);
            }
            // One that boots is gone for a while, as it should be.
            Told::Waiting => shown.waiting = shown.step != VisitStep::TrialBoot,
        }
        let shown = &mut self.shown;
        if shown.step != VisitStep::Upload || shown.waiting {
            (shown.bytes_per_second, shown.seconds_left) = (None, None);
        }
        shown.do_not_unplug = self.overwrites && shown.step == VisitStep::Upload && !shown.waiting;
    }

    fn measure(&mut self, now: Progress) {
        if self.pace.back().is_some_and(|(_, done)| *done > now.done_bytes) {
            self.pace.clear();
        }
        self.pace.push_back((now.at, now.done_bytes));
        while self.pace.front().is_some_and(|(at, _)| now.at.saturating_sub(*at) > PACE) {
            self.pace.pop_front();
        }
        let Some((at, done)) = self.pace.front() else { return };
        let (took, bytes) = (now.at.saturating_sub(*at).as_millis(), u128::from(now.done_bytes - done));
        // Of less than this nothing can be said.
        if took < 500 || bytes == 0 {
            return;
        }
        let speed = u64::try_from(bytes * 1000 / took).unwrap_or(u64::MAX).max(1);
        self.shown.bytes_per_second = Some(speed);
        self.shown.seconds_left = Some((now.total_bytes - now.done_bytes).div_ceil(speed));
    }
}

/// The lines that are in use, and what stops the visit on each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    used: Mutex<HashMap<String, Option<Cancel>>>,
    freed: Notify,
}

/// A line, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse {
    lines: Arc<Lines>,
    port: String,
}

impl Lines {
    /// A line to look at what is there, if nobody else has it.
    pub(crate) fn try_take(self: &Arc<Self>, port: &str) -> Option<InUse> {
        self.claim(port, None)
    }

    /// A line for a visit, as soon as nobody else looks at it.
    async fn take(self: &Arc<Self>, port: &str, cancel: Cancel) -> Result<InUse, Error> {
        let free = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                match self.claim(port, Some(&cancel)) {
                    Some(line) => return line,
                    None => freed.await,
                }
            }
        };
        tokio::time::timeout(FREE, free).await.map_err(|_| {
            Error::new(ErrorCode::Busy, format!("`{port}` is in use"))
                .hint("a visit goes on there: wait for it, or stop it")
        })
    }

    fn claim(self: &Arc<Self>, port: &str, cancel: Option<&Cancel>) -> Option<InUse> {
        let mut used = self.used();
        if used.contains_key(port) {
            return None;
        }
        used.insert(port.to_owned(), cancel.cloned());
        Some(InUse { lines: Arc::clone(self), port: port.to_owned() })
    }

    fn stop(&self, port: &str) -> bool {
        match self.used().get(port) {
            Some(Some(cancel)) => {
                cancel.cancel();
                true
            }
            Some(None) | None => false,
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<String, Option<Cancel>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.lines.used().remove(&self.port);
        self.lines.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live::new("/dev/ttyACM0".into(), "usb-1-4".into(), UnixTime::EPOCH)
    }

    fn progress(milliseconds: u64, done_bytes: u64) -> Told {
        Told::Progress(Progress { done_bytes, total_bytes: 100_000, at: Duration::from_millis(milliseconds) })
    }

    #[test]
    fn a_cable_must_stay_only_while_what_runs_is_overwritten() {
        let mut live = live();
        live.hear(Told::Step(VisitStep::Upload));
        live.hear(Told::Overwrites(false));
        live.hear(progress(0, 10));
        assert!(!live.shown.do_not_unplug, "the spare slot alone is written");
        live.hear(Told::Overwrites(true));
        assert!(live.shown.do_not_unplug);
        live.hear(Told::Waiting);
        assert!(!live.shown.do_not_unplug && live.shown.waiting, "it is unplugged already");
        live.hear(Told::Step(VisitStep::Upload));
        assert!(live.shown.do_not_unplug && !live.shown.waiting);
        live.hear(Told::Step(VisitStep::TrialBoot));
        assert!(!live.shown.do_not_unplug);
        live.hear(Told::Waiting);
        assert!(!live.shown.waiting, "it boots");
    }

    #[test]
    fn speed_and_time_left_are_those_of_the_last_seconds() {
        let mut live = live();
        live.hear(Told::Step(VisitStep::Upload));
        live.hear(progress(0, 0));
        assert_eq!(live.shown.bytes_per_second, None, "of one moment nothing can be said");
        // Slow at first, ten times as fast later.
        for second in 1..=5 {
            live.hear(progress(second * 1000, second * 1000));
        }
        assert_eq!(live.shown.bytes_per_second, Some(1000));
        for second in 1..=5 {
            live.hear(progress(5000 + second * 1000, 5000 + second * 10_000));
        }
        assert_eq!((live.shown.bytes_per_second, live.shown.seconds_left), (Some(10_000), Some(5)));
        // From the beginning again: what was measured before says nothing.
        live.hear(progress(11_000, 0));
        live.hear(progress(12_000, 2000));
        assert_eq!((live.shown.bytes_per_second, live.shown.seconds_left), (Some(2000), Some(49)));
        live.hear(Told::Step(VisitStep::TrialBoot));
        assert_eq!((live.shown.bytes_per_second, live.shown.seconds_left), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_has_one_user_at_a_time_and_only_a_visit_can_be_stopped() {
        let lines = Arc::new(Lines::default());
        let look = lines.try_take("a").unwrap();
        assert!(lines.try_take("a").is_none() && lines.try_take("b").is_some());
        assert!(!lines.stop("a"), "a look is no visit");
        let cancel = Cancel::new();
        let (visit, ()) = tokio::join!(lines.take("a", cancel.clone()), async { drop(look) });
        let visit = visit.unwrap();
        assert_eq!(lines.take("a", Cancel::new()).await.unwrap_err().code(), ErrorCode::Busy);
        assert!(lines.stop("a") && cancel.is_canceled());
        drop(visit);
        assert!(!lines.stop("a"));
    }
}
