//! Key holders who leave, lose their laptop, or only get another vault.

use serde_json::Value;

use crate::{program::alone, site::software, team::Team};

#[test]
fn a_key_holder_leaves_in_peace_and_nothing_stands_still() {
    let _alone = alone();
    let team = Team::found();
    let mut device = team.enrol("P4-000001");
    let file = team.write("main-1.1.0", software("1.1.0"));
    let release = team.publish("1.1.0", &file, &["alice", "carol"]);
    let rollout = team.start_rollout("alice", &release);

    // 1. Those who stay sign what Carol signed. 2. Her successor comes before she goes.
    team.renew_targets(&["alice", "bob"]);
    team.take_in("dave", &["alice", "bob"]);

    // 3. She goes: access at once, keys with the signatures of two who are left.
    let spki = team.spki("carol");
    let removed = team.json("alice", &["fleet", "remove-person", &spki, "--reason", "left the company"]);
    assert_eq!(removed["change"]["root_follows"], false, "{removed}");
    assert_eq!(team.refused("carol", &["fleet", "show"])["code"], "revoked");
    team.sign(&removed["change"], &["bob", "dave"]);
    for role in ["root", "targets", "ticket", "seal", "grant", "member", "audit"] {
        assert_eq!(team.keys(role, "carol"), Vec::<String>::new(), "{role}");
        assert_eq!(team.keys(role, "dave").len(), 1, "{role}");
    }

    // 4. and 5. What her vault opens is sealed again. The rollout of it can be held and aborted, not renewed.
    assert_eq!(removed["exposed"][0]["release"], release.as_str(), "{removed}");
    assert_eq!(removed["exposed"][0]["rollouts"][0], rollout.as_str(), "{removed}");
    let stale = team.refused("alice", &["rollout", "renew", &rollout]);
    assert_eq!(stale["code"], "precondition_failed", "{stale}");
    team.json("alice", &["rollout", "hold", &rollout]);
    team.json("alice", &["release", "seal", &release, &file.display().to_string()]);
    team.json("alice", &["rollout", "abort", &rollout]);
    device.start();
    team.roll_out("dave", &release, 1);
    assert_eq!(device.running(), Some(software("1.1.0").into_bytes()));
}

#[test]
fn a_key_holder_whose_laptop_is_lost_is_taken_out_of_the_root_second() {
    let _alone = alone();
    let team = Team::found();
    let mut device = team.enrol("P4-000001");
    device.start();
    // Carol's signature is one of the two that the targets in force rest on.
    let file = team.write("main-1.1.0", software("1.1.0"));
    team.publish("1.1.0", &file, &["alice", "carol"]);
    let spki = team.spki("carol");
    let removed = team.json("alice", &["fleet", "remove-person", &spki, "--reason", "lost on the train"]);
    assert_eq!(removed["change"]["root_follows"], true, "{removed}");
    team.sign(&removed["change"], &["alice", "bob"]);
    team.change(&["remove-keys", "carol"], &["alice", "bob"]);
    for role in ["root", "targets", "ticket", "member"] {
        assert_eq!(team.keys(role, "carol"), Vec::<String>::new(), "{role}");
    }
    let second = team.publish("1.2.0", &team.write("main-1.2.0", software("1.2.0")), &["alice", "bob"]);
    team.roll_out("bob", &second, 1);
    assert_eq!(device.running(), Some(software("1.2.0").into_bytes()));
}

#[test]
fn a_new_vault_takes_the_place_of_the_old_one() {
    let _alone = alone();
    let team = Team::found();
    let before = team.keys("member", "bob");
    // The identity and what the workspace knows of the fleet move over; the keys are new.
    team.copy("bob", "bob-again", &["identity.p8", "membership.json"]);
    team.vault_of("bob-again", "bob");
    team.change(&["rotate-keys", "--card", &team.text("bob-again.card")], &["alice", "carol"]);
    let after = team.keys("member", "bob");
    assert_eq!(after.len(), 1, "the old vault receives no content key any more");
    assert_ne!(after, before);
    assert_eq!(team.keys("ticket", "bob").len(), 2, "what the old one signed may lapse in peace");
    assert_eq!(team.keys("targets", "bob").len(), 1);

    let renewal = team.json("alice", &["request", "renew"]);
    let id = renewal["id"].as_str().expect("a request has an id");
    let old = team.refused("bob", &["request", "sign", id]);
    assert_eq!(old["code"], "key_not_listed", "{old}");
    team.sign(&serde_json::json!({ "requests": [renewal] }), &["alice", "bob-again"]);

    // An officer may take the old keys away at once.
    let keys = team.json("alice", &["fleet", "keys"]);
    let lapsing: Vec<_> = keys["keys"].as_array().into_iter().flatten().filter(|key| ends(key)).collect();
    assert_eq!(lapsing.len(), 4, "ticket, seal, grant and audit: {keys}");
    for key in lapsing {
        let id = key["id"].as_str().expect("a key has an id");
        team.change(&["unlist", id], &["alice", "carol"]);
    }
    assert_eq!(team.keys("ticket", "bob").len(), 1);
}

/// Whether this is one of Bob's keys that is listed for a while only.
fn ends(key: &Value) -> bool {
    key["holder"] == "bob" && !key["not_after"].is_null()
}
