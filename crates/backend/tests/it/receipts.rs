//! What was done on the service bench comes home once, and only as it was signed.

use envelope::{
    P256Key, Receipt, Signer as _,
    receipt::{Mode, Outcome, proof_message},
    sha256,
};
use model::{DeviceId, Digest, FleetId, KemKeyId, Role, RolloutId, SecurityCounter};
use protocol::{
    Base64, ErrorCode,
    operator::{DeviceDetail, HandInReceipt, Page, TimelineEntry, path},
};
use testkit::{Device, Running};

fn receipt(running: &Running, device: &Device) -> Receipt {
    Receipt {
        fleet: running.fleet.id,
        device: device.id,
        ticket: Digest::new([0x71; 32]),
        rollout: RolloutId::new([0x70; 16]),
        component: "main".parse().unwrap(),
        before: Some("1.0.0".parse().unwrap()),
        version: "1.1.0".parse().unwrap(),
        artifact: Digest::new([0xa1; 32]),
        security_counter: SecurityCounter(4),
        bench: KemKeyId::new([0xbe; 8]),
        mode: Mode::Deputy,
        outcome: Outcome::Succeeded,
        code: None,
        began_at: running.now(),
        ended_at: running.now(),
        technician: "tom".parse().unwrap(),
        proof: None,
    }
}

fn hand_in(receipt: &Receipt, key: &P256Key) -> HandInReceipt {
    HandInReceipt { receipt: Base64(receipt.sign(key).unwrap()) }
}

async fn known(running: &Running, device: &Device) -> (DeviceDetail, Vec<TimelineEntry>) {
    let mut admin = running.admin().await;
    let detail = admin.get(&path::device(device.id)).await.ok();
    let timeline: Page<TimelineEntry> = admin.get(&path::timeline(device.id)).await.ok();
    let visits = timeline.rows.into_iter().filter(|entry| entry.kind == "bench_visit").collect();
    (detail, visits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_counts_once_and_says_what_runs_only_where_the_device_countersigned() {
    let running = Running::start().await;
    let device = running.enrol("A-1").await;
    let (tom, mut line) = running.member("tom", &[Role::Technician]).await;
    let bare = hand_in(&receipt(&running, &device), &tom.key);
    for _ in 0..2 {
        line.post(path::RECEIPTS, &bare).await.done();
    }
    let (before, visits) = known(&running, &device).await;
    assert_eq!(visits.len(), 1);
    assert!(visits[0].detail.contains("not proven") && visits[0].detail.contains("deputy"), "{visits:?}");
    let runs =
        |detail: &DeviceDetail| detail.row.components.iter().any(|part| part.version.to_string() == "1.1.0");
    assert!(!runs(&before), "nobody but the device says what it runs");

    let mut proven = receipt(&running, &device);
    let certificate = sha256(&before.row.certificate);
    let message = proof_message(&proven.challenge().unwrap(), &certificate, "A-1");
    proven.proof = Some(device.key.sign(&message).unwrap());
    line.post(path::RECEIPTS, &hand_in(&proven, &tom.key)).await.done();
    let (after, visits) = known(&running, &device).await;
    assert_eq!(visits.len(), 2);
    assert!(runs(&after), "{:?}", after.row.components);

    // What the device signed for a success counts for nothing else.
    let altered = Receipt { version: "9.9.9".parse().unwrap(), ..proven };
    line.post(path::RECEIPTS, &hand_in(&altered, &tom.key)).await.done();
    let (after, visits) = known(&running, &device).await;
    assert!(runs(&after) && visits[0].detail.contains("not proven"), "{visits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_another_key_name_fleet_or_device_is_refused() {
    let running = Running::start().await;
    let device = running.enrol("A-1").await;
    let (tom, mut line) = running.member("tom", &[Role::Technician]).await;
    let good = receipt(&running, &device);
    let stranger = P256Key::generate().unwrap();
    let refused = [
        hand_in(&good, &stranger),
        hand_in(&Receipt { technician: "ann".parse().unwrap(), ..good.clone() }, &tom.key),
        hand_in(&Receipt { fleet: FleetId::new([0; 16]), ..good.clone() }, &tom.key),
        hand_in(&Receipt { device: DeviceId::new([0; 16]), ..good.clone() }, &tom.key),
    ];
    for (number, receipt) in refused.iter().enumerate() {
        let answer = line.post(path::RECEIPTS, receipt).await;
        assert!(!answer.status.is_success(), "receipt {number}");
    }
    let (ann, mut auditor) = running.member("ann", &[Role::Auditor]).await;
    let answer = auditor.post(path::RECEIPTS, &hand_in(&good, &ann.key)).await;
    assert_eq!(answer.code(), ErrorCode::Forbidden);
    assert!(known(&running, &device).await.1.is_empty());
}
