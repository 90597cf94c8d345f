use model::{Seconds, UnixTime};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::repository::{Device, NOW, Repository, hashes, key, name, no_hashes, public};
use crate::tuf::{
    Bundled, Client, Error, Fetched, KeyId, MetaFile, Need, Role, Root, Signed, StateLost, TargetCustom,
    TargetFile, Targets, Timestamp, TrustedState, next_online_version,
};

fn refreshed(repository: &Repository) -> Device {
    let mut device = repository.client();
    device.refresh(repository).unwrap();
    device
}

#[test]
fn r13_a_frozen_repository_is_refused_when_its_timestamp_lapses() {
    let repository = Repository::new();
    let mut device = refreshed(&repository);
    let lapse = NOW + Seconds::hours(24);
    assert!(device.refresh_at(&repository, lapse - Seconds(1)).is_ok());
    let refused = device.refresh_at(&repository, lapse).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Timestamp, expires: lapse });
}

#[test]
fn r13_a_snapshot_that_drops_a_file_is_refused() {
    let mut repository = Repository::new();
    repository.snapshot.meta.insert("more.json".into(), no_hashes(3));
    repository.bump_snapshot();
    let mut device = refreshed(&repository);
    repository.snapshot.meta.remove("more.json");
    repository.bump_snapshot();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Rollback { role: Role::Snapshot, trusted: 3, offered: 0 });
}

#[test]
fn r13_a_snapshot_mixed_with_the_targets_of_another_time_is_refused() {
    let mut repository = Repository::new();
    let old = repository.files["1.targets.json"].clone();
    repository.bump_targets();
    repository.files.insert("2.targets.json".into(), old);
    let refused = repository.client().refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::HashMismatch { role: Role::Targets });
}

#[test]
fn r13_rotating_the_timestamp_key_alone_does_not_let_targets_go_back() {
    let mut repository = Repository::new();
    repository.bump_targets();
    let mut device = refreshed(&repository);
    repository.set_role(Role::Timestamp, &[9], 1, &[9]);
    repository.bump_root();
    repository.targets.version = 1;
    repository.publish_targets();
    repository.bump_snapshot();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Rollback { role: Role::Targets, trusted: 2, offered: 1 });
}

#[test]
fn a_stolen_snapshot_key_alone_cannot_fast_forward_the_targets() {
    let mut repository = Repository::new();
    repository.with_hashes = false;
    let mut device = refreshed(&repository);
    repository.snapshot.version = 2;
    repository.snapshot.meta.insert("targets.json".into(), no_hashes(1 << 60));
    repository.put(&repository.sign(&repository.snapshot));
    repository.bump_timestamp();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::NotFound { role: Role::Targets });
    // The owners rotate both online keys, and the device comes back by itself.
    repository.set_role(Role::Timestamp, &[9], 1, &[9]);
    repository.set_role(Role::Snapshot, &[10], 1, &[10]);
    repository.bump_root();
    repository.bump_targets();
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions()[3], 2);
}

#[test]
fn endless_data_is_cut_off_and_refused() {
    let mut repository = Repository::new();
    let mut device = refreshed(&repository);
    let mut endless = repository.files["timestamp.json"].clone();
    endless.resize(20_000, b' ');
    repository.files.insert("timestamp.json".into(), endless);
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::TooLarge { role: Role::Timestamp, max_bytes: 16_384 });

    let mut repository = Repository::new();
    repository.files.get_mut("1.snapshot.json").unwrap().push(b' ');
    let refused = repository.client().refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::HashMismatch { role: Role::Snapshot });
}

#[test]
fn an_endless_chain_of_roots_is_taken_in_portions() {
    let mut repository = Repository::new();
    (0..300).for_each(|_| repository.bump_root());
    let mut device = repository.client();
    assert_eq!(device.refresh(&repository).unwrap_err(), Error::TooManyRoots { max: 256 });
    assert_eq!(device.versions()[0], 257);
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions()[0], 301);
}

