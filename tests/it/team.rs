//! A fleet of three key holders, two of whom must sign, each with a vault and a workspace of their own.

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
    fleet::{MODEL, tell},
    program::{Answer, Process, program, run, until},
};

const COMMAND: Duration = Duration::from_secs(90);
const PASSPHRASE: &str = "fjord lantern cobalt thimble";
/// Who founds the fleet; the first of them holds the CAs.
pub(crate) const HOLDERS: [&str; 3] = ["alice", "bob", "carol"];

/// The people, their workspaces, their backend. All of it goes when it is dropped.
pub(crate) struct Team {
    backend: Option<Process>,
    bind: SocketAddr,
    dir: TempDir,
}

impl Team {
    /// Alice, Bob and Carol found a fleet together; root and targets take two of three.
    pub(crate) fn found() -> Self {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let mut team = Self { backend: None, bind: port.expect("there is a free port"), dir };
        team.write("passphrase", format!("{PASSPHRASE}\n"));
        let [identity, founding] = ["backend.json", "founding.json"].map(|name| team.text(name));
        team.serve_once(&["--init", &identity]);
        for name in HOLDERS {
            team.newcomer(name);
        }
        let cards = [team.text("bob.card"), team.text("carol.card")];
        let found = ["fleet", "found", "--backend", &identity, "--threshold", "2", "--out", &founding];
        team.json("alice", &[&found[..], &["--card", &cards[0], "--card", &cards[1]]].concat());
        for name in ["bob", "carol"] {
            team.json(name, &["fleet", "sign", &founding]);
        }
        // The founding made the CAs.
        team.prove_backup("alice");
        team.start_backend();
        team.json("alice", &["model", "set", MODEL, "--slot", "main=1048576"]);
        team
    }

    /// A vault, a proven backup of it, and a card.
    pub(crate) fn newcomer(&self, name: &str) {
        self.vault_of(name, name);
    }

    /// The same in a workspace that is not called after its holder.
    pub(crate) fn vault_of(&self, workspace: &str, holder: &str) {
        self.json(workspace, &["vault", "create", "--name", holder, "--light"]);
        self.prove_backup(workspace);
        let card = self.json(workspace, &["vault", "card"]);
        self.write(&format!("{workspace}.card"), card.to_string());
    }

    fn prove_backup(&self, workspace: &str) {
        let backup = self.text(&format!("{workspace}.vault"));
        fs::remove_file(&backup).ok();
        self.json(workspace, &["vault", "backup", &backup]);
        self.json(workspace, &["vault", "test-restore", &backup]);
    }

    /// Copies files of one workspace into a new one.
    pub(crate) fn copy(&self, from: &str, to: &str, files: &[&str]) {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = fs::DirBuilder::new().mode(0o700).create(self.path(to));
        made.expect("a temporary folder can be made");
        for file in files {
            let copied = fs::copy(self.path(from).join(file), self.path(to).join(file));
            copied.expect("a workspace's files can be copied");
        }
    }

    /// Starts the backend, which adopts the fleet if it has not yet, and waits until it answers.
    pub(crate) fn start_backend(&mut self) {
        let mut serve = self.serve();
        serve.arg("--adopt").arg(self.path("founding.json"));
        self.backend = Some(Process::start(&mut serve, &self.path("backend.log")));
        until("the backend answers", Duration::from_secs(30), || {
            (self.run("alice", &["fleet", "show"]).code == Some(0)).then_some(())
        });
    }

    pub(crate) fn stop_backend(&mut self) {
        self.backend.take().expect("the backend runs").kill();
    }

    /// Runs `fleetseal serve` with these flags, which end it by themselves.
    pub(crate) fn serve_once(&self, flags: &[&str]) {
        let answer = run(self.serve().args(flags), COMMAND);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }

