//! People and keys over time, by the command line alone.

use crate::{program::alone, site::software, team::Team};

#[test]
fn a_colleague_is_invited_signs_and_is_offboarded() {
    let _alone = alone();
    let team = Team::found();
    let mut device = team.enrol("P4-000001");
    device.start();

    // Dave is a member at once; his keys count once two of three signed them.
    team.newcomer("dave");
    let (card, invitation) = (team.text("dave.card"), team.text("dave.invitation"));
    let add = ["fleet", "add-person", "--card", &card, "--role", "operator", "--role", "release_manager"];
    let added =
        team.json("alice", &[&add[..], &["--model", "press-4", "--invitation", &invitation]].concat());
    assert_eq!(team.keys("ticket", "dave"), Vec::<String>::new());
    team.sign(&added["change"], &["alice", "bob"]);
    for role in ["ticket", "seal", "member", "audit"] {
        assert_eq!(team.keys(role, "dave").len(), 1, "{role}");
    }
    assert_eq!(team.keys("grant", "dave"), Vec::<String>::new(), "an operator grants nothing");
    let wrong = team.refused("carol", &["fleet", "join", &invitation]);
    assert_eq!(wrong["code"], "untrusted", "{wrong}");
    team.json("dave", &["fleet", "join", &invitation]);
    assert_eq!(team.refused("dave", &["fleet", "people"])["code"], "forbidden");

    // He rolls out what others signed: content key and ticket are his vault's.
    let release = team.publish("1.1.0", &team.write("main-1.1.0", software("1.1.0")), &["alice", "carol"]);
    team.roll_out("dave", &release, 1);
    assert_eq!(device.running(), Some(software("1.1.0").into_bytes()));

    // Another role, a renewed certificate.
    let spki = team.spki("dave");
    team.json("alice", &["fleet", "set-role", &spki, "--role", "technician"]);
    assert_eq!(team.refused("dave", &["rollout", "start", &release])["code"], "forbidden");
    team.json("alice", &["fleet", "set-role", &spki, "--role", "operator"]);
    let again = team.text("dave.again");
    team.json("alice", &["fleet", "renew-person", "--card", &card, "--invitation", &again]);
    team.json("dave", &["fleet", "join", &again]);
    team.json("dave", &["rollout", "list"]);

    // His laptop is lost.
    let removed = team.json("alice", &["fleet", "remove-person", &spki, "--reason", "his laptop is lost"]);
    assert_eq!(removed["exposed"][0]["release"], release.as_str(), "{removed}");
    assert_eq!(team.refused("dave", &["fleet", "show"])["code"], "revoked");
    team.sign(&removed["change"], &["bob", "carol"]);
    assert_eq!(team.keys("ticket", "dave"), Vec::<String>::new());
    // What was sealed to him is planned no more, until it is sealed again.
    let stale = team.refused("alice", &["rollout", "plan", &release]);
    assert_eq!(stale["code"], "precondition_failed", "{stale}");
    team.json("alice", &["release", "seal", &release, &team.text("main-1.1.0")]);
    let up_to_date = team.refused("alice", &["rollout", "plan", &release]);
    assert!(up_to_date["message"].as_str().is_some_and(|text| text.contains("no device")), "{up_to_date}");
}

#[test]
fn scopes_alarms_and_certificates_are_looked_after() {
    let _alone = alone();
    let mut team = Team::found();
    let expiries = team.json("alice", &["fleet", "expiries"]);
    let rows = expiries["rows"].as_array().expect("expiries are a list");
    let of = |what: &str| rows.iter().find(|row| row["what"].as_str().is_some_and(|w| w.contains(what)));
    assert_eq!(of("targets metadata").map(|row| &row["urgency"]), Some(&"soon".into()), "{expiries}");
    assert_eq!(of("root metadata").map(|row| &row["urgency"]), Some(&"later".into()), "{expiries}");
    for what in ["your own certificate", "certificate of bob", "the backend's certificate"] {
        assert!(of(what).is_some(), "{what}: {expiries}");
    }
    team.renew_targets(&["alice", "bob"]);
    team.json("alice", &["fleet", "renew-server"]);
    team.kill_backend();
    team.start_backend();

    // A ticket key that is good for another model signs no ticket for this one.
    let key = team.keys("ticket", "bob").remove(0);
    team.change(&["scope", &key, "--model", "press-5"], &["alice", "carol"]);
    let keys = team.json("alice", &["fleet", "keys"]);
    let row = keys["keys"].as_array().and_then(|keys| keys.iter().find(|row| row["id"] == key.as_str()));
    assert_eq!(row.map(|row| &row["models"]), Some(&serde_json::json!(["press-5"])), "{keys}");
    let unknown = team.refused("alice", &["fleet", "change", "unlist", "0000000000000000"]);
    assert_eq!(unknown["code"], "not_found", "{unknown}");
    assert_eq!(team.refused("alice", &["fleet", "acknowledge", "7"])["code"], "not_found");
}

#[test]
fn a_renewed_device_is_proven_to_those_who_did_not_enrol_it() {
    let _alone = alone();
    let team = Team::found();
    let mut device = team.enrol("P4-000001");
    team.approve(&device, crate::device::Device::renew, &["--watch"]);
    device.start();
    let release = team.publish("1.1.0", &team.write("main-1.1.0", software("1.1.0")), &["alice", "carol"]);
    team.roll_out("bob", &release, 1);
    assert_eq!(device.running(), Some(software("1.1.0").into_bytes()));
}
