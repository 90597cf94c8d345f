use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use envelope::{EnrolmentToken, SystemRandom};
use model::{DeploymentState, Digest, InstallerName, SecurityCounter};

use super::{
    backend::{Backend, StoppedClock, Wire},
    fleet::{Fleet, NOW, Release},
};
use crate::{
    Artifact, Blob, Boot, Content, Device, Error, Event, Exit, Fitting, InstallError, Installer,
    MemoryStorage, Pace, Parts, Pending, Settings, Storage, Trial,
};

/// What keeps a device going, and fails after a number of operations of its disk and its board.
#[derive(Clone, Debug)]
pub(super) struct Power {
    left: Arc<AtomicI64>,
    /// Whether the operation in which the power fails is done all the same.
    done: bool,
}

impl Power {
    pub(super) fn steady() -> Self {
        Self { left: Arc::new(AtomicI64::new(i64::MAX)), done: false }
    }

    pub(super) fn fails_after(operations: i64, done: bool) -> Self {
        Self { left: Arc::new(AtomicI64::new(operations)), done }
    }

    pub(super) fn failed(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    fn operation<T>(&self, act: impl FnOnce() -> T) -> io::Result<T> {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        let done = (left > 0 || left == 0 && self.done).then(act);
        done.filter(|_| left > 0).ok_or_else(|| io::Error::other("the power failed"))
    }
}

/// A disk that the power fails under.
pub(super) struct Disk {
    pub(super) memory: MemoryStorage,
    pub(super) power: Power,
}

impl Storage for Disk {
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>> {
        self.memory.read(blob)
    }

    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()> {
        let memory = &mut self.memory;
        self.power.operation(|| memory.write(blob, content))?
    }

    fn remove(&mut self, blob: Blob) -> io::Result<()> {
        let memory = &mut self.memory;
        self.power.operation(|| memory.remove(blob))?
    }

    fn staged_bytes(&self) -> io::Result<u64> {
        self.memory.staged_bytes()
    }

    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read_staged(offset, buffer)
    }

    fn stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        let memory = &mut self.memory;
        self.power.operation(|| memory.stage(bytes))?
    }

    fn sync_staged(&mut self) -> io::Result<()> {
        let memory = &mut self.memory;
        self.power.operation(|| memory.sync_staged())?
    }

    fn cut_staged(&mut self, length: u64) -> io::Result<()> {
        let memory = &mut self.memory;
        self.power.operation(|| memory.cut_staged(length))?
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.memory.free_bytes()
    }
}

/// Two slots and a boot loader that tries new software once.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) slots: [Option<Digest>; 2],
    pub(super) booted: usize,
    pub(super) permanent: usize,
    trial: Option<(Digest, usize)>,
    tries_left: u8,
    /// Whether new software takes a boot of the machine.
    pub(super) boots: bool,
    pub(super) healthy: bool,
    pub(super) refuses: bool,
    /// Artifacts that were written to their end.
    pub(super) installs: u32,
    pub(super) confirms: u32,
}

impl Board {
    pub(super) fn new(boots: bool) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            slots: [None; 2],
            booted: 0,
            permanent: 0,
            trial: None,
            tries_left: 0,
            boots,
            healthy: true,
            refuses: false,
            installs: 0,
            confirms: 0,
        }))
    }

    pub(super) fn runs(&self) -> Option<Digest> {
        self.slots[self.booted]
    }

    /// The machine boots: new software once, then what is permanent.
    pub(super) fn boot(&mut self) {
        self.booted = match self.trial {
            Some((_, slot)) if self.tries_left > 0 => {
                self.tries_left -= 1;
                slot
            }
            Some(_) | None => self.permanent,
        };
    }

    /// After a power cut: a machine that boots into its software does so; other software goes on.
    pub(super) fn boot_if(&mut self, boots: bool) {
        if boots {
            self.boot();
        }
    }

    fn stands(&self, artifact: &Artifact) -> Trial {
        match self.trial {
            Some((digest, slot)) if digest == artifact.digest && self.booted == slot => Trial::Running,
            Some((digest, _)) if digest == artifact.digest && self.tries_left == 0 => Trial::FellBack,
            Some(_) | None => Trial::NotStarted,
        }
    }
}

