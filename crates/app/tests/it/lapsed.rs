use model::Seconds;
use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::office::Office;

/// How soon root and targets lapse, as the calendar says it.
async fn urgency(office: &Office) -> [Value; 2] {
    let expiries = office.ok("alice", "fleet.expiries", json!({})).await;
    let rows = expiries["rows"].as_array().unwrap();
    ["the root metadata", "the targets metadata"].map(|what| {
        let row = rows.iter().find(|row| row["what"].as_str().unwrap().starts_with(what));
        row.unwrap_or_else(|| panic!("{what}: {expiries}"))["urgency"].clone()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calendar_warns_before_targets_lapse_and_afterwards_they_are_signed_anew() {
    let office = Office::found(&["alice", "bob"], 2).await;
    assert_eq!(urgency(&office).await, ["later", "soon"]);
    office.advance(Seconds::days(61));
    assert_eq!(urgency(&office).await, ["later", "urgent"]);
    office.advance(Seconds::days(40));
    assert_eq!(urgency(&office).await, ["later", "lapsed"]);
    let release = json!({ "release": "rel_00000000000000000000000000000000", "file": "x" });
    office.ok("alice", "vault.unlock", json!({ "passphrase": crate::office::PASSPHRASE })).await;
    let sealed = office.run("alice", "release.seal", release).await.unwrap_err();
    assert_eq!(sealed.code(), ErrorCode::Untrusted, "nothing rests on what has lapsed");

    let renewal = office.ok("alice", "request.renew", json!({})).await;
    office.put_into_force(&renewal, &["alice", "bob"]).await;
    assert_eq!(urgency(&office).await, ["later", "soon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_whose_root_lapsed_too_comes_back_root_first() {
    let office = Office::found(&["alice", "bob"], 2).await;
    office.advance(Seconds::days(400));
    assert_eq!(urgency(&office).await, ["lapsed", "lapsed"]);

    // Targets that nobody can take under a root that lapsed.
    let renewal = office.ok("alice", "request.renew", json!({})).await;
    office.sign("alice", &renewal).await.unwrap();
    let early = office.sign("bob", &renewal).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::InvalidMetadata, "{:?}", early.body());
    assert!(early.body().hint.as_deref().is_some_and(|hint| hint.contains("request publish")));

    let root = office.draft("bob", json!({ "edit": "renew", "role": "root" })).await;
    office.put_into_force(&root, &["alice", "bob"]).await;
    // The signatures that are there are enough.
    let published = office.ok("alice", "request.publish", json!({ "request": renewal["id"] })).await;
    assert_eq!(published["state"], "published", "{published}");
    assert_eq!(urgency(&office).await, ["later", "soon"]);
}