#[test]
fn a_root_that_skips_a_version_or_repeats_one_is_refused() {
    for version in [1, 3] {
        let mut repository = Repository::new();
        repository.root.version = version;
        let file = repository.sign(&repository.root);
        repository.files.insert("2.root.json".into(), file.raw().to_vec());
        let mut device = repository.client();
        let refused = device.refresh(&repository).unwrap_err();
        assert_eq!(refused, Error::VersionMismatch { role: Role::Root, expected: 2, found: version });
        assert_eq!(device.versions()[0], 1);
    }
}

#[test]
fn metadata_of_one_role_never_passes_for_another() {
    let mut repository = Repository::new();
    repository.set_role(Role::Timestamp, &[3], 1, &[3]);
    repository.publish_root();
    let snapshot = repository.files["snapshot.json"].clone();
    repository.files.insert("timestamp.json".into(), snapshot);
    let refused = repository.client().refresh(&repository).unwrap_err();
    assert!(matches!(refused, Error::Malformed { role: Role::Timestamp, .. }));
}

#[test]
fn a_changed_byte_in_any_signed_field_is_refused() {
    let repository = Repository::new();
    let file = &repository.files["timestamp.json"];
    for (at, byte) in file.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let mut forged = file.clone();
        forged[at] = if *byte == b'9' { b'8' } else { byte + 1 };
        let trusted =
            Signed::<Timestamp>::parse(&forged).and_then(|forged| repository.root.verify(&forged)).is_ok();
        assert!(!trusted, "byte {at}");
    }
}

#[test]
fn a_missing_file_is_an_error_not_a_reason_to_go_on() {
    for (file, role) in [
        ("timestamp.json", Role::Timestamp),
        ("1.snapshot.json", Role::Snapshot),
        ("1.targets.json", Role::Targets),
    ] {
        let mut repository = Repository::new();
        repository.files.remove(file);
        let refused = repository.client().refresh(&repository).unwrap_err();
        assert_eq!(refused, Error::NotFound { role });
    }
}

#[test]
fn a_failed_refresh_yields_no_targets_and_stays_failed() {
    let repository = Repository::new();
    let mut client = Client::new(repository.client().state, NOW);
    assert_eq!(client.targets().unwrap_err(), Error::Incomplete);
    assert!(client.feed(Fetched::Bytes(b"{}")).is_err());
    assert_eq!(client.next(), Need::Done);
    assert_eq!(client.feed(Fetched::NotFound).unwrap_err(), Error::Incomplete);
    assert_eq!(client.targets().unwrap_err(), Error::Incomplete);
}

#[test]
fn malformed_metadata_is_refused() {
    let repository = Repository::new();
    let root: Value = serde_json::from_slice(repository.first_root()).unwrap();
    let keyid = &root["signed"]["roles"]["root"]["keyids"][0];
    let twice = json!([keyid, keyid]);
    let id = KeyId::of(&public(1));
    for (path, value) in [
        ("/signed/version", json!(0)),
        ("/signed/version", json!(-1)),
        ("/signed/version", json!("1")),
        ("/signed/expires", json!("2027-01-31T12:00:00+00:00")),
        ("/signed/expires", json!("2027-01-31T12:00:00.5Z")),
        ("/signed/_type", json!("targets")),
        ("/signed/spec_version", json!("2.0.0")),
        ("/signed/spec_version", json!("10.0")),
        ("/signed/roles/root/threshold", json!(0)),
        ("/signed/roles/root/keyids", twice),
        ("/signed/roles/timestamp", json!(null)),
        ("/signatures", json!({})),
        ("/signatures/0/keyid", json!(7)),
    ] {
        let mut forged = root.clone();
        *forged.pointer_mut(path).unwrap() = value;
        let refused = Signed::<Root>::parse(forged.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, Error::Malformed { role: Role::Root, .. }), "{path}");
    }
    for text in ["", "null", "[]", "7", "{}", r#"{"signed":{},"signatures":[]}"#] {
        assert!(Signed::<Root>::parse(text.as_bytes()).is_err(), "{text}");
    }
    let duplicated = String::from_utf8(repository.first_root().to_vec()).unwrap();
    let entry = format!("\"{id}\":{{");
    let duplicated = duplicated.replacen(&entry, &format!("{entry}}},{entry}"), 1);
    assert!(Signed::<Root>::parse(duplicated.as_bytes()).is_err());
}

