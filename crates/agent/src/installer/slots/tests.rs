use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::*;
use crate::installer::{Health, Program};

struct Bytes(Option<Vec<u8>>, Vec<u8>);

impl Bytes {
    fn new(bytes: &[u8]) -> Self {
        Self(Some(bytes.to_vec()), Vec::new())
    }
}

impl Content for Bytes {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(bytes) = self.0.take() else { return Ok(None) };
        self.1 = bytes;
        Ok(Some(&self.1))
    }
}

/// The content of an artifact that the power fails in the middle of.
struct Cut;

impl Content for Cut {
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn artifact(version: &str) -> Artifact {
    Artifact {
        component: "app".parse().unwrap(),
        target: "app/app.bin".parse().unwrap(),
        version: version.parse().unwrap(),
        security_counter: model::SecurityCounter(1),
        length_bytes: 1,
        digest: envelope::sha256(version.as_bytes()),
        installer: "slots".parse().unwrap(),
    }
}

/// A program that says its version, as an artifact.
fn program(version: &str) -> Vec<u8> {
    format!("#!/bin/sh\necho app {version}\n").into_bytes()
}

fn plan(dir: &Path) -> SlotsPlan {
    SlotsPlan {
        dir: dir.to_path_buf(),
        restart: None,
        service: None,
        health: Some(Health {
            argv: vec!["{slot}/artifact".into(), "--version".into()],
            timeout_seconds: 5,
            prints: Some("{version}".into()),
            tries: 3,
            pause_seconds: 0,
        }),
    }
}

fn open(temp: &TempDir) -> SlotsInstaller {
    SlotsInstaller::open(plan(temp.path())).unwrap()
}

/// What runs from `current`.
fn runs(temp: &TempDir) -> Option<String> {
    fs::read_to_string(temp.path().join("current/artifact")).ok()
}

async fn update(slots: &mut SlotsInstaller, version: &str, content: &[u8]) -> Result<(), InstallError> {
    let artifact = artifact(version);
    slots.install(&artifact, &mut Bytes::new(content)).await?;
    assert_eq!(slots.start_trial(&artifact).await?, Boot::Running);
    assert_eq!(slots.trial(&artifact).await?, Trial::Running);
    slots.check(&artifact).await
}

#[tokio::test]
async fn an_update_is_written_beside_switched_to_checked_and_kept() {
    let temp = tempfile::tempdir().unwrap();
    let mut slots = open(&temp);
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        update(&mut slots, version, &program(version)).await.unwrap();
        slots.confirm(&artifact(version)).await.unwrap();
        assert_eq!(runs(&temp).unwrap().as_bytes(), program(version));
        assert_eq!(slots.trial(&artifact(version)).await.unwrap(), Trial::NotStarted);
    }
    let mode = fs::metadata(temp.path().join("current/artifact")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert!(!temp.path().join("trial").exists());
}

#[tokio::test]
async fn software_that_is_not_well_gives_way_to_what_ran_before() {
    let temp = tempfile::tempdir().unwrap();
    let mut slots = open(&temp);
    update(&mut slots, "1.0.0", &program("1.0.0")).await.unwrap();
    slots.confirm(&artifact("1.0.0")).await.unwrap();
    for wrong in [&b"#!/bin/sh\nexit 1\n"[..], &program("9.9.9"), b"no program"] {
        let error = update(&mut slots, "2.0.0", wrong).await.unwrap_err();
        assert!(matches!(error, InstallError::Program { step: "health", .. }), "{error}");
        assert_eq!(slots.roll_back(&artifact("2.0.0")).await.unwrap(), Boot::Running);
        assert_eq!(runs(&temp).unwrap().as_bytes(), program("1.0.0"));
        // Once more is harmless.
        assert_eq!(slots.roll_back(&artifact("2.0.0")).await.unwrap(), Boot::Running);
        assert_eq!(runs(&temp).unwrap().as_bytes(), program("1.0.0"));
    }
}

#[tokio::test]
async fn the_first_artifact_of_all_rolls_back_to_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let mut slots = open(&temp);
    update(&mut slots, "1.0.0", b"no program").await.unwrap_err();
    slots.roll_back(&artifact("1.0.0")).await.unwrap();
    assert_eq!(runs(&temp), None);
    assert!(fs::symlink_metadata(temp.path().join("current")).is_err());
}

