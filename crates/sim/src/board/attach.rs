use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

use super::{machine::Board, trouble::Trouble};

/// A board on a line that other programs can open; it runs until this is dropped.
#[derive(Debug)]
pub struct Attached {
    /// The path of its terminal, or the address that it listens on.
    address: String,
    board: Arc<Mutex<Board>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// How often a board looks whether something is due, at least and at most.
const TICK: Duration = Duration::from_millis(2);
const STEP: Duration = Duration::from_micros(200);
/// After a power cut the power comes back.
const POWER_BACK: Duration = Duration::from_millis(500);

impl Attached {
    /// Where others find it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The board itself.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// A line as it is simulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wire {
    /// Paces both ways, ten bits to a byte; without it the line is as fast as the machine.
    pub baud: Option<u32>,
    /// There and back, the line's own time apart: converters and hubs.
    pub turnaround: Duration,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// Puts a board on a pseudo terminal and gives it power.
///
/// # Errors
/// There is no pseudo terminal.
pub fn attach_pty(board: Board, wire: Wire) -> io::Result<Attached> {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&near)?;
    unlockpt(&near)?;
    let name = ptsname(&near, Vec::new())?.into_string().map_err(io::Error::other)?;
    let path = PathBuf::from(&name);
    // Held open, so that the near end does not end when another program closes it.
    let far = raw(&path)?;
    rustix::io::ioctl_fionbio(&near, true)?;
    let near = File::from(near);
    run(board, name, wire, move |serve| {
        let _far = far;
        serve(&mut Line { file: near })
    })
}

/// Puts a board on a TCP port and gives it power. One program at a time may be connected.
///
/// # Errors
/// The address is taken.
pub fn attach_tcp(board: Board, address: SocketAddr, wire: Wire) -> io::Result<Attached> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let name = listener.local_addr()?.to_string();
    run(board, name, wire, move |serve| serve(&mut Socket { listener, stream: None }))
}

/// One end of a line: reads what is there without waiting.
trait End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn wait(&mut self, patience: Duration) -> io::Result<()>;
}

struct Line {
    file: File,
}

struct Socket {
    listener: TcpListener,
    stream: Option<std::net::TcpStream>,
}

impl End for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        nothing_yet(self.file.read(buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match nothing_yet(self.file.write(rest))? {
                // Nobody reads: what a line carries to nobody is gone.
                0 => return Ok(()),
                written => rest = &rest[written..],
            }
        }
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        let patience = rustix::time::Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&patience))?;
        Ok(())
    }
}

impl End for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Ok((stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            self.stream = Some(stream);
        }
        let Some(stream) = &mut self.stream else { return Ok(0) };
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Ok(0) | Err(_) => {
                self.stream = None;
                Ok(0)
            }
            read => read,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(stream) = &mut self.stream
            && stream.write_all(bytes).is_err()
        {
            self.stream = None;
        }
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        thread::sleep(patience);
        Ok(())
    }
}

type Serve<'a> = &'a mut dyn FnMut(&mut dyn End) -> io::Result<()>;

fn run(
    mut board: Board,
    address: String,
    wire: Wire,
    with: impl FnOnce(Serve<'_>) -> io::Result<()> + Send + 'static,
) -> io::Result<Attached> {
    board.power_on(Duration::ZERO);
    let board = Arc::new(Mutex::new(board));
    let end = Arc::new(AtomicBool::new(false));
    let (shared, ended) = (Arc::clone(&board), Arc::clone(&end));
    let thread = thread::Builder::new()
        .name("board".to_owned())
        .spawn(move || with(&mut |line| serve(&shared, &ended, wire, line)))?;
    Ok(Attached { address, board, end, thread: Some(thread) })
}

fn serve(board: &Mutex<Board>, end: &AtomicBool, wire: Wire, line: &mut dyn End) -> io::Result<()> {
    let start = Instant::now();
    let (mut inward, mut outward) = (Pace::new(wire), Pace::new(wire));
    let mut trouble = wire.trouble.draw();
    let mut without_power = None;
    let mut passed = Duration::ZERO;
    let mut next_cut = trouble.power_cut();
    let mut buffer = [0; 4096];
    while !end.load(Ordering::Relaxed) {
        let now = start.elapsed();
        let read = line.read(&mut buffer)?;
        let mut came = buffer[..read].to_vec();
        trouble.damage(&mut came);
        inward.push(now, &came);
        let wake = {
            let mut board = lock(board);
            if board.has_power() {
                without_power = None;
                if let Some(operations) = next_cut.take() {
                    board.cut_power_in(operations);
                }
            } else if now.saturating_sub(*without_power.get_or_insert(now)) >= POWER_BACK {
                next_cut = trouble.power_cut();
                board.power_on(now);
            }
            // At the times when things happen on the line, however late this thread comes to them.
            let mut at = passed;
            loop {
                let due = [board.wake(), inward.due()].into_iter().flatten().min();
                at = due.map_or(now, |due| (due.max(at) + STEP / 2).min(now));
                board.receive(at, &inward.take(at));
                let mut out = board.take_output(at);
                trouble.damage(&mut out);
                outward.push(at, &out);
                if at >= now {
                    passed = now;
                    break board.wake();
                }
            }
        };
        line.write(&outward.take(now))?;
        if read == 0 {
            let due = [wake, inward.due(), outward.due()].into_iter().flatten().min();
            let until = due.map_or(TICK, |due| due.saturating_sub(start.elapsed()));
            line.wait(until.clamp(STEP, TICK))?;
        }
    }
    Ok(())
}

/// A line that carries only so many bytes a second.
struct Pace {
    byte: Duration,
    delay: Duration,
    free_at: Duration,
    waiting: std::collections::VecDeque<(Duration, u8)>,
}

impl Pace {
    fn new(Wire { baud, turnaround, .. }: Wire) -> Self {
        let byte = baud.map_or(Duration::ZERO, |baud| Duration::from_secs_f64(10.0 / f64::from(baud.max(1))));
        Self {
            byte,
            delay: turnaround / 2,
            free_at: Duration::ZERO,
            waiting: std::collections::VecDeque::new(),
        }
    }

    fn push(&mut self, now: Duration, bytes: &[u8]) {
        for byte in bytes {
            self.free_at = self.free_at.max(now) + self.byte;
            self.waiting.push_back((self.free_at + self.delay, *byte));
        }
    }

    /// When the next byte has passed.
    fn due(&self) -> Option<Duration> {
        self.waiting.front().map(|(at, _)| *at)
    }

    fn take(&mut self, now: Duration) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((_, byte)) = self.waiting.pop_front_if(|(at, _)| *at <= now) {
            bytes.push(byte);
        }
        bytes
    }
}

/// A terminal that changes nothing of what passes.
fn raw(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut termios = tcgetattr(&file)?;
    termios.make_raw();
    tcsetattr(&file, OptionalActions::Now, &termios)?;
    Ok(file)
}

fn nothing_yet(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
