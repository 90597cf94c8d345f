//! A device in wrong hands: what it knows is sealed again.

use crate::{fleet::Fleet, program::alone, site::software};

#[test]
fn what_a_stolen_device_could_open_is_sealed_again_as_the_runbook_says() {
    let _alone = alone();
    let fleet = Fleet::found();
    let mut stolen = fleet.enrol("P4-000001");
    let mut stays = fleet.enrol("P4-000002");
    stolen.start();
    let release = fleet.publish("1.1.0", &fleet.write("main-1.1.0", software("1.1.0")));
    let id = |serial: &str| {
        let list = fleet.json(&["device", "list"]);
        let rows = list["rows"].as_array().expect("devices are a list").iter();
        let row = rows.clone().find(|row| row["serial"] == serial).unwrap_or_else(|| panic!("{list}"));
        row["id"].as_str().expect("a device has an id").to_owned()
    };
    let sealed = |release: &str| {
        let shown = fleet.json(&["release", "show", release]);
        shown["sealed"].as_array().expect("sealings are a list").len()
    };
    let only = |serial: &str| {
        let started = fleet.json(&["rollout", "start", &release, "--device", &id(serial)]);
        started["row"]["id"].as_str().expect("a rollout has an id").to_owned()
    };
    fleet.wait_for_rollout(&only("P4-000001"), 1, std::time::Duration::from_secs(60));
    let waiting = only("P4-000002");

    let revoke = ["device", "revoke", &id("P4-000001"), "--reason", "stolen from the site"];
    let revoked = fleet.json(&revoke);
    assert_eq!(revoked["exposed"][0]["release"], release.as_str(), "{revoked}");
    assert_eq!(revoked["exposed"][0]["rollouts"][0], waiting.as_str(), "{revoked}");
    fleet.json(&["release", "seal", &release, &fleet.path("main-1.1.0").display().to_string(), "--again"]);
    assert_eq!(sealed(&release), 2);
    fleet.json(&["rollout", "abort", &waiting]);
    let again = only("P4-000002");
    let artifact = |rollout: &str| fleet.json(&["rollout", "show", rollout])["artifact"].take();
    assert_ne!(artifact(&again), artifact(&waiting), "another content key, another ciphertext");
    stays.start();
    fleet.wait_for_rollout(&again, 1, std::time::Duration::from_secs(60));
    assert_eq!(stays.running(), Some(software("1.1.0").into_bytes()));
}
