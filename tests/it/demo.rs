//! The demonstration, as it is started by whoever tries Fleetseal for the first time.

use std::{collections::BTreeMap, process::Command, time::Duration};

use serde_json::Value;

use crate::program::{alone, program, run};

#[test]
fn the_demo_keeps_every_rule() {
    let _alone = alone();
    let mut command = Command::new(program("fleetseal"));
    let answer = run(command.args(["--json", "demo", "--devices", "14"]), Duration::from_secs(180));
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout).expect("the report is JSON");
    assert_eq!(report["kept"], true, "{report}");
    assert_eq!(report["astray"], serde_json::json!([]), "{report}");

    let mut trials: BTreeMap<&str, u32> = BTreeMap::new();
    for trial in report["rules"].as_array().expect("there is a list of trials") {
        assert_eq!(trial["held"], true, "{trial}");
        *trials.entry(trial["rule"].as_str().expect("a trial names its rule")).or_default() += 1;
    }
    for rule in (1..=14).map(|number| format!("R{number}")) {
        assert!(trials.contains_key(rule.as_str()), "{rule} was not tried: {trials:?}");
    }
}
