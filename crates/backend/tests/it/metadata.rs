//! What the backend publishes, and what it refuses to.

use envelope::{
    Ed25519Key, SystemRandom,
    tuf::{Client, Fetched, Need, Role as TufRole, Root, Signed, Snapshot, Targets, Timestamp, TrustedState},
};
use model::{RequestId, Seconds};
use protocol::{
    Base64, ErrorCode,
    device::{PushEvent, path::TUF},
    operator::{
        AlarmKind, BackendIdentity, FleetSummary, NewRequest, PublishMetadata, Purpose, PutCertificate,
        RequestState, SignatureRequest, SnapshotRequest, path,
    },
};
use testkit::{Client as Line, Device, Running};

use crate::support::{alarmed, next_event, online, until};

fn publish(targets: Vec<u8>) -> PublishMetadata {
    PublishMetadata { roots: Vec::new(), targets: Some(Base64(targets)), trust_keys: None }
}

async fn timestamp(line: &mut Line) -> Timestamp {
    let raw = line.get(&format!("{TUF}timestamp.json")).await;
    Signed::<Timestamp>::parse(&raw.body).unwrap().signed().clone()
}

/// Refreshes as a new device does, over the wire.
async fn refresh(running: &Running, line: &mut Line) -> Result<u64, envelope::tuf::Error> {
    served(TrustedState::bootstrap(&running.adopted().root)?, running, line).await
}