#[test]
fn keys_of_other_kinds_are_carried_along_and_count_for_nothing() {
    let mut repository = Repository::new();
    let mut entry = serde_json::to_value(&repository.root.keys[&KeyId::of(&public(3))]).unwrap();
    entry["keytype"] = "ecdsa".into();
    entry["scheme"] = "ecdsa-sha2-nistp256".into();
    let foreign = serde_json::from_value(entry).unwrap();
    repository.root.keys.insert(KeyId::of(&public(3)), foreign);
    repository.bump_root();
    let refused = repository.client().refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Snapshot, have: 0, need: 1 });
    assert!(!repository.root.is_complete());
}

#[test]
fn time_never_lies_before_the_newest_targets() {
    let later = NOW + Seconds::days(30);
    let mut repository = Repository::new();
    let mut device = refreshed(&repository);
    assert_eq!(device.state.time_floor(), NOW);
    repository.targets = repository.targets.next(later);
    repository.publish_targets();
    repository.snapshot.expires = later + Seconds::days(7);
    repository.timestamp.expires = later + Seconds::hours(24);
    repository.bump_snapshot();
    device.refresh(&repository).unwrap();
    assert_eq!(device.state.time_floor(), later);
    // A clock set back does not bring back what lapsed before the floor.
    repository.timestamp.expires = later - Seconds(1);
    repository.bump_timestamp();
    let refused = device.refresh_at(&repository, NOW).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Timestamp, expires: later - Seconds(1) });
    // Nor does a root rotation.
    repository.set_role(Role::Snapshot, &[9], 1, &[9]);
    repository.bump_root();
    assert!(device.refresh_at(&repository, NOW).is_err());
    assert_eq!(device.state.time_floor(), later);
}

#[test]
fn targets_issued_after_the_timestamp_lapsed_are_not_fresh() {
    let later = NOW + Seconds::days(2);
    let mut repository = Repository::new();
    repository.targets = repository.targets.next(later);
    repository.publish_targets();
    repository.bump_snapshot();
    let refused = repository.client().refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Timestamp, expires: repository.timestamp.expires });
}

#[test]
fn what_is_stored_reads_back_and_damage_to_both_copies_is_a_loss() {
    let repository = Repository::new();
    let device = refreshed(&repository);
    let stored = device.state.to_bytes();
    let read = TrustedState::choose(Some(&stored), None).unwrap();
    assert_eq!(read.to_bytes(), stored);
    assert_eq!(read.generation(), device.state.generation());
    let older = repository.client().state.to_bytes();
    let newest = TrustedState::choose(Some(&older), Some(&stored)).unwrap();
    assert_eq!(newest.generation(), read.generation());
    let cut = &stored[..stored.len() - 1];
    assert!(TrustedState::choose(Some(cut), Some(&older)).is_ok());
    assert_eq!(TrustedState::choose(Some(cut), Some(cut)).unwrap_err(), StateLost);
    assert_eq!(TrustedState::choose(None, None).unwrap_err(), StateLost);
}

#[test]
fn a_bundle_is_accepted_without_snapshot_and_timestamp() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.set_role(Role::Targets, &[7, 8], 2, &[7, 8]);
    repository.bump_root();
    repository.add_target("target", b"content");
    repository.bump_targets();
    let bundle = Bundled { issued_at: NOW + Seconds::days(1), expires: NOW + Seconds::days(31) };
    let targets = device.bundle(&repository, bundle).unwrap();
    assert!(targets.is_offline());
    assert_eq!((targets.targets_version(), targets.expires()), (2, bundle.expires));
    assert!(targets.target(&name("target")).unwrap().verify(b"content".to_vec()).is_ok());
    assert_eq!(device.versions(), [2, 0, 0, 2]);
    // Online again, it goes on from there.
    device.refresh(&repository).unwrap();
}