#[tokio::test]
async fn a_power_cut_between_any_two_steps_leaves_one_software_whole() {
    let temp = tempfile::tempdir().unwrap();
    let (old, new) = (artifact("1.0.0"), artifact("2.0.0"));
    let mut slots = open(&temp);
    update(&mut slots, "1.0.0", &program("1.0.0")).await.unwrap();
    slots.confirm(&old).await.unwrap();

    // In the middle of writing.
    slots.install(&new, &mut Cut).await.unwrap_err();
    let mut slots = open(&temp);
    assert_eq!(slots.trial(&new).await.unwrap(), Trial::NotStarted);
    assert_eq!(runs(&temp).unwrap().as_bytes(), program("1.0.0"));
    slots.install(&new, &mut Bytes::new(&program("2.0.0"))).await.unwrap();

    // Between the mark and the switch.
    slots.marker.write(new.digest, Some("a".into())).unwrap();
    let mut slots = open(&temp);
    assert_eq!(slots.trial(&new).await.unwrap(), Trial::NotStarted);
    slots.start_trial(&new).await.unwrap();

    // On trial, and started twice for good measure.
    let mut slots = open(&temp);
    assert_eq!(slots.trial(&new).await.unwrap(), Trial::Running);
    slots.start_trial(&new).await.unwrap();
    assert_eq!(runs(&temp).unwrap().as_bytes(), program("2.0.0"));

    // Between the switch back and the removal of the mark.
    disk::point(temp.path(), CURRENT, "a").unwrap();
    let mut slots = open(&temp);
    slots.roll_back(&new).await.unwrap();
    assert_eq!(runs(&temp).unwrap().as_bytes(), program("1.0.0"));
}

#[tokio::test]
async fn a_restart_follows_every_switch_and_its_failure_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let log = temp.path().join("log");
    let script = format!("echo $1 >>{0}; test $1 != 2.0.0", log.display());
    let plan = SlotsPlan {
        restart: Some(Program::new(&["sh", "-c", &script, "sh", "{version}"], 5)),
        ..plan(temp.path())
    };
    let mut slots = SlotsInstaller::open(plan).unwrap();
    update(&mut slots, "1.0.0", &program("1.0.0")).await.unwrap();
    slots.confirm(&artifact("1.0.0")).await.unwrap();
    let error = update(&mut slots, "2.0.0", &program("2.0.0")).await.unwrap_err();
    assert!(matches!(error, InstallError::Program { step: "restart", .. }), "{error}");
    slots.roll_back(&artifact("2.0.0")).await.unwrap();
    assert_eq!(runs(&temp).unwrap().as_bytes(), program("1.0.0"));
    assert_eq!(fs::read_to_string(log).unwrap(), "1.0.0\n2.0.0\n2.0.0\n");
}

#[tokio::test]
async fn a_service_runs_from_the_current_slot_and_must_keep_running() {
    let temp = tempfile::tempdir().unwrap();
    let plan = SlotsPlan {
        service: Some(ServicePlan {
            argv: vec!["{current}/artifact".into(), temp.path().join("pid").display().to_string()],
            settle_seconds: 0,
        }),
        health: None,
        ..plan(temp.path())
    };
    let mut slots = SlotsInstaller::open(plan).unwrap();
    let lasting = b"#!/bin/sh\necho $$ >$1\nexec sleep 1000\n";
    update(&mut slots, "1.0.0", lasting).await.unwrap();
    slots.confirm(&artifact("1.0.0")).await.unwrap();
    let pid = loop {
        match fs::read_to_string(temp.path().join("pid")) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
            Ok(_) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    assert!(Path::new("/proc").join(&pid).exists());
    let slots_service = slots.service.as_mut().unwrap();
    slots_service.settled().await.unwrap();
    slots_service.stop().await;
    assert!(!Path::new("/proc").join(&pid).exists());
    slots_service.settled().await.unwrap_err();
}

#[tokio::test]
async fn a_link_to_somewhere_else_is_not_touched() {
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc", temp.path().join(CURRENT)).unwrap();
    assert!(matches!(SlotsInstaller::open(plan(temp.path())), Err(InstallError::Setup { .. })));
}