/// Refreshes what a device trusts by what is served.
async fn served(
    state: TrustedState,
    running: &Running,
    line: &mut Line,
) -> Result<u64, envelope::tuf::Error> {
    let mut client = Client::new(state, running.now());
    while let Need::Fetch { path, .. } = client.next() {
        let file = line.get(&format!("{TUF}{path}")).await;
        let fetched = if file.status.is_success() { Fetched::Bytes(&file.body) } else { Fetched::NotFound };
        client.feed(fetched)?;
    }
    Ok(client.targets()?.targets_version())
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_refresh_from_what_is_served_on_both_endpoints() {
    let running = Running::start().await;
    running.release("1.2.0", 1_000).await;
    let device = running.enrol("A-1").await;
    assert_eq!(refresh(&running, &mut device.connect(&running).await).await, Ok(2));
    let mut door = running.connect_to_enrol(&Device::new("A-2").identity).await.unwrap();
    assert_eq!(refresh(&running, &mut door).await, Ok(2));
    let keys = envelope::sha256(&running.adopted().trust_keys);
    let target = device.connect(&running).await.get(&format!("{TUF}trust/{keys}.keys.cbor")).await;
    assert_eq!(target.body, running.adopted().trust_keys.0);
    for hidden in ["private/trusted", "../private/trusted", "..%2Fprivate%2Ffleet.json", "1.snapshot.json"] {
        let answer = door.get(&format!("{TUF}{hidden}")).await;
        assert!(answer.status.is_client_error(), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_metadata_never_goes_back_and_counts_only_with_its_threshold() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let present = running.targets(&mut admin).await;
    let mut unsigned = Signed::new(present.next(running.now())).unwrap();
    unsigned.sign(&Ed25519Key::generate(&mut SystemRandom)).unwrap();
    let by_a_stranger = admin.post(path::METADATA, &publish(unsigned.raw().to_vec())).await;
    assert_eq!(by_a_stranger.code(), ErrorCode::ThresholdNotMet);

    let next = running.fleet.sign_targets(present.next(running.now()));
    admin.post(path::METADATA, &publish(next)).await.done();
    let back = admin.post(path::METADATA, &publish(running.adopted().targets.0.clone())).await;
    assert_eq!(back.code(), ErrorCode::InvalidMetadata);
    let present = running.targets(&mut admin).await;
    let lapsed = running.fleet.sign_targets(present.next(running.now() - Seconds::days(95)));
    assert_eq!(admin.post(path::METADATA, &publish(lapsed)).await.code(), ErrorCode::InvalidMetadata);
    let empty = PublishMetadata { roots: Vec::new(), targets: None, trust_keys: None };
    assert_eq!(admin.post(path::METADATA, &empty).await.code(), ErrorCode::InvalidRequest);
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_keys_without_this_backends_own_are_not_published() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut identity: protocol::operator::BackendIdentity = admin.get(path::BACKEND).await.ok();
    let other = Ed25519Key::generate(&mut SystemRandom);
    identity.link = Base64(envelope::Signer::public_key(&other).as_bytes().to_vec());
    let keys = running.fleet.trust_keys(&identity).encode();
    let mut targets = running.targets(&mut admin).await.next(running.now());
    let name = envelope::tuf::TRUST_KEYS_TARGET.parse().unwrap();
    targets.targets.insert(name, envelope::tuf::TargetFile::of(&keys, None));
    let request = PublishMetadata {
        trust_keys: Some(Base64(keys)),
        ..publish(running.fleet.sign_targets(targets.clone()))
    };
    assert_eq!(admin.post(path::METADATA, &request).await.code(), ErrorCode::InvalidMetadata);
    let without = publish(running.fleet.sign_targets(targets));
    assert_eq!(
        admin.post(path::METADATA, &without).await.code(),
        ErrorCode::InvalidObject,
        "nor without its content"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_follows_on_the_one_before_and_keeps_this_backends_keys() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let root = Signed::<Root>::parse(&running.adopted().root).unwrap().signed().clone();
    let expires = running.now() + Seconds::days(365);
    let sign = |root: Root| {
        let mut root = Signed::new(root).unwrap();
        root.sign(&running.fleet.root_key).unwrap();
        PublishMetadata { roots: vec![Base64(root.raw().to_vec())], targets: None, trust_keys: None }
    };
    let skips = Root { version: 3, ..root.next(expires) };
    assert_eq!(admin.post(path::METADATA, &sign(skips)).await.code(), ErrorCode::InvalidMetadata);
    let mut shuts_out = root.next(expires);
    let own = shuts_out.role(TufRole::Snapshot).keyids[0].clone();
    shuts_out.remove_key(TufRole::Snapshot, &own);
    let other = Ed25519Key::generate(&mut SystemRandom);
    shuts_out.add_key(TufRole::Snapshot, envelope::Signer::public_key(&other).as_bytes().try_into().unwrap());
    assert_eq!(admin.post(path::METADATA, &sign(shuts_out)).await.code(), ErrorCode::ThresholdNotMet);
    admin.post(path::METADATA, &sign(root.next(expires))).await.done();
    let summary: FleetSummary = admin.get(path::FLEET).await.ok();
    assert_eq!(summary.root_version, 2);
    assert_eq!(refresh(&running, &mut admin).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_online_keys_are_replaced_by_a_root_and_their_versions_forgotten() {
    let mut running = Running::start().await;
    let mut admin = running.admin().await;
    let config = backend::Config::new(running.data_dir(), &running.origin);
    let stolen: BackendIdentity = admin.get(path::BACKEND).await.ok();
    running.stop().await;
    let next = backend::Backend::renew_keys(&config).unwrap();
    assert_eq!(backend::Backend::renew_keys(&config).unwrap().snapshot, next.snapshot, "asked again");
    assert!(next.snapshot != stolen.snapshot && next.timestamp != stolen.timestamp);
    running.restart().await;
    let mut admin = running.admin().await;

    // A device that the thief reached is far ahead of the truth.
    let thief = |name: &str| {
        let seed = std::fs::read(running.data_dir().join("keys").join(name)).unwrap();
        Ed25519Key::from_seed(seed.as_slice().try_into().unwrap())
    };
    let mut device = Client::new(TrustedState::bootstrap(&running.adopted().root).unwrap(), running.now());
    let targets = Signed::<Targets>::parse(&running.adopted().targets).unwrap();
    let mut snapshot = Signed::new(Snapshot::new(u64::MAX / 2, running.now(), &targets)).unwrap();
    snapshot.sign(&thief("snapshot")).unwrap();
    let mut ahead = Signed::new(Timestamp::new(u64::MAX / 2, running.now(), &snapshot)).unwrap();
    ahead.sign(&thief("timestamp")).unwrap();
    for file in [None, Some(ahead.raw()), Some(snapshot.raw()), Some(targets.raw())] {
        device.feed(file.map_or(Fetched::NotFound, Fetched::Bytes)).unwrap();
    }
    let state = device.into_state();
    let honest = served(state.clone(), &running, &mut admin).await;
    assert!(matches!(honest, Err(envelope::tuf::Error::Rollback { .. })), "{honest:?}");

    let root = Signed::<Root>::parse(&running.adopted().root).unwrap().signed().clone();
    let mut rotated = root.next(running.now() + Seconds::days(365));
    for (role, key) in [(TufRole::Snapshot, &next.snapshot), (TufRole::Timestamp, &next.timestamp)] {
        let old = root.role(role).keyids[0].clone();
        rotated.remove_key(role, &old);
        rotated.add_key(role, key.as_ref().try_into().unwrap());
    }
    let mut rotated = Signed::new(rotated).unwrap();
    rotated.sign(&running.fleet.root_key).unwrap();
    let roots = vec![Base64(rotated.raw().to_vec())];
    admin.post(path::METADATA, &PublishMetadata { roots, targets: None, trust_keys: None }).await.done();
    assert_eq!(served(state.clone(), &running, &mut admin).await, Ok(1));

    // The old keys go with the next start, and what is signed goes on.
    running.restart().await;
    assert!(!running.data_dir().join("keys/snapshot.next").exists());
    running.clock.advance(Seconds::hours(20));
    let mut admin = running.admin().await;
    until("the renewal", async || {
        (timestamp(&mut admin).await.version == running.now().as_secs()).then_some(())
    })
    .await;
    assert_eq!(served(state, &running, &mut admin).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_told_when_the_metadata_changes() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let (_line, mut push) = online(&running, &mut device).await;
    running.release("1.2.0", 1_000).await;
    assert!(matches!(next_event(&mut push).await, Some(PushEvent::Metadata)));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_and_timestamp_are_renewed_before_they_lapse() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let first = timestamp(&mut admin).await;
    assert_eq!(first.version, running.now().as_secs(), "versions are the clock's");
    for _ in 0..3 {
        running.clock.advance(Seconds::hours(12));
        let now = running.now();
        let renewed = until("the renewal", async || {
            let renewed = timestamp(&mut admin).await;
            (renewed.version == now.as_secs()).then_some(renewed)
        })
        .await;
        assert_eq!(renewed.expires, now + Seconds::hours(24));
    }
    assert_eq!(refresh(&running, &mut admin).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_jumps_by_more_than_a_week_waits_for_a_person() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let before = timestamp(&mut admin).await.version;
    running.clock.advance(Seconds::days(30));
    until("the alarm", async || (alarmed(&mut admin, AlarmKind::MetadataExpiring).await > 0).then_some(()))
        .await;
    assert_eq!(timestamp(&mut admin).await.version, before);
    let unconfirmed = admin.post(path::SNAPSHOT, &SnapshotRequest::default()).await;
    assert_eq!(unconfirmed.code(), ErrorCode::PreconditionFailed);
    admin.post(path::SNAPSHOT, &SnapshotRequest { confirm_jump: true }).await.done();
    assert_eq!(timestamp(&mut admin).await.version, running.now().as_secs());
    assert_eq!(refresh(&running, &mut admin).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_warned_before_what_they_must_sign_lapses() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    for _ in 0..12 {
        running.clock.advance(Seconds::days(6));
        let now = running.now();
        until("the renewal", async || (timestamp(&mut admin).await.version == now.as_secs()).then_some(()))
            .await;
    }
    assert_eq!(alarmed(&mut admin, AlarmKind::MetadataExpiring).await, 0);
    running.clock.advance(Seconds::days(5));
    until("the warning", async || {
        (alarmed(&mut admin, AlarmKind::MetadataExpiring).await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_is_renewed_without_dropping_anybody() {
    let running = Running::start().await;
    let mut device = running.enrol("A-1").await;
    let (mut line, _push) = online(&running, &mut device).await;
    let mut admin = running.admin().await;
    let identity: protocol::operator::BackendIdentity = admin.get(path::BACKEND).await.ok();
    let renewed = PutCertificate { certificate: Base64(running.fleet.server_certificate(&identity.csr)) };
    admin.put(path::SERVER_CERTIFICATE, &renewed).await.done();
    device.check_in(&mut line).await;
    device.check_in(&mut device.connect(&running).await).await;
    let foreign = envelope::P256Key::generate().unwrap();
    let csr = pki_request(&foreign);
    let foreign = PutCertificate { certificate: Base64(running.fleet.server_certificate(&csr)) };
    assert_eq!(admin.put(path::SERVER_CERTIFICATE, &foreign).await.code(), ErrorCode::InvalidRequest);
}

fn pki_request(key: &envelope::P256Key) -> Vec<u8> {
    struct Ecdsa<'a>(&'a envelope::P256Key);
    impl pki::P256Signer for Ecdsa<'_> {
        fn public_key_sec1(&self) -> [u8; 65] {
            envelope::Signer::public_key(self.0).as_bytes().try_into().unwrap()
        }
        fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
            Ok(envelope::Signer::sign(self.0, message).unwrap())
        }
    }
    pki::request::build_identity(&Ecdsa(key)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_outlives_a_restart() {
    let mut running = Running::start().await;
    running.release("1.2.0", 1_000).await;
    running.restart().await;
    let mut admin = running.admin().await;
    assert_eq!(refresh(&running, &mut admin).await, Ok(2));
    let targets: Targets = running.targets(&mut admin).await;
    assert_eq!(targets.targets.len(), 2);
    running.release("1.3.0", 1_000).await;
    assert_eq!(refresh(&running, &mut admin).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_unnoted_is_in_force_all_the_same() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let next = running.targets(&mut admin).await.next(running.now());
    let asked = NewRequest {
        id: RequestId::random(&mut SystemRandom),
        purpose: Purpose::Trust,
        payload: Base64(Signed::new(next.clone()).unwrap().signing_bytes().to_vec()),
        trust_keys: None,
        reason: "the targets metadata lives on".to_owned(),
        expires_at: None,
    };
    let open: SignatureRequest = admin.post(path::REQUESTS, &asked).await.ok();
    assert_eq!(open.state, RequestState::Open);
    let early = admin.post(&path::publish_request(asked.id), &()).await;
    assert_eq!(early.code(), ErrorCode::ThresholdNotMet);
    // As if it had been published by the request, and the backend had died before it wrote that down.
    admin.post(path::METADATA, &publish(running.fleet.sign_targets(next))).await.done();
    let found: Vec<SignatureRequest> = admin.get(path::REQUESTS).await.ok();
    assert_eq!(found[0].state, RequestState::Published);
    for _ in 0..2 {
        let noted: SignatureRequest = admin.post(&path::publish_request(asked.id), &()).await.ok();
        assert_eq!(noted.state, RequestState::Published);
    }
    // It stays so when other metadata follows.
    let other = running.targets(&mut admin).await.next(running.now());
    admin.post(path::METADATA, &publish(running.fleet.sign_targets(other))).await.done();
    let found: Vec<SignatureRequest> = admin.get(path::REQUESTS).await.ok();
    assert_eq!(found[0].state, RequestState::Published);
}
