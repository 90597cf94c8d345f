use std::{collections::VecDeque, time::Duration};

use envelope::{KemSecret, P256Key};
use model::Digest;
use protocol::smp::{Deframer, Message};

use super::{
    flash::PowerCut,
    identity::Identity,
    profile::{Buffers, Profile},
    server::Server,
    slots::{Slot, Slots, SwapKind},
};

/// A board: power, flash, a bootloader and an application.
#[derive(Debug)]
pub struct Board {
    profile: Profile,
    slots: Slots,
    identity: Identity,
    state: State,
    deframer: Deframer,
    server: Server,
    /// What goes out, and when.
    outbox: VecDeque<(Duration, Vec<u8>)>,
    /// When the last message that came will have been answered.
    busy_until: Duration,
    /// When the messages that lie in the receive buffers leave them.
    queue: VecDeque<Duration>,
    reboot_at: Option<Duration>,
    dropped: u64,
}

/// What runs on a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// Its version.
    pub version: String,
    /// The hash that the bootloader checked.
    pub hash: Digest,
    /// It stays after the next reset.
    pub confirmed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Without power.
    Off,
    /// Until then nobody listens; then this.
    Booting(Duration, Mode),
    /// Listening.
    Up(Mode),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Application,
    Recovery,
    /// The bootloader found nothing to run and has no recovery.
    Bricked,
}

/// What a message leads to, beside its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    None,
    Reset { recovery: bool },
}

/// How long after its answer a board resets.
const RESET_DELAY: Duration = Duration::from_millis(100);
/// A program that crashes is reset by its watchdog after this.
const WATCHDOG: Duration = Duration::from_millis(800);

impl Board {
    /// A board from the factory, with this image in its primary slot, and without power.
    pub fn new(profile: Profile, image: &[u8]) -> Self {
        let mut slots = Slots::new(profile.slot_sectors, profile.key, profile.no_downgrade, profile.flash);
        assert!(image.len() <= slots.room(), "the image fits into a slot");
        slots.write(Slot::Primary, 0, image).expect("a factory has power");
        slots.flash.take_time();
        Self {
            deframer: Deframer::new(profile.framing),
            identity: Identity::new(&profile.serial, &profile.class),
            server: Server::default(),
            state: State::Off,
            slots,
            outbox: VecDeque::new(),
            busy_until: Duration::ZERO,
            queue: VecDeque::new(),
            reboot_at: None,
            dropped: 0,
            profile,
        }
    }

    /// The same board after it was provisioned with these keys and this certificate.
    #[must_use]
    pub fn provisioned(mut self, identity: P256Key, kem: KemSecret, certificate: Vec<u8>) -> Self {
        self.identity.provision(identity, kem, certificate);
        self
    }

    /// Gives it power, if it has none.
    pub fn power_on(&mut self, now: Duration) {
        if self.state == State::Off {
            self.boot(now, false);
        }
    }

    /// Holds its button while it boots: into the recovery mode.
    pub fn power_on_in_recovery(&mut self, now: Duration) {
        self.power_off();
        self.boot(now, true);
    }

    /// Takes its power away. Flash stays.
    pub fn power_off(&mut self) {
        self.state = State::Off;
        self.outbox.clear();
        self.queue.clear();
        self.deframer.reset();
        self.server.reset();
        self.identity.power_off();
        self.reboot_at = None;
    }

    /// Whether it has power. It loses it at the flash operation of [`Self::cut_power_in`].
    pub fn has_power(&self) -> bool {
        self.state != State::Off
    }

    /// The power goes `operations` flash operations from now.
    pub const fn cut_power_in(&mut self, operations: u64) {
        let at = self.slots.flash.operations() + operations;
        self.slots.flash.cut_at(at);
    }

    /// How many flash operations there were.
    pub const fn flash_operations(&self) -> u64 {
        self.slots.flash.operations()
    }

    /// How many messages were dropped since no buffer was free, or none was large enough.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What it is.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What runs on it; nothing while it boots, in recovery, and without power.
    pub fn running(&self) -> Option<Running> {
        if self.state != State::Up(Mode::Application) {
            return None;
        }
        let image = self.slots.image(Slot::Primary)?;
        let confirmed = self.slots.swap_kind() != SwapKind::Revert;
        Some(Running { version: image.version, hash: image.hash, confirmed })
    }

    /// Whether it waits in its bootloader's recovery mode.
    pub fn is_in_recovery(&self) -> bool {
        self.state == State::Up(Mode::Recovery)
    }

