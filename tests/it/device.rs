//! A device: the agent's program, a folder for its data, and two slots.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    program::{Process, program, run, tell},
    site::MODEL,
};

/// One device. Its process ends when it is dropped.
pub(crate) struct Device {
    pub(crate) serial: String,
    process: Option<Process>,
    dir: PathBuf,
}

impl Device {
    /// Sets a device up. Its component `main` is well when it prints the version that was installed.
    pub(crate) fn new(dir: &Path, serial: &str) -> Self {
        let device = Self { serial: serial.to_owned(), process: None, dir: dir.to_owned() };
        let config = format!(
            "data_dir = {:?}\nmodel = \"{MODEL}\"\nhardware_revision = \"1\"\nserial = \"{serial}\"\n\n\
             [[component]]\nname = \"main\"\ninstaller = \"slots\"\nversion = \"1.0.0\"\nslots.dir = {:?}\n\
             slots.health = {{ argv = [\"{{slot}}/artifact\", \"--version\"], prints = \"{{version}}\" }}\n",
            dir.join("data"),
            dir.join("slots"),
        );
        let written = fs::create_dir(dir).and_then(|()| fs::write(dir.join("agent.toml"), config));
        written.expect("a temporary file can be written");
        device
    }

    /// Where its enrolment token is put.
    pub(crate) fn token(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// Enrols it; somebody has to approve meanwhile.
    pub(crate) fn enrol(&self) {
        let mut enrol = self.agent("enrol");
        let enrolled = run(enrol.arg("--token-file").arg(self.token()), Duration::from_secs(60));
        assert_eq!(enrolled.code, Some(0), "{enrolled:?}");
    }

    /// Asks for a fresh certificate; somebody has to approve meanwhile.
    pub(crate) fn renew(&self) {
        let renewed = run(&mut self.agent("renew"), Duration::from_secs(60));
        assert_eq!(renewed.code, Some(0), "{renewed:?}");
    }

    /// Whether a file of its own data holds this text.
    pub(crate) fn stores(&self, text: &str) -> bool {
        let files = fs::read_dir(self.dir.join("data")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read(file.path()).ok())
            .any(|content| content.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    pub(crate) fn start(&mut self) {
        self.process = Some(Process::start(&mut self.agent("run"), &self.dir.join("log")));
    }

    /// Cuts its power.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("the device runs").kill();
    }

    /// Stops its process, or lets it go on.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.process.as_ref().expect("the device runs").signal(signal);
    }

    /// The id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.as_ref().expect("the device runs").id()
    }

    /// What it says of its component: version, and what is under way. `None` if it cannot be read just now.
    pub(crate) fn status(&self) -> Option<Value> {
        let answer = run(self.agent("status").arg("--json"), Duration::from_secs(30));
        (answer.code == Some(0)).then(|| serde_json::from_str(&answer.stdout).expect("a status is JSON"))
    }

    /// The file that runs, if any does.
    pub(crate) fn running(&self) -> Option<Vec<u8>> {
        fs::read(self.dir.join("slots/current/artifact")).ok()
    }

    fn agent(&self, verb: &str) -> Command {
        let mut command = Command::new(program("fleetseal-agent"));
        command.arg("--config").arg(self.dir.join("agent.toml")).arg(verb);
        command
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            for line in last.iter().rev() {
                tell(&format!("{}: {line}", self.serial));
            }
        }
    }
}
