use std::{fs, io, path::Path};

use super::*;
use crate::installer::{Program, ProgramError};

mod rauc;
mod swupdate;

struct Zeros(u32);

impl Content for Zeros {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let left = self.0;
        self.0 = left.saturating_sub(1);
        Ok((left > 0).then_some(&[0; 1000]))
    }
}

fn artifact() -> Artifact {
    Artifact {
        component: "system".parse().unwrap(),
        target: "system.raucb".parse().unwrap(),
        version: "2.0.0".parse().unwrap(),
        security_counter: model::SecurityCounter(1),
        length_bytes: 3000,
        digest: envelope::sha256(b"system"),
        installer: "command".parse().unwrap(),
    }
}

/// Runs `script` with the test's folder as `$1`, and `{artifact}` and `{version}` behind it.
fn shell(dir: &Path, script: &str, more: &[&str]) -> Program {
    let dir = dir.display().to_string();
    let mut argv = vec!["sh", "-c", script, "sh", &dir];
    argv.extend(more);
    Program::new(&argv, 5)
}

fn plan(dir: &Path) -> CommandPlan {
    CommandPlan {
        install: shell(dir, "wc -c <$2 >$1/installed", &["{artifact}"]),
        reboot: Some(shell(dir, "echo reboot >>$1/log", &[])),
        booted: Some(shell(dir, "cat $1/booted", &[])),
        health: None,
        confirm: Some(shell(dir, "echo good >>$1/log", &[])),
        roll_back: Some(shell(dir, "echo bad >>$1/log", &[])),
        abandon: Some(shell(dir, "echo abandon >>$1/log", &[])),
    }
}

fn installer(dir: &Path, plan: CommandPlan) -> CommandInstaller {
    let name = "command".parse().unwrap();
    CommandInstaller::new(name, &"system".parse().unwrap(), plan, dir)
}

fn log(dir: &Path) -> String {
    fs::read_to_string(dir.join("log")).unwrap_or_default()
}

/// Pretends that the kernel was booted since the trial began, into `booted`.
fn boot(dir: &Path, booted: &str) {
    fs::write(dir.join("booted"), booted).unwrap();
    rebooted(dir);
}

/// Pretends that the kernel was booted since the trial began.
fn rebooted(dir: &Path) {
    let path = dir.join("trial-system.json");
    let mut noted: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    noted["boot_id"] = "another".into();
    fs::write(path, noted.to_string()).unwrap();
}

async fn on_trial(dir: &Path) -> CommandInstaller {
    fs::write(dir.join("booted"), r#"{"booted": "A", "uptime": 1}"#).unwrap();
    let mut installer = installer(dir, plan(dir));
    installer.install(&artifact(), &mut Zeros(3)).await.unwrap();
    assert_eq!(fs::read_to_string(dir.join("installed")).unwrap().trim(), "3000");
    assert!(!dir.join("artifact-system").exists());
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
    assert_eq!(installer.start_trial(&artifact()).await.unwrap(), Boot::Restarting);
    // Asked before the machine went down.
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
    assert_eq!(log(dir), "reboot\n");
    installer
}

#[tokio::test]
async fn new_software_that_booted_is_confirmed() {
    let temp = tempfile::tempdir().unwrap();
    let mut installer = on_trial(temp.path()).await;
    boot(temp.path(), r#"{"booted": "B", "uptime": 2}"#);
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::Running);
    installer.check(&artifact()).await.unwrap();
    installer.confirm(&artifact()).await.unwrap();
    assert_eq!(log(temp.path()), "reboot\ngood\n");
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
}

#[tokio::test]
async fn a_boot_loader_that_went_back_is_noticed() {
    let temp = tempfile::tempdir().unwrap();
    let mut installer = on_trial(temp.path()).await;
    boot(temp.path(), r#"{"booted": "A", "uptime": 2}"#);
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::FellBack);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Running);
    assert_eq!(log(temp.path()), "reboot\nabandon\n");
}

#[tokio::test]
async fn going_back_from_the_new_software_takes_another_boot() {
    let temp = tempfile::tempdir().unwrap();
    let mut installer = on_trial(temp.path()).await;
    boot(temp.path(), r#"{"booted": "B"}"#);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Restarting);
    assert_eq!(log(temp.path()), "reboot\nbad\nreboot\n");
    boot(temp.path(), r#"{"booted": "A"}"#);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Running);
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::NotStarted);
}

#[tokio::test]
async fn without_a_reboot_the_software_runs_as_soon_as_it_is_installed() {
    let temp = tempfile::tempdir().unwrap();
    let install = shell(temp.path(), "wc -c >$1/installed", &[]);
    let plan = CommandPlan { install, reboot: None, booted: None, ..plan(temp.path()) };
    let mut installer = installer(temp.path(), plan);
    installer.install(&artifact(), &mut Zeros(3)).await.unwrap();
    assert_eq!(fs::read_to_string(temp.path().join("installed")).unwrap().trim(), "3000");
    assert_eq!(installer.start_trial(&artifact()).await.unwrap(), Boot::Running);
    assert_eq!(installer.trial(&artifact()).await.unwrap(), Trial::Running);
    assert_eq!(installer.roll_back(&artifact()).await.unwrap(), Boot::Running);
    assert_eq!(log(temp.path()), "bad\n");
}

#[tokio::test]
async fn an_installer_that_says_no_is_quoted_and_nothing_is_left_behind() {
    let temp = tempfile::tempdir().unwrap();
    let install = shell(temp.path(), "echo signature mismatch >&2; exit 1", &["{artifact}"]);
    let mut installer = installer(temp.path(), CommandPlan { install, ..plan(temp.path()) });
    let error = installer.install(&artifact(), &mut Zeros(3)).await.unwrap_err();
    let InstallError::Program { step: "install", source } = error else { panic!("{error}") };
    assert!(source.to_string().contains("signature mismatch"), "{source}");
    assert!(!temp.path().join("artifact-system").exists());
}

/// Runs a program that must succeed, and gives what it printed.
fn tool(argv: &[&str]) -> String {
    let ran = std::process::Command::new(argv[0]).args(&argv[1..]).output();
    let ran = ran.unwrap_or_else(|error| panic!("{argv:?}: {error}; `cargo xtask test` installs it"));
    let [out, err] = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(ran.status.success(), "{argv:?}: {out} {err}");
    out
}

/// A self-signed certificate, in `<name>.pem`, over the key in `<name>.key`.
fn signer(dir: &Path, name: &str, usage: &str) {
    let file = |ending: &str| dir.join(format!("{name}.{ending}")).display().to_string();
    let usage = format!("extendedKeyUsage={usage}");
    let make =
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=test"];
    tool(&[&make[..], &["-addext", &usage, "-keyout", &file("key"), "-out", &file("pem")]].concat());
}

/// A file as the agent hands it over.
struct Whole(Vec<u8>, usize);

impl Content for Whole {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let from = self.1;
        self.1 = self.0.len().min(from + 65_536);
        Ok((from < self.1).then(|| &self.0[from..self.1]))
    }
}

impl Whole {
    fn read(path: &Path) -> Self {
        Self(fs::read(path).unwrap(), 0)
    }
}

/// What was said by the program that refused to install.
fn refusal(installed: Result<(), InstallError>) -> String {
    match installed {
        Err(InstallError::Program { step: "install", source: ProgramError::Ended { said, status, .. } }) => {
            assert_eq!(status.code(), Some(1), "{said}");
            said
        }
        other => panic!("it was not refused by the program: {other:?}"),
    }
}
