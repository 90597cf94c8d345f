//! A release that no device jumps over.

use std::time::Duration;

use serde_json::Value;

use crate::{fleet::Fleet, program::alone, site::software};

fn publish(fleet: &Fleet, version: &str, flags: &[&str]) -> String {
    let file = fleet.write(&format!("main-{version}"), software(version));
    let release = fleet.propose(version, &file, flags);
    fleet.bring_out(&release, &file, &["alice"]);
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
