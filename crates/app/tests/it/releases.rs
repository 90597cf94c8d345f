use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::office::Office;

/// A release of `content` that is proposed and sealed, and the request to seal it again.
async fn sealed(office: &Office, content: &str) -> (Value, Value) {
    let slot = json!([{ "component": "main", "bytes": 1_000_000 }]);
    let model = json!({ "model": "press-4", "hardware_revisions": ["1"], "slots": slot });
    office.ok("alice", "model.put", model).await;
    let file = office.path("main-1.1.0");
    std::fs::write(&file, content).unwrap();
    let artifact = json!({
        "file": file, "model": "press-4", "hardware_revisions": ["1"], "component": "main",
        "version": "1.1.0", "installer": "slots",
    });
    let propose = json!({ "version": "1.1.0", "artifacts": [artifact] });
    let release = office.ok("alice", "release.propose", propose).await;
    let seal = json!({ "release": release["row"]["id"], "file": file });
    let sealed = office.ok("alice", "release.seal", seal.clone()).await;
    assert_eq!(sealed["sealed"].as_array().map(Vec::len), Some(1), "{sealed}");
    (sealed, seal)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_to_the_members_of_today_is_sealed_again_only_where_somebody_asks_for_it() {
    let office = Office::found(&["alice"], 1).await;
    let (_, mut seal) = sealed(&office, "the next one").await;
    let again = office.ok("alice", "release.seal", seal.clone()).await;
    assert_eq!(again["sealed"].as_array().map(Vec::len), Some(1), "nothing was uploaded: {again}");

    let other = office.path("another-file");
    std::fs::write(&other, "not what was proposed").unwrap();
    let wrong = json!({ "release": seal["release"], "file": other });
    let refused = office.run("alice", "release.seal", wrong).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArtifact, "{:?}", refused.body());

    seal["again"] = true.into();
    let anew = office.ok("alice", "release.seal", seal).await;
    assert_eq!(anew["sealed"].as_array().map(Vec::len), Some(2), "under a fresh key: {anew}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_withdrawal_reaches_the_audit_trail_and_those_who_sign_it() {
    let office = Office::found(&["alice", "bob"], 2).await;
    let (release, _) = sealed(&office, "the next one").await;
    for name in ["alice", "bob"] {
        office.sign(name, &release["request"]).await.unwrap();
    }
    let name = json!({ "release": release["row"]["id"] });
    let preview = office.ok("alice", "release.publish_preview", name.clone()).await;
    let publish = json!({ "request": name, "token": preview["token"] });
    office.ok("alice", "release.publish", publish).await;
    let preview = office.ok("alice", "release.withdraw_preview", name.clone()).await;
    let withdraw = |reason: &str| {
        let request = json!({ "release": name["release"], "reason": reason });
        json!({ "request": request, "token": preview["token"] })
    };
    let silent = office.run("alice", "release.withdraw", withdraw(" ")).await.unwrap_err();
    assert_eq!(silent.code(), ErrorCode::InvalidRequest, "{:?}", silent.body());

    let withdrawn = office.ok("alice", "release.withdraw", withdraw("it burns")).await;
    assert_eq!(withdrawn["row"]["state"], "withdrawn", "{withdrawn}");
    let waiting = office.ok("bob", "request.list", json!({})).await;
    let asked =
        waiting["rows"].as_array().unwrap().iter().find(|row| row["purpose"] == "withdrawal").unwrap();
    assert_eq!(asked["reason"], "it burns", "{asked}");
    assert_eq!(asked["id"], withdrawn["request"]["id"], "this is what key holders are sent to");
    let audit = office.ok("alice", "audit.list", json!({})).await;
    let rows = audit["rows"].as_array().unwrap();
    let entry = rows.iter().find(|row| row["action"] == "withdraw_release").unwrap();
    assert_eq!(entry["reason"], "it burns", "{entry}");
}