/// The way into the board.
pub(super) struct BoardInstaller {
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) power: Power,
}

impl BoardInstaller {
    fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Board) -> Result<T, InstallError> + Send,
    ) -> Pending<'static, Result<T, InstallError>> {
        let board: MutexGuard<'_, Board> = self.board.lock().unwrap();
        let mut board = board;
        let result = match self.power.operation(|| act(&mut board)) {
            Ok(result) => result,
            Err(source) => Err(InstallError::Disk { action: "reach the board", source }),
        };
        Box::pin(std::future::ready(result))
    }
}

impl Installer for BoardInstaller {
    fn name(&self) -> InstallerName {
        "board".parse().unwrap()
    }

    fn install<'a>(
        &'a mut self,
        artifact: &'a Artifact,
        content: &'a mut dyn Content,
    ) -> Pending<'a, Result<(), InstallError>> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().unwrap() {
            bytes.extend_from_slice(piece);
        }
        assert_eq!(envelope::sha256(&bytes), artifact.digest, "the installer is fed what was signed");
        self.act(|board| {
            if board.refuses {
                return Err(InstallError::Setup { reason: "the signature is not ours".into() });
            }
            board.slots[1 - board.booted] = Some(artifact.digest);
            board.trial = None;
            board.installs += 1;
            Ok(())
        })
    }

    fn start_trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        self.act(|board| {
            board.trial = Some((artifact.digest, 1 - board.permanent));
            board.tries_left = 1;
            if board.boots {
                return Ok(Boot::Restarting);
            }
            board.booted = 1 - board.permanent;
            Ok(Boot::Running)
        })
    }

    fn trial<'a>(&'a mut self, artifact: &'a Artifact) -> Pending<'a, Result<Trial, InstallError>> {
        self.act(|board| Ok(board.stands(artifact)))
    }

    fn check<'a>(&'a mut self, _artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        self.act(|board| {
            let ill = || InstallError::Setup { reason: "the self-test fails".into() };
            board.healthy.then_some(()).ok_or_else(ill)
        })
    }

    fn confirm<'a>(&'a mut self, _artifact: &'a Artifact) -> Pending<'a, Result<(), InstallError>> {
        self.act(|board| {
            board.permanent = board.booted;
            board.trial = None;
            board.confirms += 1;
            Ok(())
        })
    }

    fn roll_back<'a>(&'a mut self, _artifact: &'a Artifact) -> Pending<'a, Result<Boot, InstallError>> {
        self.act(|board| {
            board.tries_left = 0;
            if board.boots && board.booted != board.permanent {
                return Ok(Boot::Restarting);
            }
            board.booted = board.permanent;
            board.trial = None;
            Ok(Boot::Running)
        })
    }
}

