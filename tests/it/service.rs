//! The programs as a machine runs them: by a configuration file, as a service, from a shell.

use std::{fs, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    fleet::Fleet,
    page,
    program::{program, run},
    site::{MODEL, PASSPHRASE},
};

/// How long a tool of the system may take.
const TOOL: Duration = Duration::from_secs(60);

#[test]
fn a_backend_by_its_configuration_file_logs_json_lines_without_a_secret() {
    let mut fleet = Fleet::found();
    fleet.kill_backend();
    fleet.start_backend_by_file(&["--log", "json"], "backend.json-log");
    fleet.wait_for_backend();
    let token = fleet.path("token");
    let out = token.display().to_string();
    fleet.json(&["device", "token", "--serial", "P4-1", "--model", MODEL, "--out", &out]);
    fleet.refused("alice", &["device", "show", "dev_00000000000000000000000000000000"]);
    fleet.kill_backend();

    let log = fleet.read("backend.json-log");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(!lines.is_empty());
    for line in &lines {
        for field in ["timestamp", "level", "target", "fields"] {
            assert!(!line[field].is_null(), "no {field}: {line}");
        }
    }
    let token = fs::read_to_string(&token).expect("the token was written");
    for secret in [PASSPHRASE, token.trim()] {
        assert!(!log.contains(secret), "{log}");
    }
    for key in fs::read_dir(fleet.path("backend/keys")).expect("the backend has keys") {
        let key = fs::read(key.expect("they can be listed").path()).expect("they can be read");
        let hex: String = key.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        assert!(!log.contains(&hex), "{log}");
    }
}

#[test]
fn systemd_takes_the_unit_of_the_agent() {
    let unit = page::read("crates/agent/fleetseal-agent.service");
    let here = unit.replace("/usr/bin/fleetseal-agent", &program("fleetseal-agent").display().to_string());
    assert_ne!(unit, here);
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let path = dir.path().join("fleetseal-agent.service");
    fs::write(&path, here).expect("a temporary file can be written");
    let answer = run(Command::new("systemd-analyze").args(["--man=no", "verify"]).arg(&path), TOOL);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_shell_completes_the_commands() {
    let completions = |shell: &str| {
        let answer = run(Command::new(program("fleetseal")).args(["completions", shell]), TOOL);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        for area in ["vault", "fleet", "device", "release", "rollout", "link", "serve", "demo"] {
            assert!(answer.stdout.contains(area), "{shell} does not know {area}");
        }
        answer.stdout
    };
    for shell in ["zsh", "fish"] {
        completions(shell);
    }
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let script = dir.path().join("fleetseal.bash");
    fs::write(&script, completions("bash")).expect("a temporary file can be written");
    // As Bash does when somebody types `fleetseal roll` and the tab key.
    let tab = "source \"$0\"; COMP_WORDS=(fleetseal roll); COMP_CWORD=1; \
               _fleetseal fleetseal roll fleetseal; echo \"${COMPREPLY[@]}\"";
    let answer = run(Command::new("bash").args(["-c", tab]).arg(&script), TOOL);
    assert_eq!((answer.code, answer.stdout.trim()), (Some(0), "rollout"), "{answer:?}");
}
