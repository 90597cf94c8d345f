//! A release that no device jumps over.

use std::time::Duration;

use serde_json::Value;

use crate::{
    fleet::{Fleet, MODEL},
    program::alone,
};

fn publish(fleet: &Fleet, version: &str, flags: &[&str]) -> String {
    let script = format!("#!/bin/sh\necho \"{MODEL} main {version}\"\n");
    let file = fleet.write(&format!("main-{version}"), script).display().to_string();
    let propose = ["release", "propose", &file, "--model", MODEL, "--component", "main"];
    let rest = ["--release-version", version, "--installer", "slots", "--notes", "the next one"];
    let release = fleet.json(&[&propose[..], &rest, flags].concat());
    let release = release["row"]["id"].as_str().expect("a release has an id").to_owned();
    fleet.json(&["release", "sign", &release]);
    fleet.json(&["release", "seal", &release, &file]);
    fleet.json(&["release", "publish", &release, "--yes"]);
    release
}

#[test]
fn a_plan_names_the_release_that_devices_must_pass_first() {
    let _alone = alone();
    let fleet = Fleet::found();
    let mut device = fleet.enrol("P4-000001");
    device.start();
    let first = publish(&fleet, "1.1.0", &["--must-pass"]);
    let second = publish(&fleet, "1.2.0", &[]);

    let refused = fleet.run(&["rollout", "plan", &second]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let error: Value = serde_json::from_str(&refused.stderr).expect("errors are JSON");
    assert_eq!(error["code"], "precondition_failed", "{error}");
    let hint = error["hint"].as_str().expect("the error says what to do");
    assert!(hint.contains(&format!("`fleetseal rollout start {first}`")), "{hint}");

    fleet.wait_for_rollout(&fleet.roll_out(&first), 1, Duration::from_secs(60));
    // A unit that has not passed it yet stays behind; the other goes on.
    fleet.enrol("P4-000002");
    let plan = fleet.json(&["rollout", "plan", &second]);
    assert_eq!(plan["devices"], 1, "{plan}");
    assert_eq!(plan["excluded"][0]["reason"], "must_pass_first", "{plan}");
    assert_eq!(plan["excluded"][0]["first"]["release"], first.as_str(), "{plan}");
    fleet.wait_for_rollout(&fleet.roll_out(&second), 1, Duration::from_secs(60));
}
