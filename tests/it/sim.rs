//! Simulated devices with faults, as somebody runs them against a backend of their own.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    program::{alone, run, until},
    site::MODEL,
};

/// Draws one device of 50 for each fault.
const SEED: &str = "3211";
const DEVICES: u64 = 50;
/// How long each part of it may take.
const PATIENCE: Duration = Duration::from_secs(150);

#[test]
fn a_simulated_fleet_with_faults_by_seed_is_updated_and_repels_what_is_tried() {
    let _alone = alone();
    let fleet = Fleet::found();
    let file = fleet.write("software", vec![7; 1_200_000]);
    let release = fleet.publish("2.0.0", &file);
    let flags =
        ["sim", "--model", MODEL, "--devices", "50", "--per-second", "50", "--faults", "--seed", SEED];
    let mut sim = fleet.start("alice", &flags, "report");
    // One is copied on purpose, which shows by its counter.
    let cloned = until("all devices are there, and the copy is noticed", PATIENCE, || {
        assert_eq!(sim.ended(), None, "{}", fleet.read("report"));
        let overview = fleet.json(&["fleet", "alarms"]);
        let alarms = overview["rows"].as_array()?.iter();
        let device =
            alarms.filter(|alarm| alarm["kind"] == "cloned").find_map(|alarm| alarm["device"].as_str());
        let device = device?.to_owned();
        let known: u64 = devices(&fleet);
        (known == DEVICES).then_some(device)
    });
    fleet.json(&["device", "revoke", &cloned, "--reason", "its disk was copied"]);
    let started = fleet.json(&["rollout", "start", &release, "--link-life", "6s"]);
    let rollout = started["row"]["id"].as_str().expect("a rollout has an id").to_owned();
    let row = until("the rollout finishes", PATIENCE, || {
        let row = fleet.json(&["rollout", "show", &rollout])["row"].take();
        (row["state"] == "finished").then_some(row)
    });
    assert_eq!(row["counts"], json!({ "succeeded": DEVICES - 2, "rolled_back": 1 }), "{row}");

    sim.signal(Signal::INT);
    let ended = until("the simulation ends", PATIENCE, || sim.ended());
    let printed = fleet.read("report");
    assert!(ended.success(), "{printed}");
    let json = &printed[printed.find('{').expect("there is a report")..];
    let report: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let tally = &report["tally"];
    assert_eq!(tally["repelled"], json!({ "foreign_certificate": 1, "replay": 1 }), "{report}");
    assert_eq!(tally["let_through"], json!({}), "{report}");
    assert_eq!(tally["stopped"], json!({}), "{report}");
    assert_eq!((&tally["reached"]["succeeded"], &tally["reached"]["rolled_back"]), (&json!(48), &json!(1)));
    assert!(tally["troubles"].as_u64() >= Some(2), "one line was cut, and one altered a byte: {report}");
    for (what, least) in [("check_in", DEVICES), ("download", DEVICES - 1), ("update", DEVICES - 2)] {
        let times = |name: &str| report[what][name].as_u64().expect("times are numbers");
        assert!(times("count") >= least, "{what}: {report}");
        let [p50, p90, p99, max] = ["p50_us", "p90_us", "p99_us", "max_us"].map(times);
        assert!(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max * 1_001 / 1_000, "{what}: {report}");
    }
}

#[test]
fn more_devices_than_a_program_may_have_connections_are_refused_clearly() {
    let fleet = Fleet::found();
    let sim = ["--json", "--passphrase-fd", "3", "sim", "--devices", "500", "--model", MODEL];
    let mut limited = std::process::Command::new("/bin/sh");
    limited.args(["-c", "ulimit -n 300; exec \"$@\" 3<\"$0\""]).arg(fleet.path("passphrase"));
    limited.arg(crate::program::program("fleetseal")).arg("--workspace").arg(fleet.path("alice")).args(sim);
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
