//! The runbook of a restored backend, played with the real programs.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use crate::{
    fleet::Fleet,
    page,
    program::{Answer, alone, until},
    site::software,
};

/// The commands of a section of the runbook, in order.
fn commands(section: &str) -> Vec<Vec<String>> {
    let runbook = page::read("docs/runbooks/restored-backend.md");
    let (_, from) = runbook.split_once(&format!("## {section}\n")).expect("the section is there");
    let section = from.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
    let found: Vec<_> = blocks.flat_map(str::lines).map(words).collect();
    assert!(!found.is_empty());
    found
}

/// Runs a command of the runbook; what it asks is answered with yes.
fn play(fleet: &Fleet, command: &[String]) -> Answer {
    let export = fleet.path("audit-export.json").display().to_string();
    let words = command.iter().map(|word| if word == "audit-export.json" { &export } else { word });
    fleet.run(&words.map(String::as_str).collect::<Vec<_>>())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

fn device<'a>(list: &'a Value, serial: &str) -> &'a Value {
    let rows = list["rows"].as_array().expect("a list has rows");
    rows.iter().find(|row| row["serial"] == serial).expect("the device is on record")
}

#[test]
fn a_backend_that_was_restored_is_noticed_and_recovered_by_the_runbook() {
    let _alone = alone();
    let mut fleet = Fleet::found();
    let mut stays = fleet.enrol("P4-000001");
    let stolen = fleet.enrol("P4-000002");
    let (data, backup) = (fleet.path("backend"), fleet.path("backup"));
    fleet.kill_backend();
    copy(&data, &backup);
    fleet.start_backend();
    fleet.wait_for_backend();

    // What the backup does not know: a release and a revocation.
    fleet.publish("1.1.0", &fleet.write("main-1.1.0", "#!/bin/sh\necho 1.1.0\n"));
    let list = fleet.json(&["device", "list"]);
    let id = device(&list, &stolen.serial)["id"].as_str().expect("a device has an id").to_owned();
    fleet.json(&["device", "revoke", &id, "--reason", "stolen"]);
    let before = fleet.json(&["fleet", "show"])["targets_version"].as_u64();

    fleet.kill_backend();
    fs::remove_dir_all(&data).expect("the data can be removed");
    fs::rename(&backup, &data).expect("the backup can be put back");
    fleet.start_backend();
    fleet.wait_for_backend();
    let forgotten = fleet.json(&["device", "list"]);
    assert_eq!(device(&forgotten, &stolen.serial)["state"], "active", "the backend forgot");

    for command in commands("Notice") {
        let noticed = play(&fleet, &command);
        assert_eq!(noticed.code, Some(8), "{noticed:?}");
        assert!(noticed.stderr.contains("backend_restored"), "{noticed:?}");
    }
    stays.start();
    let token = fleet.run(&["device", "token", "--serial", "P4-000003", "--model", "press-4"]);
    assert_eq!(token.code, Some(8), "{token:?}");
    fleet.kill_backend();
    fleet.start_backend();
    fleet.wait_for_backend();
    let alarms = fleet.json(&["fleet", "alarms"]);
    assert!(alarms.to_string().contains("backend_restored"), "{alarms}");

    for command in commands("Recover") {
        let played = play(&fleet, &command);
        assert_eq!(played.code, Some(0), "{command:?}: {played:?}");
    }
    let list = fleet.json(&["device", "list"]);
    assert_eq!(device(&list, &stolen.serial)["state"], "revoked");
    assert_eq!(device(&list, &stays.serial)["state"], "active");
    assert_eq!(fleet.json(&["fleet", "show"])["targets_version"].as_u64(), before, "metadata is back");

    let release = fleet.publish("1.2.0", &fleet.write("main-1.2.0", software("1.2.0")));
    let rollout = fleet.roll_out(&release);
    fleet.wait_for_rollout(&rollout, 1, Duration::from_secs(60));
    until("the device runs it", Duration::from_secs(10), || {
        (stays.running() == Some(software("1.2.0").into_bytes())).then_some(())
    });
}