    /// Whether nothing but a programmer's probe can help it.
    pub fn is_bricked(&self) -> bool {
        matches!(self.state, State::Up(Mode::Bricked) | State::Booting(_, Mode::Bricked))
    }

    /// Whether it is there on the bus: with power, and not between a reset and the start of what runs.
    pub const fn is_enumerated(&self) -> bool {
        matches!(self.state, State::Up(Mode::Application | Mode::Recovery))
    }

    /// When it does something of itself next, or sends what it has.
    pub fn wake(&self) -> Option<Duration> {
        let booted = if let State::Booting(until, _) = self.state { Some(until) } else { None };
        let out = self.outbox.front().map(|(at, _)| *at);
        [booted, out, self.reboot_at].into_iter().flatten().min()
    }

    /// Lets it do what it does until `now`.
    pub fn advance(&mut self, now: Duration) {
        // A few boots may follow one another.
        for _ in 0..8 {
            if let State::Booting(until, mode) = self.state
                && until <= now
            {
                self.state = State::Up(mode);
                self.start(until, mode);
            } else if let Some(at) = self.reboot_at.filter(|at| *at <= now) {
                let recovery = self.server.resets_into_recovery;
                let outbox = std::mem::take(&mut self.outbox);
                self.power_off();
                // What was sent before the reset is on the line.
                self.outbox = outbox.into_iter().filter(|(ready, _)| *ready <= at).collect();
                self.boot(at, recovery);
            } else {
                return;
            }
        }
    }

    /// Takes what its line brought.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        let State::Up(mode @ (Mode::Application | Mode::Recovery)) = self.state else { return };
        for packet in self.deframer.push_all(bytes) {
            self.queue.retain(|leaves| *leaves > now);
            let Buffers { bytes, count } = self.buffers(mode);
            // As Zephyr does: without a word.
            if self.queue.len() >= count || packet.len() + 4 > bytes {
                self.dropped += 1;
                continue;
            }
            let Ok(message) = Message::decode(&packet) else {
                self.dropped += 1;
                continue;
            };
            let start = self.busy_until.max(now);
            let asked =
                self.server.answer(&message, mode, &self.profile, &mut self.slots, &mut self.identity);
            let Ok((reply, effect)) = asked else {
                self.power_off();
                return;
            };
            let done = start + self.profile.answer + self.slots.flash.take_time();
            self.busy_until = done;
            self.queue.push_back(start);
            self.outbox.push_back((done, self.profile.framing.encode(&reply.encode())));
            if let Effect::Reset { recovery } = effect {
                self.server.resets_into_recovery = recovery;
                self.reboot_at.get_or_insert(done + RESET_DELAY);
            }
        }
    }

    /// What it has sent by `now`.
    pub fn take_output(&mut self, now: Duration) -> Vec<u8> {
        self.advance(now);
        let mut bytes = Vec::new();
        while let Some((_, part)) = self.outbox.pop_front_if(|(at, _)| *at <= now) {
            bytes.extend(part);
        }
        bytes
    }

    const fn buffers(&self, mode: Mode) -> Buffers {
        match mode {
            Mode::Application | Mode::Bricked => self.profile.buffers,
            Mode::Recovery => self.profile.recovery_buffers,
        }
    }

    fn boot(&mut self, now: Duration, recovery: bool) {
        self.busy_until = now;
        self.reboot_at = None;
        let mode = match self.slots.boot() {
            Ok(_) if recovery && self.profile.recovery => Mode::Recovery,
            Ok(true) => Mode::Application,
            Ok(false) if self.profile.recovery => Mode::Recovery,
            Ok(false) => Mode::Bricked,
            Err(PowerCut) => {
                self.slots.flash.take_time();
                self.power_off();
                return;
            }
        };
        if self.profile.noise {
            self.outbox
                .push_back((now, b"*** Booting MCUboot v2.4.0 ***\r\nI: Starting bootloader\r\n".to_vec()));
        }
        self.state = State::Booting(now + self.profile.boot + self.slots.flash.take_time(), mode);
    }

    /// The application, or the recovery, begins.
    fn start(&mut self, now: Duration, mode: Mode) {
        if mode != Mode::Application {
            return;
        }
        if self.profile.noise {
            let noise = b"*** Booting Zephyr OS v4.4.0 ***\r\n[00:00:00.010] <inf> app: up\r\n\x06\x1b[0m";
            self.outbox.push_back((now, noise.to_vec()));
        }
        if self.slots.image(Slot::Primary).is_some_and(|image| image.crashes) {
            self.reboot_at = Some(now + WATCHDOG);
        }
    }
}