#[test]
fn r13_a_bundle_of_the_past_is_refused() {
    let made = |issued_at: UnixTime| Bundled { issued_at, expires: issued_at + Seconds::days(30) };
    let mut repository = Repository::new();
    let mut device = refreshed(&repository);

    let refused = device.bundle(&repository, made(NOW + Seconds::days(90))).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Targets, expires: NOW + Seconds::days(90) });
    let refused = device.bundle(&repository, made(NOW + Seconds::days(365))).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Root, expires: NOW + Seconds::days(365) });
    let refused = device.bundle(&repository, made(NOW - Seconds(1))).unwrap_err();
    assert_eq!(refused, Error::NotYetIssued { issued_at: NOW });

    repository.bump_targets();
    device.refresh(&repository).unwrap();
    repository.targets.version = 1;
    repository.publish_targets();
    let refused = device.bundle(&repository, made(NOW)).unwrap_err();
    assert_eq!(refused, Error::Rollback { role: Role::Targets, trusted: 2, offered: 1 });

    repository.signers.insert(Role::Targets, vec![9]);
    repository.targets.version = 3;
    repository.publish_targets();
    let refused = device.bundle(&repository, made(NOW)).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Targets, have: 0, need: 1 });

    repository.signers.insert(Role::Root, vec![9]);
    repository.bump_root();
    let refused = device.bundle(&repository, made(NOW)).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Root, have: 0, need: 1 });
    assert_eq!(device.versions(), [1, 2, 2, 2]);
}

#[test]
fn r13_rotated_keys_do_not_let_a_bundle_go_back() {
    let bundle = Bundled { issued_at: NOW, expires: NOW + Seconds::days(30) };
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
        let mut repository = Repository::new();
        repository.set_role(Role::Targets, &[7, 8], 1, &[7]);
        repository.bump_root();
        repository.bump_targets();
        let mut device = refreshed(&repository);
        repository.set_role(role, &[7, 9], 1, &[7]);
        repository.bump_root();
        repository.targets.version = 1;
        repository.publish_targets();
        let refused = device.bundle(&repository, bundle).unwrap_err();
        assert_eq!(refused, Error::Rollback { role: Role::Targets, trusted: 2, offered: 1 }, "{role}");
    }
}

#[test]
fn what_is_stored_is_in_force_until_it_lapses_or_its_keys_change() {
    let mut repository = Repository::new();
    let device = repository.client();
    assert_eq!(device.state.in_force(NOW).unwrap_err(), Error::Incomplete);
    let mut device = refreshed(&repository);
    let lapse = repository.timestamp.expires;
    let targets = device.state.in_force(lapse - Seconds(1)).unwrap();
    assert_eq!((targets.targets_version(), targets.expires()), (1, lapse));
    let refused = device.state.in_force(lapse).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Timestamp, expires: lapse });

    // A refresh that breaks off leaves nothing in force but what belongs together.
    repository.bump_targets();
    repository.files.remove("2.targets.json");
    assert!(device.refresh(&repository).is_err());
    assert_eq!(device.state.in_force(NOW).unwrap_err(), Error::Incomplete);

    let mut device = refreshed(&Repository::new());
    let mut repository = Repository::new();
    repository.set_role(Role::Targets, &[9], 1, &[9]);
    repository.bump_root();
    repository.files.remove("timestamp.json");
    assert!(device.refresh(&repository).is_err());
    assert_eq!(device.state.in_force(NOW).unwrap_err(), Error::Incomplete);
}

#[test]
fn r13_after_a_newer_bundle_the_repositorys_older_targets_are_refused() {
    let repository = Repository::new();
    let mut device = refreshed(&repository);
    let mut newer = Repository::new();
    newer.bump_targets();
    device.bundle(&newer, Bundled { issued_at: NOW, expires: NOW + Seconds::days(30) }).unwrap();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Rollback { role: Role::Targets, trusted: 2, offered: 1 });
}

#[test]
fn several_vaults_sign_one_file_until_the_threshold_is_met() {
    let mut repository = Repository::new();
    repository.set_role(Role::Targets, &[7, 8, 9], 2, &[]);
    let mut mine = repository.sign(&repository.targets);
    let mut theirs = mine.clone();
    mine.sign(&key(7)).unwrap();
    let standing = repository.root.standing(&mine);
    assert_eq!((standing.have, standing.need, standing.signers.len()), (1, 2, 1));
    theirs.sign(&key(8)).unwrap();
    mine.merge(&theirs).unwrap();
    repository.root.verify(&mine).unwrap();
    // What travelled as bytes is still what was signed.
    repository.root.verify(&Signed::<Targets>::parse(mine.raw()).unwrap()).unwrap();
    let other = repository.sign(&repository.targets.next(NOW));
    assert_eq!(mine.merge(&other).unwrap_err(), Error::OtherContent { role: Role::Targets });
}

