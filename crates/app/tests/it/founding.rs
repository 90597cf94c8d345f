use std::fs;

use protocol::ErrorCode;
use serde_json::{Value, json};

use crate::office::Office;

/// The public halves of the CAs in somebody's vault.
async fn cas(office: &Office, name: &str) -> Vec<String> {
    let status = office.ok(name, "vault.show", json!({})).await;
    let keys = status["keys"].as_array().unwrap().iter();
    keys.filter(|key| key["role"].as_str().unwrap().starts_with("ca")).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_founding_that_failed_is_repeated_with_the_same_cas() {
    let (mut office, _listener) = Office::empty().await;
    office.newcomer("alice").await;
    let good = office.founding(&[], 1);
    let (mut nameless, mut nowhere) = (good.clone(), good.clone());
    nameless["organization"] = Value::String(String::new());
    nowhere["file"] = json!(office.path("no/such/folder/founding.json"));
    for failing in [nameless, nowhere] {
        office.run("alice", "fleet.found", failing).await.unwrap_err();
    }
    let left = cas(&office, "alice").await;
    assert_eq!(left.len(), 4, "a founding that failed left its CAs behind");
    let founded = office.ok("alice", "fleet.found", good).await;
    assert_eq!(founded["complete"], true, "{founded}");
    assert_eq!(cas(&office, "alice").await, left);
}

#[tokio::test]
async fn the_cas_of_one_fleet_found_no_other() {
    let (mut office, _listener) = Office::empty().await;
    office.newcomer("alice").await;
    office.ok("alice", "fleet.found", office.founding(&[], 1)).await;
    let again = office.run("alice", "fleet.found", office.founding(&[], 1)).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::Conflict);
    // As after the vault was restored on a new computer.
    fs::remove_file(office.path("alice/membership.json")).unwrap();
    let other = office.run("alice", "fleet.found", office.founding(&[], 1)).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::Conflict);
    assert!(other.body().message.contains("another fleet"), "{:?}", other.body());
}
