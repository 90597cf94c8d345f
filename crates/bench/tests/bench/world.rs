//! A table with sockets, boards and bad cables, in simulated time.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bench::{Image, Locator, Place, Port, Sighting};
use envelope::{Ed25519Key, Signer as _};
use sim::board::{Board, Firmware, Profile};

/// What a line does to the bytes that pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) baud: Option<u32>,
    pub(crate) latency: Duration,
    /// Of a million bytes, so many with a flipped bit.
    pub(crate) flips: u64,
    /// Of a million bytes, so many lost.
    pub(crate) drops: u64,
    /// Of a hundred blocks, so many that come twice, the second time later.
    pub(crate) repeats: u64,
    /// Of a hundred blocks, so many that come late, and all behind them.
    pub(crate) delays: u64,
}

/// What happens when so many bytes have passed over a socket's line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The cable is pulled, and plugged back in after this.
    Pull(Duration),
    /// The same, and the other board of the table is plugged in here, and this one there.
    Swap(Duration),
    /// The power goes at so many flash operations from now.
    Cut(u64),
    /// What the board sends no longer arrives, until the cable is pulled and plugged in again.
    HalfOpen(Duration),
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) boards: Vec<Board>,
    pub(crate) sockets: Vec<Socket>,
    pub(crate) line: Line,
    pub(crate) random: Random,
    /// The events of socket 0, by the bytes that passed.
    pub(crate) events: Vec<(u64, Event)>,
    passed: u64,
    /// When the power comes back to each board.
    power_back: Vec<Option<Duration>>,
    /// The cable comes back at this time, to socket `.1`, with board `.2`.
    plugs: Vec<(Duration, usize, usize)>,
    pub(crate) last_plug: Duration,
    /// How often the system has named a port anew.
    names: u32,
}

pub(crate) struct Socket {
    pub(crate) board: Option<usize>,
    /// Counts how often a port there has vanished.
    generation: u32,
    was_there: bool,
    mute: bool,
    name: u32,
    to_board: VecDeque<(Duration, Vec<u8>)>,
    to_bench: VecDeque<(Duration, u8)>,
    free_to_board: Duration,
    free_to_bench: Duration,
}

#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn key() -> Ed25519Key {
    Ed25519Key::from_seed(&[7; 32])
}

pub(crate) fn profile(serial: &str) -> Profile {
    Profile::zephyr(serial, key().public_key())
}

/// A signed image of this version with a program of `bytes` bytes; the security counter is the minor
/// version.
pub(crate) fn image(version: (u8, u8, u16), bytes: usize) -> Image {
    let signed = Firmware::new(version, version.1.into(), bytes).sign(&key()).unwrap();
    Image::new(signed, &[key().public_key()]).unwrap()
}

pub(crate) fn place(socket: usize) -> Place {
    Place::new(format!("usb-1-2.{socket}"))
}

pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap()
}

impl World {
    pub(crate) fn new(boards: Vec<Board>, line: Line, seed: u64) -> Shared {
        let socket = |board| Socket {
            board: Some(board),
            generation: 0,
            was_there: false,
            mute: false,
            name: u32::try_from(board).unwrap(),
            to_board: VecDeque::new(),
            to_bench: VecDeque::new(),
            free_to_board: Duration::ZERO,
            free_to_bench: Duration::ZERO,
        };
        let mut world = Self {
            now: Duration::ZERO,
            sockets: (0..boards.len()).map(socket).collect(),
            power_back: vec![None; boards.len()],
            names: u32::try_from(boards.len()).unwrap(),
            boards,
            line,
            random: Random::new(seed),
            events: Vec::new(),
            passed: 0,
            plugs: Vec::new(),
            last_plug: Duration::ZERO,
        };
        for board in &mut world.boards {
            board.power_on(Duration::ZERO);
        }
        Arc::new(Mutex::new(world))
    }

    fn board(&mut self, socket: usize) -> Option<&mut Board> {
        let board = self.sockets[socket].board?;
        self.boards.get_mut(board)
    }

    fn is_there(&self, socket: usize) -> bool {
        self.sockets[socket].board.is_some_and(|board| self.boards[board].is_enumerated())
    }

    /// Lets everything happen until `until`.
    pub(crate) fn advance(&mut self, until: Duration) {
        for turn in 0.. {
            assert!(turn < 100_000, "the world stands still at {:?}", self.now);
            self.step();
            let next = self.wake().filter(|wake| *wake <= until).unwrap_or(until);
            let now = next.max(self.now);
            if now == self.now && self.wake().is_none_or(|wake| wake > now) {
                return;
            }
            self.now = now;
        }
    }

