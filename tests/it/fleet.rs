//! A fleet of one person, founded by the command line, and its backend.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    device::Device,
    program::{Answer, Process, program, run, until},
};

/// The model of all devices.
pub(crate) const MODEL: &str = "press-4";
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(90);
const PASSPHRASE: &str = "fjord lantern cobalt thimble";

/// Alice, her workspace, her backend. All of it goes when it is dropped.
pub(crate) struct Fleet {
    backend: Option<Process>,
    bind: SocketAddr,
    dir: TempDir,
}

impl Fleet {
    /// Founds a fleet, proves a backup, starts the backend.
    pub(crate) fn found() -> Self {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let mut fleet = Self { backend: None, bind: port.expect("there is a free port"), dir };
        fleet.write("passphrase", format!("{PASSPHRASE}\n"));
        fleet.write("wrong-passphrase", "gravel oboe swift cactus\n");
        let [identity, founding, backup] =
            ["backend.json", "founding.json", "alice.vault"].map(|name| text(&fleet.path(name)));

        let init = run(fleet.serve().args(["--init", &identity]), COMMAND);
        assert_eq!(init.code, Some(0), "{init:?}");
        fleet.json(&["vault", "create", "--name", "alice", "--light"]);
        let found = ["fleet", "found", "--backend", &identity, "--organization", "Example Works"];
        let status = fleet
            .json(&[&found[..], &["--station", "bench", "--threshold", "1", "--out", &founding]].concat());
        assert_eq!(status["complete"], true, "{status}");
        fleet.json(&["vault", "backup", &backup]);
        fleet.json(&["vault", "test-restore", &backup]);
        fleet.start_backend();
        fleet.wait_for_backend();
        fleet.json(&["model", "set", MODEL, "--slot", "main=2147483648"]);
        fleet
    }

    /// Starts the backend, which adopts the fleet if it has not yet.
    pub(crate) fn start_backend(&mut self) {
        let mut serve = self.serve();
        serve.arg("--adopt").arg(self.path("founding.json"));
        self.backend = Some(Process::start(&mut serve, &self.path("backend.log")));
    }

    /// Ends the backend as a power cut would.
    pub(crate) fn kill_backend(&mut self) {
        self.backend.take().expect("the backend runs").kill();
    }

    /// Waits until the backend answers.
    pub(crate) fn wait_for_backend(&self) {
        until("the backend answers", Duration::from_secs(30), || {
            (self.run(&["fleet", "show"]).code == Some(0)).then_some(())
        });
    }

    /// A command of Alice's, with her passphrase.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        run(&mut self.command("passphrase", arguments), COMMAND)
    }

    /// A command of somebody who sits at Alice's keyboard and does not know her passphrase.
    pub(crate) fn run_without_knowing(&self, arguments: &[&str]) -> Answer {
        run(&mut self.command("wrong-passphrase", arguments), COMMAND)
    }

    /// What a command of Alice's answers; it must not fail.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = self.run(arguments);
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}", answer.stderr);
        if answer.stdout.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout))
    }

    /// Makes a device and enrols it: token, request, Alice's approval, proof of both keys.
    pub(crate) fn enrol(&self, serial: &str) -> Device {
        let device = Device::new(&self.path(serial), serial);
        let token = text(&device.token());
        self.json(&["device", "token", "--serial", serial, "--model", MODEL, "--out", &token]);
        let mut approve =
            self.command("passphrase", &["device", "approve", "--watch", "--until-proven", "1"]);
        let mut approve = Process::start(&mut approve, &self.path("approve.log"));
        device.enrol();
        let approved = until("the approval ends", Duration::from_secs(60), || approve.ended());
        assert!(approved.success(), "{}", self.read("approve.log"));
        device
    }

    /// Proposes a release of one file and gives its id.
    pub(crate) fn propose(&self, version: &str, file: &Path) -> String {
        let propose = ["release", "propose", &text(file), "--model", MODEL, "--component", "main"];
        let rest = ["--release-version", version, "--installer", "slots", "--notes", "the next one"];
        let release = self.json(&[&propose[..], &rest].concat());
        release["row"]["id"].as_str().expect("a release has an id").to_owned()
    }

    /// Proposes, signs, seals and publishes a release of one file, and gives its id.
    pub(crate) fn publish(&self, version: &str, file: &Path) -> String {
        let release = self.propose(version, file);
        self.json(&["release", "sign", &release]);
        self.json(&["release", "seal", &release, &text(file)]);
        let published = self.json(&["release", "publish", &release, "--yes"]);
        assert_eq!(published["row"]["state"], "published", "{published}");
        release
    }

    /// Starts a rollout to all devices and gives its id.
    pub(crate) fn roll_out(&self, release: &str) -> String {
        let started = self.json(&["rollout", "start", release, "--yes"]);
        started["row"]["id"].as_str().expect("a rollout has an id").to_owned()
    }

    /// Waits until a rollout has finished, and checks that it succeeded on so many devices.
    pub(crate) fn wait_for_rollout(&self, rollout: &str, devices: u32, within: Duration) {
        let row = until("the rollout finishes", within, || {
            let row = self.json(&["rollout", "show", rollout])["row"].take();
            assert!(row["state"] == "running" || row["state"] == "finished", "{row}");
            (row["state"] == "finished").then_some(row)
        });
        assert_eq!(row["counts"], serde_json::json!({ "succeeded": devices }), "{row}");
    }

    /// A place for a file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of this name, and gives its place.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn serve(&self) -> Command {
        let mut command = Command::new(program("fleetseal"));
        command.arg("serve").arg("--data").arg(self.path("backend"));
        command.args(["--bind", &self.bind.to_string(), "--origin", &format!("https://{}", self.bind)]);
        command
    }

    /// The shell opens the file as descriptor 3 and becomes the command.
    fn command(&self, passphrase: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" 3<\"$0\""]).arg(self.path(passphrase)).arg(program("fleetseal"));
        command.arg("--workspace").arg(self.path("alice"));
        command.args(["--json", "--passphrase-fd", "3"]).args(arguments);
        command
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.read("backend.log");
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            for line in last.iter().rev() {
                tell(line);
            }
        }
    }
}

/// For whoever reads why a test failed.
pub(crate) fn tell(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").ok();
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
