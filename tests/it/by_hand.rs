//! The walk-through of the README, with the exit codes that it promises.

use std::time::Duration;

use crate::{
    fleet::Fleet,
    program::{alone, until},
};

#[test]
fn a_person_alone_founds_a_fleet_and_a_device_confirms_their_file() {
    let _alone = alone();
    let fleet = Fleet::found();
    let mut device = fleet.enrol("P4-000123");
    device.start();
    assert_eq!(device.running(), None);

    let script = "#!/bin/sh\necho \"press-4 main 1.1.0\"\n";
    let release = fleet.publish("1.1.0", &fleet.write("main-1.1.0", script));
    assert_eq!(device.running(), None, "nothing is installed before a rollout");
    let rollout = fleet.roll_out(&release);
    fleet.wait_for_rollout(&rollout, 1, Duration::from_secs(60));
    assert_eq!(device.running().as_deref(), Some(script.as_bytes()));
    until("the device lists the version", Duration::from_secs(30), || {
        let rows = fleet.json(&["device", "list"])["rows"].take();
        let row = &rows[0];
        assert_eq!(row["state"], "active", "{rows}");
        (row["components"][0]["version"] == "1.1.0").then_some(())
    });
    let status = device.status().expect("a status can be read beside a running agent");
    assert_eq!(status["components"]["main"]["version"], "1.1.0", "{status}");
    let links = fleet.json(&["fleet", "show"])["links"].take();
    assert_eq!((&links["consumed"], &links["open"]), (&1.into(), &0.into()), "{links}");
    assert_eq!(fleet.json(&["fleet", "alarms"])["rows"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_done_ends_with_the_exit_code_of_the_readme() {
    let _alone = alone();
    let fleet = Fleet::found();
    let release = fleet.propose("1.1.0", &fleet.write("main-1.1.0", "the next one"));
    let refused = |arguments: &[&str], exit: i32, code: &str| {
        let answer = fleet.run(arguments);
        assert_eq!(answer.code, Some(exit), "{answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.stderr).expect("errors are JSON");
        assert_eq!(body["code"], code, "{body}");
    };

    refused(&["release", "publish", &release, "--yes"], 5, "threshold_not_met");
    refused(&["rollout", "start", &release, "--yes"], 5, "precondition_failed");
    let last = if release.ends_with('0') { "1" } else { "0" };
    let unknown = format!("{}{last}", &release[..release.len() - 1]);
    refused(&["release", "show", &unknown], 4, "not_found");
    let usage = fleet.run(&["release", "show", "no-id"]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
    let wrong = fleet.run_without_knowing(&["release", "sign", &release]);
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
    assert!(wrong.stderr.contains("wrong_passphrase"), "{wrong:?}");
}
