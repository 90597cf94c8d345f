//! The demonstration, as it is started by whoever tries Fleetseal for the first time.

use std::{path::Path, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::{
    program::{Process, alone, program, run, until},
    site::PASSPHRASE,
};

/// How long a demo may take before it is given up.
const LONGEST: Duration = Duration::from_secs(180);

/// What is tried, in the order of the rules.
const TRIALS: &[(&str, &str)] = &[
    ("R1", "connect with a certificate that nobody issued"),
    ("R1", "speak HTTP without TLS"),
    ("R10", "found a fleet with one signature of the two that its root asks for"),
    ("R10", "publish a release that one of two key holders signed"),
    ("R10", "publish a release that one of two key holders signed"),
    ("R10", "serve targets that no release key signed, with stolen timestamp keys"),
    ("R11", "hand a device the ticket of another"),
    ("R12", "cut the line in the middle of a download"),
    ("R12", "flip a bit of what a device staged"),
    ("R12", "serve ciphertext with one byte altered, by a true ticket and a link made with stolen keys"),
    ("R13", "hand a device a ticket that it has used"),
    ("R13", "serve yesterday's targets under fresh timestamps, signed with stolen keys"),
    ("R13", "serve yesterday's timestamp, which is still in time"),
    ("R13", "start a phase an hour before its signed time, with a clock that lies"),
    ("R14", "boot new software that does not come up"),
    ("R2", "alter a byte between device and backend"),
    ("R3", "a revoked device asks once more"),
    ("R3", "enrol a second device with the keys of a first one"),
    ("R3", "run a device beside a copy of its disk"),
    ("R4", "use another device's open link, with a good certificate of one's own"),
    ("R5", "use a link after its time, with the right certificate"),
    ("R6", "use a link again after its download, within its time and with the right certificate"),
    ("R7", "let a link lapse unused"),
    ("R8", "hand a desktop a certificate with the backend's own KEM key, to read the update"),
    ("R8", "search the backend's disk for the update"),
    ("R9", "open a captured link with another device's key"),
];

#[test]
fn the_demo_keeps_every_rule() {
    let _alone = alone();
    let report = demo(&["--devices", "14"]);
    let seconds = report["seconds"].as_f64().expect("the report says how long it took");
    // A minute is meant for a release build on a machine that does nothing else.
    assert!(seconds < 150.0, "the whole story took {seconds} s");
    // Seventeen devices: one fails its trial, one is revoked, one is copied.
    ends_well(&report, 14);
}

#[test]
fn a_demo_of_a_data_file_is_kept_and_opened_again() {
    let _alone = alone();
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let path = |name: &str| dir.path().join(name).display().to_string();
    // No program, and shorter than a line lives before it fails.
    std::fs::write(path("map.bin"), b"the valleys and the hills, 1:25000\n".repeat(40))
        .expect("it can be written");
    std::fs::write(path("passphrase"), PASSPHRASE).expect("it can be written");
    let report = demo(&["--devices", "12", "--artifact", &path("map.bin"), "--data", &path("kept")]);
    ends_well(&report, 12);

    let next = report["next"][0].as_str().expect("the report says how to go on");
    let mut words = next.split_whitespace();
    assert_eq!(words.next(), Some("fleetseal"), "{next}");
    let _backend = Process::start(Command::new(program("fleetseal")).args(words), Path::new(&path("log")));
    let fleet = until("the kept backend answers", Duration::from_secs(30), || {
        let mut show = Command::new("/bin/sh");
        show.args(["-c", "exec \"$@\" 3<\"$0\"", &path("passphrase")]).arg(program("fleetseal"));
        show.args(["--json", "--passphrase-fd", "3", "--workspace", &path("kept/alice"), "rollout", "list"]);
        let answer = run(&mut show, LONGEST);
        (answer.code == Some(0)).then(|| serde_json::from_str::<Value>(&answer.stdout).expect("it is JSON"))
    });
    let mut rollouts: Vec<_> = fleet["rows"].as_array().expect("rollouts come as a list").iter().collect();
    rollouts.retain(|rollout| rollout["state"] == "finished");
    assert_eq!(rollouts.len(), 1, "{fleet}");
    assert_eq!(rollouts[0]["counts"], report["deployments"], "{fleet}");
}

fn demo(flags: &[&str]) -> Value {
    let answer = run(Command::new(program("fleetseal")).args(["--json", "demo"]).args(flags), LONGEST);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    serde_json::from_str(&answer.stdout).expect("the report is JSON")
}

/// Everything was tried and held, and so many devices were updated.
fn ends_well(report: &Value, succeeded: u64) {
    assert_eq!(report["kept"], true, "{report}");
    assert_eq!(report["astray"], json!([]), "{report}");
    let trials = report["rules"].as_array().expect("there is a list of trials");
    let mut tried: Vec<_> = trials
        .iter()
        .map(|trial| {
            assert_eq!(trial["held"], true, "{trial}");
            let word = |name: &str| trial[name].as_str().expect("a trial is told in words");
            (word("rule"), word("tried"))
        })
        .collect();
    tried.sort_unstable();
    assert_eq!(tried, TRIALS);

    assert_eq!(report["deployments"], json!({ "succeeded": succeeded, "rolled_back": 1, "canceled": 2 }));
    let links = |what: &str| report["links"][what].as_u64().expect("links are counted");
    assert!(links("consumed") > succeeded, "whoever was updated used a link up: {}", report["links"]);
    assert!(
        links("expired") >= 1 && links("reissued") >= 2,
        "one lapsed, one was spoiled: {}",
        report["links"]
    );
    let ends = ["open", "consumed", "expired", "revoked"].map(links).iter().sum::<u64>();
    assert_eq!(links("issued"), ends, "{}", report["links"]);
}
