//! Simulated devices, as somebody runs them against a backend of their own.

use std::time::Duration;

use crate::{
    fleet::Fleet,
    program::{program, run},
    site::MODEL,
};

/// How long each part of it may take.
const PATIENCE: Duration = Duration::from_secs(150);

#[test]
fn more_devices_than_a_program_may_have_connections_are_refused_clearly() {
    let fleet = Fleet::found();
    let sim = ["--json", "--passphrase-fd", "3", "sim", "--devices", "500", "--model", MODEL];
    let mut limited = std::process::Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 300; exec \"$@\" 3<\"$0\""]).arg(fleet.path("passphrase"));
    limited.arg(program("fleetseal")).arg("--workspace").arg(fleet.path("alice")).args(sim);
    let answer = run(&mut limited, PATIENCE);
    assert_ne!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("300 files open at once"), "{answer:?}");
    assert_eq!(devices(&fleet), 0);
}

/// How many devices the backend knows, over all pages.
fn devices(fleet: &Fleet) -> u64 {
    let mut count = 0;
    let mut page = fleet.json(&["device", "list"]);
    loop {
        count += page["rows"].as_array().expect("devices come as a list").len() as u64;
        let Some(next) = page["next"].as_str().map(str::to_owned) else { return count };
        page = fleet.json(&["device", "list", "--after", &next]);
    }
}
