use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent::{
    Blob, Device, EnrolmentToken, Error, Event, Exit, Fitting, MemoryStorage, Pace, Parts, Settings, Storage,
    SystemClock, SystemRandom,
};
use model::{
    Component, DeploymentState, DeviceId, HardwareRevision, InstallerName, ModelName, SecurityCounter,
    Serial, UnixTime, Version,
};
use protocol::{
    Base64,
    device::{CheckInRequest, path},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Fault, Intruder, SimInstaller,
    intruder::is_refusal,
    line::{Gate, Line, Trap},
};

/// What a simulated device is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its label.
    pub serial: Serial,
    /// Its product type.
    pub model: ModelName,
    /// The revision of its hardware.
    pub hardware_revision: HardwareRevision,
    /// Its one component.
    pub component: Component,
    /// Which installer that has.
    pub installer: InstallerName,
    /// What runs in it.
    pub version: Version,
    /// The security counter of that.
    pub security_counter: SecurityCounter,
    /// What goes wrong.
    pub fault: Fault,
    /// How long a boot takes.
    pub boots_in: Duration,
}

/// A simulated device: its disk outlives its runs, so it can be switched off and on again.
#[derive(Debug)]
pub struct SimDevice {
    plan: Plan,
    storage: MemoryStorage,
    trap: Trap,
    gate: Gate,
    pushed: Arc<AtomicBool>,
}

/// Told of what happens on a device.
pub(crate) type Observer = Box<dyn FnMut(&Event) + Send>;