    fn wake(&self) -> Option<Duration> {
        let lines = self.sockets.iter().filter_map(|socket| socket.to_board.front().map(|(at, _)| *at));
        let boards = self.boards.iter().filter_map(Board::wake);
        let power = self.power_back.iter().filter_map(|at| *at);
        lines.chain(boards).chain(power).chain(self.plugs.iter().map(|(at, _, _)| *at)).min()
    }

    /// What is due now.
    fn step(&mut self) {
        let now = self.now;
        while let Some(due) = self.plugs.iter().position(|(at, _, _)| *at <= now) {
            let (_, socket, board) = self.plugs.remove(due);
            self.sockets[socket].board = Some(board);
            self.sockets[socket].mute = false;
            self.last_plug = now;
            self.boards[board].power_on(now);
        }
        for socket in 0..self.sockets.len() {
            while let Some((_, bytes)) = self.sockets[socket].to_board.pop_front_if(|(at, _)| *at <= now) {
                if let Some(board) = self.board(socket) {
                    board.receive(now, &bytes);
                }
            }
            let out = self.board(socket).map(|board| board.take_output(now)).unwrap_or_default();
            if !out.is_empty() && !self.sockets[socket].mute {
                self.send_to_bench(socket, &out);
            }
            let there = self.is_there(socket);
            let socket = &mut self.sockets[socket];
            if there != socket.was_there {
                socket.was_there = there;
                socket.generation += 1;
                socket.to_board.clear();
                socket.to_bench.clear();
                // The system names what comes back anew.
                self.names += 1;
                socket.name = self.names;
            }
        }
        for (board, back) in self.boards.iter_mut().zip(&mut self.power_back) {
            // An unplugged board has no power either; its cable brings it.
            if board.has_power() {
                *back = None;
            } else if back.is_some_and(|at| at <= now) {
                board.power_on(now);
                *back = None;
            }
        }
        self.restore_power();
    }

    fn restore_power(&mut self) {
        for index in 0..self.boards.len() {
            let plugged = self.sockets.iter().any(|socket| socket.board == Some(index));
            if plugged && !self.boards[index].has_power() && self.power_back[index].is_none() {
                self.power_back[index] = Some(self.now + Duration::from_millis(700));
            }
        }
    }

    fn count(&mut self, socket: usize, bytes: usize) {
        if socket != 0 {
            return;
        }
        self.passed += bytes as u64;
        while let Some(due) = self.events.iter().position(|(at, _)| *at <= self.passed) {
            let (_, event) = self.events.remove(due);
            let Some(board) = self.sockets[0].board else { continue };
            match event {
                Event::Cut(operations) => self.boards[board].cut_power_in(operations),
                Event::HalfOpen(back) => {
                    self.sockets[0].mute = true;
                    self.plugs.push((self.now + back, 0, board));
                    self.boards[board].power_on(self.now);
                }
                Event::Pull(back) => {
                    self.unplug(0);
                    self.plugs.push((self.now + back, 0, board));
                }
                Event::Swap(back) => {
                    let Some(other) = self.sockets.get(1).and_then(|socket| socket.board) else { continue };
                    self.unplug(0);
                    self.unplug(1);
                    self.plugs.push((self.now + back, 0, other));
                    self.plugs.push((self.now + back, 1, board));
                }
            }
        }
    }

    fn unplug(&mut self, socket: usize) {
        // A line that was half open is not mended any more by what was to mend it.
        self.plugs.retain(|(_, of, _)| *of != socket);
        if let Some(board) = self.sockets[socket].board.take() {
            self.boards[board].power_off();
        }
        let socket = &mut self.sockets[socket];
        socket.generation += 1;
        socket.was_there = false;
        socket.to_board.clear();
        socket.to_bench.clear();
    }

