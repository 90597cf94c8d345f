//! What a backend reads, what it substitutes, and what a wrong clock does.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use agent::{EnrolmentToken, MemoryStorage, Pace, Parts, Settings, SystemRandom, TcpDial, enrol};
use envelope::{KemPublicKey, KemSecret};
use model::{DeviceId, Seconds, UnixTime};
use protocol::ErrorCode;
use serde_json::{Value, json};
use testkit::FakeClock;

use crate::office::Office;

/// How much of a file stands for all of it.
const PIECE: usize = 24;

/// Whether any piece of `wanted` stands in a file below this folder, and how many bytes were searched.
fn search(dir: &Path, wanted: &[u8]) -> (bool, usize) {
    let (mut found, mut searched) = (false, 0);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let (below, bytes) = search(&path, wanted);
            (found, searched) = (found | below, searched + bytes);
            continue;
        }
        let content = fs::read(&path).unwrap();
        let pieces: std::collections::HashSet<&[u8]> = content.windows(PIECE).collect();
        found |= wanted.chunks_exact(PIECE).any(|piece| pieces.contains(piece));
        searched += content.len();
    }
    (found, searched)
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_nothing_of_an_update_lies_open_on_the_backends_disk() {
    let office = Office::found(&["alice"], 1).await;
    let content: Vec<u8> =
        (0..40_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (release, file) = office.publish(&["alice"], &content).await;
    office.ok("alice", "release.seal", json!({ "release": release, "file": file })).await;
    let (found, searched) = search(&office.path("backend"), &content);
    assert!(searched > content.len(), "the ciphertext is there: {searched} bytes");
    assert!(!found);
    fs::write(office.path("backend/left-behind"), &content[1_000..1_100]).unwrap();
    assert!(search(&office.path("backend"), &content).0, "what lies open is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_seals_to_a_key_that_the_backend_passes_off_as_a_colleagues() {
    let office = Office::found(&["alice", "bob"], 2).await;
    let (release, file) = office.publish(&["alice", "bob"], &[7; 5_000]).await;
    let keys = office.ok("alice", "fleet.keys", json!({})).await;
    let rows = keys["keys"].as_array().unwrap();
    let bob =
        rows.iter().find(|row| row["role"] == "member" && row["holder"] == "bob").unwrap()["id"].clone();

    let database = office.database();
    let (name, honest): (String, Vec<u8>) = database
        .query_row("SELECT name, bytes FROM document WHERE name LIKE '%keys.cbor'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let serve = |bytes: &[u8]| {
        let set = "UPDATE document SET bytes = ?2 WHERE name = ?1";
        assert_eq!(database.execute(set, rusqlite::params![name, bytes]).unwrap(), 1);
    };
    let at = (0..honest.len() - 32)
        .find(|at| {
            let key: [u8; 32] = honest[*at..at + 32].try_into().unwrap();
            KemPublicKey(key).id().to_string() == bob.as_str().unwrap()
        })
        .expect("Bob's key stands among the trusted ones");
    let mut forged = honest.clone();
    forged[at..at + 32].copy_from_slice(&KemSecret::generate(&mut SystemRandom).unwrap().public().0);

    let seal = json!({ "release": release, "file": file });
    serve(&forged);
    office.unlock("alice").await;
    let refused = office.run("alice", "release.seal", seal.clone()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Untrusted, "{:?}", refused.body());
    let shown = office.ok("alice", "release.show", json!({ "release": release })).await;
    assert_eq!(shown["sealed"], json!([]), "nothing was sealed");
    serve(&honest);
    let sealed = office.ok("alice", "release.seal", seal).await;
    assert_eq!(sealed["sealed"].as_array().map(Vec::len), Some(1), "{sealed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_in_2099_starts_no_rollout_and_lets_no_device_in_or_out() {
    let mut office = Office::found(&["alice"], 1).await;
    let clock = FakeClock::default();
    office.restart("alice", &clock).await;
    office.prove_backup("alice").await;
    let token = json!({ "serial": "P4-1", "model": "press-4", "hardware_revision": "b", "life": 3_600 });
    let token = office.ok("alice", "device.token", token).await["token"].take();
    let device = tokio::spawn(new_device(token.as_str().unwrap().parse().unwrap(), office.clock()));
    let pending = async {
        while office.ok("alice", "device.enrolments", json!({})).await["rows"][0]["state"] != "pending" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), pending).await.expect("the device asks");
    let phase = json!({ "size": "rest", "success": 100, "soak": 0, "gate": "continue" });
    let plan = json!({
        "release": "rel_00000000000000000000000000000000", "phases": [phase],
        "failure": { "share": 10, "minimum_sample": 1 }, "device_timeout": 3_600, "retries": 0,
        "link_life": 600, "ticket_life": 86_400,
    });
    let rollouts =
        [("rollout.preview", plan.clone()), ("rollout.start", json!({ "request": plan, "token": "seen" }))];
    let approve = ("device.approve", json!({}));

    // 2099-12-09, on this computer alone.
    clock.advance(Seconds::days(26_680));
    office.unlock("alice").await;
    for (command, request) in rollouts.clone().into_iter().chain([approve.clone()]) {
        let refused = office.run("alice", command, request).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Untrusted, "{command}: {:?}", refused.body());
        let hint = refused.body().hint.clone().unwrap_or_default();
        assert!(hint.contains("clock"), "{command}: {hint}");
    }

    office.restart("alice", &FakeClock::default()).await;
    for (command, request) in rollouts {
        let unknown = office.run("alice", command, request).await.unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::NotFound, "only the release is missing: {:?}", unknown.body());
    }
    let approved = office.ok("alice", approve.0, approve.1).await;
    assert_eq!(approved, json!({ "issued": ["P4-1"], "proven": [], "refused": [] }));
    device.await.unwrap();
    let rollouts: Value = office.ok("alice", "rollout.list", json!({})).await;
    assert_eq!(rollouts["rows"], json!([]));
}

async fn new_device(token: EnrolmentToken, clock: FakeClock) -> DeviceId {
    let settings = Settings {
        model: "press-4".parse().unwrap(),
        hardware_revision: "b".parse().unwrap(),
        serial: "P4-1".parse().ok(),
        own_clock: true,
        built_at: UnixTime::EPOCH,
    };
    let mut parts = Parts {
        storage: Box::new(MemoryStorage::new()),
        components: BTreeMap::new(),
        dial: Arc::new(TcpDial),
        clock: Arc::new(clock),
        random: Box::new(SystemRandom),
        observer: Box::new(|_| ()),
        pace: Pace::default(),
    };
    enrol(Some(token), &settings, &mut parts).await.unwrap()
}
