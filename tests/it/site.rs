//! Where a fleet's people and their backend work: a folder with a workspace for each, and a port.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    device::Device,
    page,
    program::{Answer, Process, program, run, tell, until},
};

/// The model of all devices.
pub(crate) const MODEL: &str = "press-4";
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(90);
pub(crate) const PASSPHRASE: &str = "fjord lantern cobalt thimble";

/// All of it goes when it is dropped.
pub(crate) struct Site {
    backend: Option<Process>,
    bind: SocketAddr,
    dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let site = Self { backend: None, bind: (Ipv4Addr::LOCALHOST, page::free_port()).into(), dir };
        site.write("passphrase", format!("{PASSPHRASE}\n"));
        site.write("wrong-passphrase", "gravel oboe swift cactus\n");
        site
    }

    /// A place for a file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same, for a command.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file of this name, and gives its place.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs `fleetseal serve` with these flags, which end it by themselves.
    pub(crate) fn serve_once(&self, flags: &[&str]) {
        let answer = run(self.serve().args(flags), COMMAND);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }

    /// Starts the backend, which adopts the fleet if it has not yet.
    pub(crate) fn start_backend(&mut self) {
        let mut serve = self.serve();
        serve.arg("--adopt").arg(self.path("founding.json"));
        self.backend = Some(Process::start(&mut serve, &self.path("backend.log")));
    }

    /// Starts the backend by a configuration file, with nothing but these flags; its log goes to a file.
    pub(crate) fn start_backend_by_file(&mut self, flags: &[&str], log: &str) {
        let config = format!(
            "data = {:?}\nbind = \"{}\"\norigin = \"https://{}\"\npoll_after = 60\nconnections = 200\n",
            self.path("backend"),
            self.bind,
            self.bind,
        );
        let mut serve = Command::new(program("fleetseal"));
        serve.arg("serve").arg("--config").arg(self.write("backend.toml", config)).args(flags);
        self.backend = Some(Process::start(&mut serve, &self.path(log)));
    }

    /// Ends the backend as a power cut would.
    pub(crate) fn kill_backend(&mut self) {
        self.backend.take().expect("the backend runs").kill();
    }

    /// Waits until the backend answers somebody.
    pub(crate) fn wait_for_backend(&self, name: &str) {
        until("the backend answers", Duration::from_secs(30), || {
            (self.run(name, &["fleet", "show"]).code == Some(0)).then_some(())
        });
    }

    /// A command of this person's.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Answer {
        let yes = [&["--yes"], arguments].concat();
        run(&mut self.command(name, "passphrase", &yes), COMMAND)
    }

    /// A command of somebody who sits at this person's keyboard and does not know the passphrase.
    pub(crate) fn run_without_knowing(&self, name: &str, arguments: &[&str]) -> Answer {
        run(&mut self.command(name, "wrong-passphrase", arguments), COMMAND)
    }

    /// What a command of this person's answers; it must not fail.
    pub(crate) fn json(&self, name: &str, arguments: &[&str]) -> Value {
        let answer = self.run(name, arguments);
        assert_eq!(answer.code, Some(0), "{name} {arguments:?}: {}", answer.stderr);
        if answer.stdout.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout))
    }

    /// The error of a command that must be refused.
    pub(crate) fn refused(&self, name: &str, arguments: &[&str]) -> Value {
        let answer = self.run(name, arguments);
        assert_ne!(answer.code, Some(0), "{name} {arguments:?}: {}", answer.stdout);
        let line = answer.stderr.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        line.or_else(|| serde_json::from_str(&answer.stderr).ok())
            .unwrap_or_else(|| panic!("errors are JSON: {}", answer.stderr))
    }

    /// A backup of somebody's vault, and the proof that it can be restored.
    pub(crate) fn prove_backup(&self, name: &str) {
        let backup = self.text(&format!("{name}.vault"));
        fs::remove_file(&backup).ok();
        self.json(name, &["vault", "backup", &backup]);
        self.json(name, &["vault", "test-restore", &backup]);
    }

    /// Makes a device and enrols it, by Alice, who holds the CAs.
    pub(crate) fn enrol(&self, serial: &str) -> Device {
        let device = Device::new(&self.path(serial), serial);
        let token = device.token().display().to_string();
        self.json("alice", &["device", "token", "--serial", serial, "--model", MODEL, "--out", &token]);
        self.approve(&device, Device::enrol, &["--watch", "--until-proven", "1"]);
        device
    }

    /// Lets Alice approve while the device does something that needs it.
    pub(crate) fn approve(&self, device: &Device, does: impl FnOnce(&Device), flags: &[&str]) {
        let mut approve = self.command("alice", "passphrase", &[&["device", "approve"], flags].concat());
        let mut approve = Process::start(&mut approve, &self.path("approve.log"));
        does(device);
        if flags.contains(&"--until-proven") {
            let ended = until("the approval ends", Duration::from_secs(60), || approve.ended());
            assert!(ended.success(), "{}", self.read("approve.log"));
        }
    }

    /// Proposes a release of one file, with these flags too, and gives its id.
    pub(crate) fn propose(&self, version: &str, file: &Path, flags: &[&str]) -> String {
        let file = file.display().to_string();
        let propose = ["release", "propose", &file, "--model", MODEL, "--component", "main"];
        let rest = ["--release-version", version, "--installer", "slots", "--notes", "the next one"];
        let release = self.json("alice", &[&propose[..], &rest, flags].concat());
        release["row"]["id"].as_str().expect("a release has an id").to_owned()
    }

    /// Proposes, signs, seals and publishes a release of one file, and gives its id.
    pub(crate) fn publish(&self, version: &str, file: &Path, signers: &[&str]) -> String {
        let release = self.propose(version, file, &[]);
        self.bring_out(&release, file, signers);
        release
    }

    /// Signs, seals and publishes a release that was proposed.
    pub(crate) fn bring_out(&self, release: &str, file: &Path, signers: &[&str]) {
        for name in signers {
            self.json(name, &["release", "sign", release]);
        }
        self.json("alice", &["release", "seal", release, &file.display().to_string()]);
        let published = self.json("alice", &["release", "publish", release]);
        assert_eq!(published["row"]["state"], "published", "{published}");
    }

    /// Starts a rollout by this person to all devices, and gives its id.
    pub(crate) fn start_rollout(&self, name: &str, release: &str) -> String {
        let started = self.json(name, &["rollout", "start", release]);
        started["row"]["id"].as_str().expect("a rollout has an id").to_owned()
    }

    /// Waits until a rollout has finished, and checks that it succeeded on so many devices.
    pub(crate) fn wait_for_rollout(&self, name: &str, rollout: &str, devices: u32, within: Duration) {
        let row = until("the rollout finishes", within, || {
            let row = self.json(name, &["rollout", "show", rollout])["row"].take();
            assert!(row["state"] == "running" || row["state"] == "finished", "{row}");
            (row["state"] == "finished").then_some(row)
        });
        assert_eq!(row["counts"], serde_json::json!({ "succeeded": devices }), "{row}");
    }

    fn serve(&self) -> Command {
        let mut command = Command::new(program("fleetseal"));
        command.arg("serve").arg("--data").arg(self.path("backend"));
        command.args(["--bind", &self.bind.to_string(), "--origin", &format!("https://{}", self.bind)]);
        command
    }

    /// The shell opens the file as descriptor 3 and becomes the command.
    fn command(&self, name: &str, passphrase: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" 3<\"$0\""]).arg(self.path(passphrase)).arg(program("fleetseal"));
        command.arg("--workspace").arg(self.path(name));
        command.args(["--json", "--passphrase-fd", "3"]).args(arguments);
        command
    }
}

impl Drop for Site {
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

/// A program that says which version of `main` it is.
pub(crate) fn software(version: &str) -> String {
    format!("#!/bin/sh\necho \"press-4 main {version}\"\n")
}
