//! The root over time, by the command line alone: thresholds, key holders, lost and stolen keys, and
//! devices that slept through all of it.

use crate::{program::alone, site::software, team::Team, thief};

#[test]
fn a_device_that_slept_through_three_roots_and_two_lists_of_keys_updates() {
    let _alone = alone();
    let team = Team::found();
    let mut device = team.enrol("P4-000001");
    device.start();
    let first = team.publish("1.1.0", &team.write("main-1.1.0", software("1.1.0")), &["alice", "bob"]);
    team.roll_out("alice", &first, 1);
    device.kill();

    // Root 2: Dave becomes a key holder; the list of keys gains his.
    team.take_in("dave", &["alice", "bob"]);
    // Root 3: three must sign a root. A request that waited under the old rule counts no more.
    let waiting = team.json("alice", &["fleet", "change", "renew-root"]);
    let waiting = waiting["requests"][0]["id"].as_str().expect("a request has an id").to_owned();
    team.json("carol", &["request", "sign", &waiting]);
    team.change(&["threshold", "root", "3"], &["alice", "bob", "dave"]);
    let late = team.refused("bob", &["request", "sign", &waiting]);
    assert!(late["code"] == "policy_changed" || late["code"] == "conflict", "{late}");
    // Root 4: Carol lost her key. She signed none of what is in force, so that nothing waits for her.
    team.change(&["remove-keys", "carol"], &["alice", "bob", "dave"]);
    let again = team.refused("alice", &["fleet", "change", "remove-keys", "carol"]);
    assert_eq!(again["code"], "not_found", "{again}");
    let fleet = team.json("alice", &["fleet", "show"]);
    assert_eq!(fleet["root_version"], 4, "{fleet}");

    // A key that the root lists no more signs nothing.
    let renewal = team.json("alice", &["request", "renew"]);
    let id = renewal["id"].as_str().expect("a request has an id");
    let revoked = team.refused("carol", &["request", "sign", id]);
    assert!(revoked["code"] == "key_not_listed" || revoked["code"] == "key_revoked", "{revoked}");
    team.sign(&serde_json::json!({ "requests": [renewal] }), &["bob", "dave"]);

    let second = team.publish("1.2.0", &team.write("main-1.2.0", software("1.2.0")), &["alice", "dave"]);
    device.start();
    team.roll_out("dave", &second, 1);
    assert_eq!(device.running(), Some(software("1.2.0").into_bytes()));
}

#[test]
fn stolen_online_keys_are_replaced_as_the_runbook_says() {
    let _alone = alone();
    let mut team = Team::found();
    let mut device = team.enrol("P4-000001");
    device.start();
    let first = team.publish("1.1.0", &team.write("main-1.1.0", software("1.1.0")), &["alice", "bob"]);

    // The thief has the keys and everybody's ear: versions jump far ahead. Nothing runs that was not signed.
    team.kill_backend();
    let theft = thief::fast_forward(&team.path("backend"));
    team.start_backend();
    team.roll_out("alice", &first, 1);
    let ahead = thief::AHEAD.to_string();
    assert!(device.stores(&ahead), "the device believes the thief");
    assert_eq!(device.running(), Some(software("1.1.0").into_bytes()));
    device.kill();
    team.kill_backend();
    theft.undo();

    // The runbook, by those who believe the thief themselves.
    let keys = team.text("backend-next.json");
    team.serve_once(&["--renew-keys", &keys]);
    team.start_backend();
    let held_back = team.refused("alice", &["rollout", "plan", &first]);
    assert_eq!(held_back["code"], "untrusted", "{held_back}");
    team.change(&["online-keys", "--backend", &keys], &["alice", "carol"]);
    let second = team.publish("1.2.0", &team.write("main-1.2.0", software("1.2.0")), &["alice", "bob"]);
    device.start();
    team.roll_out("bob", &second, 1);
    assert_eq!(device.running(), Some(software("1.2.0").into_bytes()));
    team.kill_backend();
    team.start_backend();
    assert!(!team.path("backend/keys/snapshot.next").exists());
    team.renew_targets(&["alice", "bob"]);
}
