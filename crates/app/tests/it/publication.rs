use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::office::Office;

/// The id of somebody's key of this role.
async fn key(office: &Office, role: &str, holder: &str) -> Value {
    let keys = office.ok("alice", "fleet.keys", json!({})).await;
    let rows = keys["keys"].as_array().unwrap();
    rows.iter().find(|row| row["role"] == role && row["holder"] == holder).unwrap()["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_and_could_not_be_published_is_published_once_the_cause_is_gone() {
    let office = Office::found(&["alice", "bob", "carol"], 2).await;
    let gone = json!({ "edit": "remove_key", "key": key(&office, "targets", "carol").await });
    let root = office.draft("alice", gone).await;
    let early = office.run("alice", "request.publish", json!({ "request": root["id"] })).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::ThresholdNotMet, "it takes its signatures first");

    // Meanwhile Carol signs targets that would count for nothing without her.
    let renewal = office.ok("alice", "request.renew", json!({})).await;
    office.put_into_force(&renewal, &["alice", "carol"]).await;
    office.sign("alice", &root).await.unwrap();
    let refused = office.sign("bob", &root).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ThresholdNotMet, "{:?}", refused.body());
    let shown = office.ok("bob", "request.show", json!({ "request": root["id"] })).await;
    assert_eq!(shown["reported"]["state"], "complete", "{shown}");
    assert_eq!(office.sign("bob", &root).await.unwrap_err().code(), ErrorCode::AlreadySigned);

    let again = office.ok("alice", "request.renew", json!({})).await;
    office.put_into_force(&again, &["alice", "bob"]).await;
    for _ in 0..2 {
        let published = office.ok("bob", "request.publish", json!({ "request": root["id"] })).await;
        assert_eq!(published["state"], "published", "{published}");
    }
    assert_eq!(office.ok("alice", "fleet.show", json!({})).await["root_version"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_says_where_one_person_alone_decides() {
    let office = Office::found(&["alice"], 1).await;
    assert_eq!(office.ok("alice", "fleet.show", json!({})).await["no_separation_of_duties"], true);
    let office = Office::found(&["alice", "bob"], 2).await;
    assert_eq!(office.ok("alice", "fleet.show", json!({})).await["no_separation_of_duties"], false);
    // One for targets would be enough to release.
    let lower = json!({ "edit": "threshold", "role": "targets", "threshold": 1 });
    let root = office.draft("alice", lower).await;
    assert_eq!(root["no_separation_of_duties"], false, "two sign this");
    office.put_into_force(&root, &["alice", "bob"]).await;
    assert_eq!(office.ok("bob", "fleet.show", json!({})).await["no_separation_of_duties"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_released_alone_stays_marked_when_it_takes_two_later() {
    let office = Office::found(&["alice", "bob"], 2).await;
    let threshold =
        |threshold: u32| json!({ "edit": "threshold", "role": "targets", "threshold": threshold });
    let lower = office.draft("alice", threshold(1)).await;
    office.put_into_force(&lower, &["alice", "bob"]).await;
    // Bob signs as well, so that what is in force counts for two, too.
    let (release, _) = office.publish(&["alice", "bob"], b"one would have been enough for this").await;
    let marked = async || {
        let shown = office.ok("alice", "release.show", json!({ "release": release })).await;
        let audit = office.ok("alice", "audit.list", json!({})).await;
        let rows = audit["rows"].as_array().unwrap();
        let published =
            rows.iter().find(|row| row["subject"] == release && row["action"] == "publish_release");
        let published = published.unwrap_or_else(|| panic!("its publication is on record: {audit}"));
        (shown["row"]["no_separation_of_duties"].clone(), published["reason"].clone())
    };
    let before = marked().await;
    assert_eq!(before, (json!(true), json!("no separation of duties")));
    let raise = office.draft("alice", threshold(2)).await;
    office.put_into_force(&raise, &["alice", "bob"]).await;
    assert_eq!(office.ok("alice", "fleet.show", json!({})).await["no_separation_of_duties"], false);
    assert_eq!(marked().await, before, "one could have released it all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_rests_on_metadata_out_of_date_is_not_signed() {
    let office = Office::found(&["alice", "bob"], 2).await;
    let renewal = office.ok("alice", "request.renew", json!({})).await;
    let file = office.path("renewal.request");
    office.ok("alice", "request.export", json!({ "request": renewal["id"], "file": file })).await;
    let read = json!({ "file": file });
    office.ok("bob", "request.read", read.clone()).await;
    office.put_into_force(&renewal, &["alice", "bob"]).await;
    office.ok("bob", "fleet.keys", json!({})).await;
    // The same signature would make a second metadata of that version.
    let shown = office.run("bob", "request.read", read).await.unwrap_err();
    assert_eq!(shown.code(), ErrorCode::Untrusted, "{:?}", shown.body());
    let asked = json!({ "file": file, "digest": renewal["digest"], "out": office.path("out") });
    let signed = office.run("bob", "request.sign_file", asked).await.unwrap_err();
    assert_eq!(signed.code(), ErrorCode::Untrusted, "{:?}", signed.body());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lapsed_while_the_backend_was_off_is_signed_anew_once_its_clock_is_confirmed() {
    for (days, many) in [(8, 0), (100, 1), (400, 2)] {
        let office = Office::found(&["alice", "bob"], 2).await;
        office.pass(days);
        let calendar = office.ok("alice", "fleet.expiries", json!({})).await;
        let lapsed = |calendar: &Value| {
            let rows = calendar["rows"].as_array().unwrap().iter();
            rows.filter(|row| row["urgency"] == "lapsed").map(|row| row["what"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(lapsed(&calendar).len(), many, "{days}: {calendar}");
        // Drafted and signed as ever; the backend's clock is what is not believed.
        let renewal = json!({ "edit": "renew", "role": "root" });
        let root = office.draft("alice", renewal).await;
        office.sign("alice", &root).await.unwrap();
        let refused = office.sign("bob", &root).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PreconditionFailed, "{days}: {:?}", refused.body());
        let hint = refused.body().hint.clone().unwrap_or_default();
        assert!(hint.contains("fleetseal fleet confirm-jump"), "{days}: {:?}", refused.body());
        office.ok("alice", "fleet.confirm_jump", json!({})).await;
        let published = office.ok("alice", "request.publish", json!({ "request": root["id"] })).await;
        assert_eq!(published["state"], "published", "{days}: {published}");
        let renewal = office.ok("alice", "request.renew", json!({})).await;
        office.put_into_force(&renewal, &["alice", "bob"]).await;
        let calendar = office.ok("bob", "fleet.expiries", json!({})).await;
        assert_eq!(lapsed(&calendar), [json!(null); 0], "{days}: {calendar}");
    }
}
