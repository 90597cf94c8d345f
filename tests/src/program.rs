//! Programs under test: where they lie, how they are run to their end, started and killed.

use std::{
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a condition is looked at again.
const LOOK: Duration = Duration::from_millis(5);

/// The program of this name, in the folder that the tests were built into.
pub fn program(name: &str) -> PathBuf {
    let path = profile_dir().join(name);
    assert!(path.exists(), "`{}` is not there: run `cargo build --workspace --bins`", path.display());
    path
}

/// Holds the other tests off, those in other processes too: what is measured and timed here has the
/// machine for itself.
pub fn alone() -> File {
    let file = File::create(profile_dir().join("it.lock")).expect("the build folder can be written");
    file.lock().expect("the build folder has locks");
    file
}

/// Something that was built: its path below `target/<profile>`.
pub fn artifacts(name: &str) -> PathBuf {
    profile_dir().join(name)
}

/// `target/<profile>`: this test is in its `deps`.
fn profile_dir() -> PathBuf {
    let here = std::env::current_exe().expect("a test knows where it is");
    here.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned()
}

/// What a program came to.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end, which must come `within` this time.
pub fn run(command: &mut Command, within: Duration) -> Answer {
    let (mut stdout, mut stderr) = (temporary(), temporary());
    let mut process = Process::spawn(command.stdout(handle(&stdout)).stderr(handle(&stderr)));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = process.ended() {
            break Some(status);
        }
        if began.elapsed() > within {
            break None;
        }
        thread::sleep(LOOK);
    };
    let (stdout, stderr) = (content(&mut stdout), content(&mut stderr));
    let Some(status) = status else {
        panic!("{command:?} did not end within {within:?}\n{stdout}\n{stderr}");
    };
    Answer { code: status.code(), stdout, stderr }
}

/// Waits until `look` sees something.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// A program that runs until it is dropped, and what it started with it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program that adds to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be written");
        Self::spawn(command.stdout(handle(&log)).stderr(log))
    }

    /// Starts a program as the first of a group of its own.
    fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        Self { child: child.expect("a program that is there starts") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).expect("a child that runs hears signals");
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Ends it as a power cut would: SIGKILL.
    pub fn kill(mut self) {
        assert_eq!(self.ended(), None, "it has ended by itself");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// For whoever reads why a test failed.
pub fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

fn temporary() -> File {
    tempfile::tempfile().expect("there is a place for temporary files")
}

fn handle(file: &File) -> File {
    file.try_clone().expect("a file can be shared")
}

fn content(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("what was printed is text");
    text
}