    /// A command of this person's.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Answer {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" 3<\"$0\""]).arg(self.path("passphrase")).arg(program("fleetseal"));
        command.arg("--workspace").arg(self.path(name));
        run(command.args(["--json", "--yes", "--passphrase-fd", "3"]).args(arguments), COMMAND)
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
        let body = answer.stderr.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        body.unwrap_or_else(|| {
            let whole: Option<Value> = serde_json::from_str(&answer.stderr).ok();
            whole.unwrap_or_else(|| panic!("errors are JSON: {}", answer.stderr))
        })
    }

    /// Drafts a change of whom the fleet trusts, and lets these people sign whatever it asks for.
    pub(crate) fn change(&self, edit: &[&str], signers: &[&str]) -> Value {
        let drafted = self.json("alice", &[&["fleet", "change"], edit].concat());
        self.sign(&drafted, signers);
        drafted
    }

    /// Lets these people sign the requests of a draft, each until it is in force.
    pub(crate) fn sign(&self, drafted: &Value, signers: &[&str]) {
        for request in drafted["requests"].as_array().expect("a draft asks for signatures") {
            let id = request["id"].as_str().expect("a request has an id");
            let mut state = Value::Null;
            for name in signers {
                if state != "published" {
                    state = self.json(name, &["request", "sign", id])["state"].take();
                }
            }
            assert_eq!(state, "published", "{drafted}");
        }
    }

    /// Lets these people sign the targets metadata anew.
    pub(crate) fn renew_targets(&self, signers: &[&str]) {
        let request = self.json("alice", &["request", "renew"]);
        self.sign(&serde_json::json!({ "requests": [request] }), signers);
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
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec \"$@\" 3<\"$0\""]).arg(self.path("passphrase")).arg(program("fleetseal"));
        command.arg("--workspace").arg(self.path("alice"));
        command.args(["--json", "--passphrase-fd", "3", "device", "approve"]).args(flags);
        let mut approve = Process::start(&mut command, &self.path("approve.log"));
        does(device);
        if flags.contains(&"--until-proven") {
            let ended = until("the approval ends", Duration::from_secs(60), || approve.ended());
            assert!(ended.success(), "{}", self.read("approve.log"));
        }
    }

    /// Proposes, signs, seals and publishes a release of one file, and gives its id.
    pub(crate) fn publish(&self, version: &str, file: &Path, signers: &[&str]) -> String {
        let file = file.display().to_string();
        let propose = ["release", "propose", &file, "--model", MODEL, "--component", "main"];
        let rest = ["--release-version", version, "--installer", "slots", "--notes", "the next one"];
        let release = self.json("alice", &[&propose[..], &rest].concat());
        let release = release["row"]["id"].as_str().expect("a release has an id").to_owned();
        for name in signers {
            self.json(name, &["release", "sign", &release]);
        }
        self.json("alice", &["release", "seal", &release, &file]);
        self.json("alice", &["release", "publish", &release]);
        release
    }

    /// Starts a rollout by this person to all devices, and gives its id.
    pub(crate) fn start_rollout(&self, name: &str, release: &str) -> String {
        let started = self.json(name, &["rollout", "start", release]);
        started["row"]["id"].as_str().expect("a rollout has an id").to_owned()
    }

    /// Starts a rollout by this person to all devices, and waits until all of them confirmed.
    pub(crate) fn roll_out(&self, name: &str, release: &str, devices: u32) {
        let rollout = self.start_rollout(name, release);
        let row = until("the rollout finishes", Duration::from_secs(90), || {
            let row = self.json(name, &["rollout", "show", &rollout])["row"].take();
            (row["state"] == "finished").then_some(row)
        });
        assert_eq!(row["counts"], serde_json::json!({ "succeeded": devices }), "{row}");
    }

    /// The key of somebody's certificate.
    pub(crate) fn spki(&self, name: &str) -> String {
        let people = self.json("alice", &["fleet", "people"]);
        let rows = people["rows"].as_array().expect("people are a list");
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{people}"));
        row["spki"].as_str().expect("a person has a key").to_owned()
    }

    /// The ids of somebody's keys for this.
    pub(crate) fn keys(&self, role: &str, holder: &str) -> Vec<String> {
        let keys = self.json("alice", &["fleet", "keys"]);
        let rows = keys["keys"].as_array().expect("keys are a list");
        let of = rows.iter().filter(|row| row["role"] == role && row["holder"] == holder);
        of.map(|row| row["id"].as_str().expect("a key has an id").to_owned()).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

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
}

impl Drop for Team {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.read("backend.log");
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            for line in last.iter().rev() {
                tell(line);
            }
        }
    }
}