    /// What the line makes of bytes: when they arrive, and which.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Line { flips, drops, .. } = self.line;
        if flips == 0 && drops == 0 {
            return bytes.to_vec();
        }
        let mut arrived = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let draw = self.random.below(1_000_000);
            if draw < drops {
                continue;
            }
            let flip = draw < drops + flips;
            arrived.push(if flip { byte ^ (1 << self.random.below(8)) } else { *byte });
        }
        arrived
    }

    fn extra_delay(&mut self) -> Duration {
        if self.line.delays > 0 && self.random.below(100) < self.line.delays {
            Duration::from_millis(self.random.below(3_000))
        } else {
            Duration::ZERO
        }
    }

    fn byte_time(&self) -> Duration {
        self.line.baud.map_or(Duration::ZERO, |baud| Duration::from_secs_f64(10.0 / f64::from(baud)))
    }

    fn send_to_board(&mut self, socket: usize, bytes: &[u8]) {
        let arrived = self.damage(bytes);
        let delay = self.extra_delay();
        let byte = self.byte_time();
        let repeat = self.line.repeats > 0 && self.random.below(100) < self.line.repeats;
        let (now, latency) = (self.now, self.line.latency);
        let line = &mut self.sockets[socket];
        let at = line.free_to_board.max(now) + byte * u32::try_from(bytes.len()).unwrap() + delay;
        line.free_to_board = at;
        line.to_board.push_back((at + latency, arrived.clone()));
        if repeat {
            line.to_board.push_back((at + latency, arrived));
        }
    }

    fn send_to_bench(&mut self, socket: usize, bytes: &[u8]) {
        self.count(socket, bytes.len());
        let arrived = self.damage(bytes);
        let delay = self.extra_delay();
        let byte = self.byte_time();
        let repeat = self.line.repeats > 0 && self.random.below(100) < self.line.repeats;
        let (now, latency) = (self.now, self.line.latency);
        let line = &mut self.sockets[socket];
        line.free_to_bench = line.free_to_bench.max(now) + delay;
        for _ in 0..=usize::from(repeat) {
            for value in &arrived {
                line.free_to_bench += byte;
                line.to_bench.push_back((line.free_to_bench + latency, *value));
            }
        }
    }
}

/// The bench's end of a socket's line.
pub(crate) struct SimPort {
    world: Shared,
    socket: usize,
    generation: u32,
}

impl SimPort {
    pub(crate) fn open(world: &Shared, socket: usize) -> Box<dyn Port> {
        let generation = lock(world).sockets[socket].generation;
        Box::new(Self { world: Arc::clone(world), socket, generation })
    }

    fn check(&self, world: &World) -> io::Result<()> {
        let same = world.sockets[self.socket].generation == self.generation;
        if same { Ok(()) } else { Err(io::Error::from(io::ErrorKind::BrokenPipe)) }
    }
}

impl Port for SimPort {
    fn read(&mut self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        let mut world = lock(&self.world);
        let deadline = world.now + patience;
        loop {
            let now = world.now;
            world.advance(now);
            self.check(&world)?;
            let socket = &mut world.sockets[self.socket];
            let mut read = 0;
            while read < buffer.len() {
                let Some((_, byte)) = socket.to_bench.pop_front_if(|(at, _)| *at <= now) else { break };
                buffer[read] = byte;
                read += 1;
            }
            if read > 0 || now >= deadline {
                return Ok(read);
            }
            let arrives = socket.to_bench.front().map(|(at, _)| *at);
            let next = arrives.into_iter().chain(world.wake()).min().unwrap_or(deadline).clamp(now, deadline);
            // Time moves on, even where everything is due now.
            world.now = if next == now { deadline.min(now + Duration::from_micros(100)) } else { next };
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = lock(&self.world);
        self.check(&world)?;
        world.count(self.socket, bytes.len());
        self.check(&world)?;
        world.send_to_board(self.socket, bytes);
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        let mut world = lock(&self.world);
        self.check(&world)?;
        world.sockets[self.socket].to_bench.clear();
        Ok(())
    }

    fn now(&self) -> Duration {
        lock(&self.world).now
    }

    fn baud(&self) -> Option<u32> {
        lock(&self.world).line.baud
    }
}

pub(crate) struct SimLocator(pub(crate) Shared);

impl Locator for SimLocator {
    fn devices(&mut self) -> io::Result<Vec<Sighting>> {
        let world = lock(&self.0);
        let there = (0..world.sockets.len()).filter(|socket| world.is_there(*socket));
        let sighting = |socket: usize| {
            let board = &world.boards[world.sockets[socket].board.unwrap()];
            Sighting {
                place: place(socket),
                serial: Some(board.profile().serial.clone()),
                usb: None,
                port: format!("tty{}", world.sockets[socket].name),
            }
        };
        Ok(there.map(sighting).collect())
    }

    fn open(&mut self, sighting: &Sighting) -> io::Result<Box<dyn Port>> {
        let socket = (0..lock(&self.0).sockets.len()).find(|socket| place(*socket) == sighting.place);
        Ok(SimPort::open(&self.0, socket.unwrap()))
    }

    fn wait(&mut self, time: Duration) {
        let mut world = lock(&self.0);
        let until = world.now + time;
        world.advance(until);
        world.now = until;
    }

    fn now(&self) -> Duration {
        lock(&self.0).now
    }
}