impl SimDevice {
    /// A device fresh from the line: without keys.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            storage: MemoryStorage::new(),
            trap: Trap::default(),
            gate: Gate::new(),
            pushed: Arc::default(),
        }
    }

    /// What it is.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its disk.
    pub fn storage(&self) -> MemoryStorage {
        self.storage.clone()
    }

    /// The same device with another disk: a copy of it, or what an intruder made of it.
    #[must_use]
    pub fn with_storage(mut self, storage: MemoryStorage) -> Self {
        self.storage = storage;
        self
    }

    /// Whether its line was cut, or altered a byte, as its fault has it.
    pub fn line_failed(&self) -> bool {
        self.trap.sprung()
    }

    /// Whether the last offer that reached it was pushed, and not asked for.
    pub fn was_pushed_to(&self) -> bool {
        self.pushed.load(Ordering::Relaxed)
    }

    /// Enrols by a one-time token.
    ///
    /// # Errors
    /// As [`agent::enrol`].
    pub async fn enrol(&self, token: EnrolmentToken) -> Result<DeviceId, Error> {
        let mut parts = self.parts(Box::new(|_| ()));
        agent::enrol(Some(token), &self.settings(), &mut parts).await
    }

    /// Runs until `cancel`, restarting when its installer asks for it.
    ///
    /// # Errors
    /// As [`Device::run`].
    pub async fn run(&self, cancel: CancellationToken, observer: Observer) -> Result<(), Error> {
        let mut observer = observer;
        let mut lapses = if let Fault::LinkLapses { milliseconds } = self.plan.fault {
            Some(Duration::from_millis(milliseconds.into()))
        } else {
            None
        };
        let (trap, gate, pushed) = (self.trap.clone(), self.gate.clone(), Arc::clone(&self.pushed));
        let mut parts = self.parts(Box::new(move |event| {
            if matches!(event, Event::Deployment { state: DeploymentState::Downloading, .. }) {
                trap.set();
            }
            if let Event::Pushed { .. } | Event::CheckedIn { offers: 1.., .. } = event {
                pushed.store(matches!(event, Event::Pushed { .. }), Ordering::Relaxed);
            }
            if let (Event::Deployment { .. }, Some(pause)) = (event, lapses) {
                lapses = None;
                gate.close();
                let gate = gate.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    gate.open();
                });
            }
            observer(event);
        }));
        loop {
            let mut device = Device::open(self.settings(), parts)?;
            match device.run(cancel.cancelled()).await? {
                Exit::Canceled => return Ok(()),
                Exit::Restart => parts = device.into_parts(),
            }
        }
    }

    /// Does to the backend what its fault has somebody do: what that was, and whether it was refused.
    ///
    /// # Errors
    /// The device is not enrolled, so that there is nothing to copy; or no answer came, so that nobody knows.
    pub async fn attack(&self) -> io::Result<Option<(&'static str, bool)>> {
        let replayed = CheckInRequest { counter: 0, nonce: Base64(vec![7; 16]), components: Vec::new() };
        let replayed = serde_json::to_vec(&replayed).map_err(io::Error::other)?;
        let (name, intruder) = match self.plan.fault {
            Fault::ForeignCertificate => ("foreign_certificate", Intruder::stranger(&self.storage)?),
            Fault::Replay => ("replay", Intruder::with_disk_of(&self.storage)?),
            Fault::None
            | Fault::Slow { .. }
            | Fault::CutOff { .. }
            | Fault::Garbled { .. }
            | Fault::LinkLapses { .. }
            | Fault::TrialFails
            | Fault::StagedBitFlips => return Ok(None),
        };
        let refused = match intruder.post(path::CHECK_IN, &replayed).await {
            Ok(answer) => (400..500).contains(&answer.status),
            Err(error) if is_refusal(&error) => true,
            Err(error) => return Err(error),
        };
        Ok(Some((name, refused)))
    }

    fn settings(&self) -> Settings {
        Settings {
            model: self.plan.model.clone(),
            hardware_revision: self.plan.hardware_revision.clone(),
            serial: Some(self.plan.serial.clone()),
            own_clock: true,
            built_at: UnixTime::EPOCH,
        }
    }

    fn parts(&self, observer: Observer) -> Parts {
        let installer = SimInstaller::new(
            self.plan.installer.clone(),
            self.plan.fault == Fault::TrialFails,
            self.plan.boots_in,
        );
        let fitting = Fitting {
            installer: Box::new(installer),
            version: Some(self.plan.version.clone()),
            security_counter: self.plan.security_counter,
        };
        let storage: Box<dyn Storage> = if self.plan.fault == Fault::StagedBitFlips {
            Box::new(BitFlip { storage: self.storage.clone(), flipped: false })
        } else {
            Box::new(self.storage.clone())
        };
        Parts {
            storage,
            components: BTreeMap::from([(self.plan.component.clone(), fitting)]),
            dial: Arc::new(Line::new(self.plan.fault, self.trap.clone(), self.gate.clone())),
            clock: Arc::new(SystemClock),
            random: Box::new(SystemRandom),
            observer,
            pace: Pace {
                retry: (Duration::from_millis(200), Duration::from_secs(5)),
                withdrawal_wait: Duration::from_secs(60),
                ..Pace::default()
            },
        }
    }
}

/// Flips one bit of the first thing that is staged, after it was verified on its way in.
struct BitFlip {
    storage: MemoryStorage,
    flipped: bool,
}

impl Storage for BitFlip {
    fn read(&self, blob: Blob) -> io::Result<Option<Vec<u8>>> {
        self.storage.read(blob)
    }

    fn write(&mut self, blob: Blob, content: &[u8]) -> io::Result<()> {
        self.storage.write(blob, content)
    }

    fn remove(&mut self, blob: Blob) -> io::Result<()> {
        self.storage.remove(blob)
    }

    fn staged_bytes(&self) -> io::Result<u64> {
        self.storage.staged_bytes()
    }

    fn read_staged(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.storage.read_staged(offset, buffer)
    }

    fn stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.flipped || bytes.is_empty() {
            return self.storage.stage(bytes);
        }
        self.flipped = true;
        let mut flipped = bytes.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        self.storage.stage(&flipped)
    }

    fn sync_staged(&mut self) -> io::Result<()> {
        self.storage.sync_staged()
    }

    fn cut_staged(&mut self, length: u64) -> io::Result<()> {
        self.storage.cut_staged(length)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.storage.free_bytes()
    }
}
