//! A display that nobody sees, a session bus, and the desktop's windows on them.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::Windows;
use crate::program::{Process, artifacts, program, run, tell, until};

const SIZE: &str = "1280x860x24";
/// What the system's dialogs for files are called.
const FILES: &str = "^(Open|Save)";

/// A display and a session bus of its own, and a home. All of it goes when it is dropped.
#[derive(Debug)]
pub struct Stage {
    envs: Vec<(String, String)>,
    // In this order: what uses the display ends before it.
    _bus: Process,
    _display: Process,
    dir: TempDir,
}

impl Stage {
    pub fn open() -> Self {
        let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist/index.html");
        assert!(screens.exists(), "the screens are not built: run `cargo xtask ui`, then build the programs");
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let mut xvfb = Command::new("Xvfb");
        // The server chooses the display: another one may be taken.
        xvfb.args(["-displayfd", "1", "-screen", "0", SIZE, "-nolisten", "tcp", "-noreset"]);
        let (display, said) = speaks(&mut xvfb, &dir.path().join("display.log"), |line| {
            line.bytes().all(|byte| byte.is_ascii_digit())
        });
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--session", "--nofork", "--print-address=1"]);
        let (bus, address) =
            speaks(&mut daemon, &dir.path().join("bus.log"), |line| line.starts_with("unix:"));
        let text = |path: PathBuf| path.display().to_string();
        let mut envs = vec![
            ("DISPLAY".to_owned(), format!(":{said}")),
            ("DBUS_SESSION_BUS_ADDRESS".to_owned(), address),
        ];
        for (name, folder) in [
            ("HOME", "person"),
            ("XDG_RUNTIME_DIR", "person/run"),
            ("XDG_DATA_HOME", "person/data"),
            ("XDG_CACHE_HOME", "person/cache"),
            ("XDG_CONFIG_HOME", "person/config"),
        ] {
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).expect("a temporary folder can be made");
            envs.push((name.to_owned(), text(folder)));
        }
        // The same pixels on every machine, and quicker ones.
        for (name, value) in [
            ("WEBKIT_DISABLE_DMABUF_RENDERER", "1"),
            ("WEBKIT_DISABLE_COMPOSITING_MODE", "1"),
            ("NO_AT_BRIDGE", "1"),
            ("GDK_BACKEND", "x11"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
        ] {
            envs.push((name.to_owned(), value.to_owned()));
        }
        Self { envs, _bus: bus, _display: display, dir }
    }

    /// The desktop with this home, driven.
    pub fn windows(&self, home: &str) -> Windows {
        let args = ["--home".to_owned(), self.path(home).display().to_string()];
        Windows::open(&program("examples/driven"), &args, &self.envs, &self.path("windows.log"))
    }

    /// Types a path into the system's dialog for files, once it stands, until it is content.
    pub fn answer_dialog(&self, path: &str) {
        let window = self.window(FILES);
        for attempt in 0..5 {
            self.xdotool(&["windowfocus", "--sync", &window]);
            if attempt == 0 {
                // Ctrl L goes where a path is typed; it may come a little later than what is typed.
                self.xdotool(&["key", "ctrl+l"]);
            }
            self.xdotool(&["key", "ctrl+a"]);
            self.xdotool(&["type", "--delay", "5", path]);
            self.xdotool(&["key", "Return"]);
            if (0..100).any(|_| self.shown(FILES).is_none()) {
                return;
            }
        }
        panic!("the dialog for files does not take `{path}`");
    }

    /// Waits for a window whose title is like this.
    pub fn window(&self, title: &str) -> String {
        until(&format!("a window `{title}`"), Duration::from_secs(60), || self.shown(title))
    }

    fn shown(&self, title: &str) -> Option<String> {
        let found = self.xdotool(&["search", "--onlyvisible", "--name", title]);
        found.lines().next().map(str::to_owned)
    }

    fn xdotool(&self, args: &[&str]) -> String {
        run(self.command("xdotool").args(args), Duration::from_secs(30)).stdout
    }

    /// Keeps a picture of the display beside what was built.
    pub fn picture(&self, name: &str) {
        let folder = artifacts("window");
        fs::create_dir_all(&folder).expect("the build folder can be written");
        let mut import = self.command("import");
        import.args(["-window", "root"]).arg(folder.join(format!("{name}.png")));
        let taken = run(&mut import, Duration::from_secs(20));
        assert_eq!(taken.code, Some(0), "{taken:?}");
    }

    /// A command with this display, bus and person.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_remove("WAYLAND_DISPLAY").envs(self.envs.iter().cloned());
        command
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.read("windows.log");
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            for line in last.iter().rev() {
                tell(line);
            }
        }
    }
}

/// Starts a program and waits for a line of its own that looks like this.
fn speaks(command: &mut Command, log: &Path, like: impl Fn(&str) -> bool) -> (Process, String) {
    let process = Process::start(command, log);
    let said = until(&format!("{command:?} speaks"), Duration::from_secs(20), || {
        let text = fs::read_to_string(log).unwrap_or_default();
        // Only whole lines.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().find(|line| !line.is_empty() && like(line)).map(str::to_owned)
    });
    (process, said)
}
