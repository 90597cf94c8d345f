//! The runbook of the signing ceremony, command by command, as it stands there.

use std::{net::TcpListener, path::Path, process::Command, time::Duration};

use crate::program::{alone, program, run};

/// How long the whole of it may take.
const LONGEST: Duration = Duration::from_secs(300);

#[test]
fn the_ceremony_of_the_runbook_ends_in_a_release_that_a_device_installs() {
    let _alone = alone();
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks/ceremony.md");
    let runbook = std::fs::read_to_string(runbook).expect("the runbook is there");
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let script = dir.path().join("ceremony.sh");
    std::fs::write(&script, commands(&runbook)).expect("a temporary file can be written");
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());

    let fleetseal = program("fleetseal");
    program("fleetseal-agent");
    let programs = fleetseal.parent().expect("a program lies in a folder").display();
    let path = format!("{programs}:{}", std::env::var("PATH").expect("there is a PATH"));
    let mut play = Command::new("timeout");
    play.args(["--signal=TERM", &(LONGEST.as_secs() - 10).to_string(), "bash", "-euxo", "pipefail"]);
    play.arg(&script).current_dir(dir.path()).env("PATH", path).env_remove("FLEETSEAL_WORKSPACE");
    play.env("BIND", port.expect("there is a free port").to_string());
    let answer = run(&mut play, LONGEST);

    let log =
        |name: &str| std::fs::read_to_string(dir.path().join("ceremony").join(name)).unwrap_or_default();
    assert_eq!(
        answer.code,
        Some(0),
        "{}\n{}\n{}\n{}",
        answer.stdout,
        answer.stderr,
        log("backend.log"),
        log("device.log")
    );
    let installed = dir.path().join("ceremony/slots/current/artifact");
    let released = std::fs::read(dir.path().join("ceremony/main-1.1.0")).expect("what was released is there");
    assert_eq!(std::fs::read(installed).expect("the device installed it"), released);
    for said in ["threshold_not_met", "the PIN of token", "already_signed", "1 succeeded"] {
        let told = answer.stdout.contains(said) || answer.stderr.contains(said);
        assert!(told, "nobody said `{said}`\n{}\n{}", answer.stdout, answer.stderr);
    }
}

/// The shell commands of a page, in their order.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let commands: String = blocks.map(|(block, _)| block).collect();
    assert!(commands.lines().count() > 40, "the runbook's commands are found:\n{commands}");
    commands
}