/// A device on a bench: its disk and board stay when the device goes.
pub(super) struct Rig {
    pub(super) backend: Arc<Backend>,
    pub(super) disk: MemoryStorage,
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) clock: Arc<StoppedClock>,
    pub(super) settings: Settings,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    /// A device that runs 1.0.0 and is enrolled, and a backend that knows `releases`.
    pub(super) async fn new(boots: bool, releases: &[&Release]) -> Self {
        let rig = Self::blank(boots, releases);
        let token = rig.token();
        crate::enrol(Some(token), &settings(), &mut rig.parts(&Power::steady())).await.unwrap();
        rig
    }

    /// A device that is not enrolled yet.
    pub(super) fn blank(boots: bool, releases: &[&Release]) -> Self {
        let fleet = Arc::new(Fleet::new());
        let backend = Backend::new(&fleet, fleet.repository(releases));
        Self {
            backend,
            disk: MemoryStorage::new(),
            board: Board::new(boots),
            clock: StoppedClock::at(NOW),
            settings: settings(),
            events: Arc::default(),
        }
    }

    /// The same device at an earlier time: what it does leaves this one as it is.
    pub(super) fn fork(&self, boots: bool) -> Self {
        let repository = self.backend.world().repository.clone();
        Self {
            backend: self.backend.fork(repository),
            disk: self.disk.fork(),
            board: Board::new(boots),
            clock: StoppedClock::at(NOW),
            settings: self.settings.clone(),
            events: Arc::default(),
        }
    }

    pub(super) fn token(&self) -> EnrolmentToken {
        let mut world = self.backend.world();
        let token = self.backend.fleet.token(&world.repository);
        world.token = Some((token.id, *token.secret.as_bytes()));
        token
    }

    pub(super) fn parts(&self, power: &Power) -> Parts {
        let installer = BoardInstaller { board: Arc::clone(&self.board), power: power.clone() };
        let fitting = Fitting {
            installer: Box::new(installer),
            version: "1.0.0".parse().ok(),
            security_counter: SecurityCounter(1),
        };
        let events = Arc::clone(&self.events);
        Parts {
            storage: Box::new(Disk { memory: self.disk.clone(), power: power.clone() }),
            components: BTreeMap::from([("app".parse().unwrap(), fitting)]),
            dial: Arc::new(Wire(Arc::clone(&self.backend))),
            clock: self.clock.clone(),
            random: Box::new(SystemRandom),
            observer: Box::new(move |event| events.lock().unwrap().push(event.clone())),
            pace: Pace::default(),
        }
    }

    pub(super) fn open(&self, power: &Power) -> Result<Device, Error> {
        Device::open(self.settings.clone(), self.parts(power))
    }

    /// Runs the device, through all the boots that it asks for, until `done` or the power fails.
    pub(super) async fn run_until(&self, power: &Power, mut done: impl FnMut(&Self) -> bool) {
        // Asked whenever the device wakes, and every now and then; time is virtual, and passes as fast as
        // everybody waits.
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let mut over = std::pin::pin!(std::future::poll_fn(move |context| {
            while tick.poll_tick(context).is_ready() {}
            if done(self) || power.failed() { Poll::Ready(()) } else { Poll::Pending }
        }));
        loop {
            let Ok(mut device) = self.open(power) else {
                assert!(power.failed(), "the device does not open");
                return;
            };
            match device.run(over.as_mut()).await {
                Ok(Exit::Canceled) => return,
                Ok(Exit::Restart) => self.board.lock().unwrap().boot(),
                Err(error) => panic!("the device stopped: {error}"),
            }
        }
    }

    /// Runs until the backend heard how a deployment ended, and has nothing on offer.
    pub(super) async fn settle(&self) -> DeploymentState {
        self.run_until(&Power::steady(), Self::settled).await;
        self.backend.reported().last().unwrap().0
    }

    pub(super) fn settled(&self) -> bool {
        let world = self.backend.world();
        world.offers.is_empty()
            && world.reports.values().next_back().is_some_and(|report| report.state.ended())
    }

    /// The version and security counter that the device holds confirmed.
    pub(super) fn confirmed(&self) -> (String, u32) {
        let status = crate::Status::read(&self.disk).unwrap();
        let now = &status.components[&"app".parse().unwrap()];
        (now.version.as_ref().unwrap().to_string(), now.security_counter.0)
    }

    pub(super) fn requested(&self, path: &str) -> usize {
        self.backend.world().requests.iter().filter(|request| request.starts_with(path)).count()
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        model: "press-4".parse().unwrap(),
        hardware_revision: "b".parse().unwrap(),
        serial: "P4-1".parse().ok(),
        own_clock: true,
        built_at: NOW,
    }
}