#[test]
fn what_a_release_says_of_its_artifact_reads_back() {
    let custom = json!({
        "model": "GW-200", "hardware_revisions": ["b"], "component": "main", "version": "1.2.3",
        "security_counter": 4, "installer": "slots", "release": format!("rel_{}", "00".repeat(16)),
        "requires": { "boot": "1.0.0" }, "something-new": true
    });
    let custom: TargetCustom = serde_json::from_value(custom).unwrap();
    let mut repository = Repository::new();
    let file = TargetFile::of(b"content", Some(custom.clone()));
    repository.targets.targets.insert(name("gw-200/main"), file);
    repository.add_target("trust/keys.cbor", b"keys");
    repository.targets.version = 2;
    let targets = repository.targets.clone();
    // What we do not understand is no artifact that we would install.
    repository.put_changed(&targets, |signed| {
        signed["targets"]["odd"] = json!({
            "length": 1, "hashes": hashes(b"x"), "custom": { "model": 7 }
        });
    });
    let published = Signed::<Targets>::parse(&repository.files["2.targets.json"]).unwrap();
    repository.snapshot.version = 2;
    repository.snapshot.meta.insert("targets.json".into(), MetaFile::of(&published));
    repository.put(&repository.sign(&repository.snapshot));
    repository.bump_timestamp();
    let targets = repository.client().refresh(&repository).unwrap();
    assert_eq!(targets.target(&name("gw-200/main")).unwrap().custom(), Some(&custom));
    assert_eq!(targets.target(&name("trust/keys.cbor")).unwrap().custom(), None);
    assert_eq!(targets.target(&name("odd")).unwrap().custom(), None);
}

#[test]
fn online_versions_follow_the_clock_and_a_far_jump_waits_for_a_person() {
    let seconds = NOW.as_secs();
    assert_eq!(next_online_version(0, NOW), Ok(seconds));
    assert_eq!(next_online_version(seconds, NOW), Ok(seconds + 1));
    assert_eq!(next_online_version(seconds + 500, NOW), Ok(seconds + 501));
    assert_eq!(next_online_version(seconds - Seconds::days(7).0, NOW), Ok(seconds));
    assert!(next_online_version(seconds - Seconds::days(7).0 - 1, NOW).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic_the_client(files in prop::collection::vec(bytes(), 4), damage: [u8; 8]) {
        let mut repository = Repository::new();
        repository.bump_root();
        for (file, at) in files.iter().zip(0_u8..) {
            let state = repository.client().state;
            let mut client = Client::new(state.clone(), NOW);
            // Goes honestly up to file `at`, then feeds it rubbish.
            for _ in 0..at {
                if let Need::Fetch { path, .. } = client.next() {
                    match repository.files.get(&path) {
                        Some(file) => client.feed(Fetched::Bytes(file)).unwrap(),
                        None => client.feed(Fetched::NotFound).unwrap(),
                    }
                }
            }
            prop_assert!(client.feed(Fetched::Bytes(file)).is_err());
            let mut state = state;
            let bundle = Bundled { issued_at: NOW, expires: NOW };
            let accepted = state.accept_bundle(&[file], file, bundle).is_ok();
            prop_assert!(!accepted);
            prop_assert!(TrustedState::choose(Some(file), Some(file)).is_err());
        }
        let mut near = repository.files["1.root.json"].clone();
        for pair in damage.chunks_exact(2) {
            let at = usize::from(pair[0]) * near.len() / 256;
            near[at] = pair[1];
        }
        let _ = Signed::<Root>::parse(&near);
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        r#"[\{\}\[\]":,0-9a-z\\]{0,80}"#.prop_map(String::into_bytes),
        r#"\{"signatures":\[\],"signed":\{"_type":"[a-z]{4,9}","spec_version":"1.0","version":[0-9]{1,22}\}\}"#
            .prop_map(String::into_bytes),
    ]
}
