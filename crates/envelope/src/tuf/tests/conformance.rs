use model::Seconds;
use serde_json::{Value, json};

use super::repository::{NOW, Repository, key, name, no_hashes, odd_key_id, public};
use crate::tuf::{Error, Key, Role, Signed, Snapshot, Timestamp, TrustedState};

#[test]
fn a_first_refresh_asks_for_four_files_in_order() {
    let repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
    assert_eq!(device.versions(), [1, 1, 1, 1]);
}

#[test]
fn a_second_refresh_fetches_no_more_than_it_must() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.bump_timestamp();
    repository.requests();
    device.refresh(&repository).unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(device.versions(), [1, 2, 1, 1]);
}

#[test]
fn a_first_root_that_is_damaged_or_unsigned_is_refused() {
    let repository = Repository::new();
    let mut unversioned: Value = serde_json::from_slice(repository.first_root()).unwrap();
    let mut unsigned = unversioned.clone();
    unversioned["signed"].as_object_mut().unwrap().remove("version");
    unsigned["signatures"][0]["sig"] = "3045022100ee448afe".into();
    for root in [unversioned, unsigned] {
        assert!(TrustedState::bootstrap(root.to_string().as_bytes()).is_err());
    }
}

#[test]
fn a_timestamp_changed_without_a_new_version_does_not_replace_the_old() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.timestamp.meta.snapshot = no_hashes(100);
    repository.put(&repository.sign(&repository.timestamp));
    device.refresh(&repository).unwrap();
    assert_eq!(device.state.timestamp().unwrap().signed().meta.snapshot.version, 1);
}

#[test]
fn targets_that_differ_from_the_snapshots_digest_are_refused() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.bump_targets();
    repository.add_target("other", b"other");
    repository.publish_targets();
    let refused = device.refresh(&repository);
    assert_eq!(refused.unwrap_err(), Error::HashMismatch { role: Role::Targets });
    assert_eq!(device.versions(), [1, 2, 2, 1]);
}

#[test]
fn targets_of_another_version_than_the_snapshots_are_refused() {
    let mut repository = Repository::new();
    repository.with_hashes = false;
    let mut device = repository.client();
    repository.bump_snapshot();
    repository.targets.version = 2;
    let file = repository.sign(&repository.targets);
    repository.files.insert("1.targets.json".into(), file.raw().to_vec());
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::VersionMismatch { role: Role::Targets, expected: 1, found: 2 });
    assert_eq!(device.versions(), [1, 2, 2, 0]);
}

#[test]
fn unknown_fields_are_covered_by_signatures_and_tolerated() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.root.version = 2;
    let root = repository.root.clone();
    repository.put_changed(&root, |signed| {
        let id = root.roles.root.keyids[0].as_str();
        signed["custom-field"] = "value".into();
        signed["keys"][id]["extra-field"] = json!({ "a": 1, "b": 2 });
        signed["keys"][id]["keyid_hash_algorithms"] = json!(["md5"]);
        signed["roles"]["root"]["another-field"] = "value".into();
    });
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions()[0], 2);
}

#[test]
fn a_snapshot_rolled_back_without_a_new_timestamp_is_not_even_fetched() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.bump_snapshot();
    device.refresh(&repository).unwrap();
    repository.snapshot.version = 1;
    repository.publish_snapshot();
    repository.requests();
    device.refresh(&repository).unwrap();
    assert_eq!(repository.requests().last().unwrap(), "timestamp.json");
    assert_eq!(device.versions()[2], 2);
}

#[test]
fn r13_a_rolled_back_timestamp_is_refused() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.bump_timestamp();
    device.refresh(&repository).unwrap();
    repository.timestamp.version = 1;
    repository.publish_timestamp();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Rollback { role: Role::Timestamp, trusted: 2, offered: 1 });
    assert_eq!(device.versions()[1], 2);
}

#[test]
fn r13_a_rolled_back_snapshot_is_refused_with_and_without_digests() {
    for with_hashes in [true, false] {
        let mut repository = Repository::new();
        repository.with_hashes = with_hashes;
        let mut device = repository.client();
        repository.bump_snapshot();
        device.refresh(&repository).unwrap();
        repository.snapshot.version = 1;
        repository.publish_snapshot();
        repository.bump_timestamp();
        repository.requests();
        let refused = device.refresh(&repository).unwrap_err();
        assert_eq!(refused, Error::Rollback { role: Role::Snapshot, trusted: 2, offered: 1 });
        assert_eq!(device.versions(), [1, 2, 2, 1]);
        assert_eq!(repository.requests().last().unwrap(), "timestamp.json");
    }
}

#[test]
fn r13_rolled_back_targets_are_refused_with_and_without_digests() {
    for with_hashes in [true, false] {
        let mut repository = Repository::new();
        repository.with_hashes = with_hashes;
        let mut device = repository.client();
        repository.bump_targets();
        repository.bump_targets();
        device.refresh(&repository).unwrap();
        repository.targets.version = 1;
        repository.publish_targets();
        repository.bump_snapshot();
        let refused = device.refresh(&repository).unwrap_err();
        assert_eq!(refused, Error::Rollback { role: Role::Targets, trusted: 3, offered: 1 });
        assert_eq!(device.versions(), [1, 4, 3, 3]);
    }
}

#[test]
fn a_snapshot_of_another_version_than_the_timestamps_is_refused() {
    let mut repository = Repository::new();
    repository.with_hashes = false;
    let mut device = repository.client();
    repository.publish_timestamp();
    repository.snapshot.version = 2;
    let file = repository.sign(&repository.snapshot);
    repository.files.insert("1.snapshot.json".into(), file.raw().to_vec());
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::VersionMismatch { role: Role::Snapshot, expected: 1, found: 2 });
    assert_eq!(device.versions(), [1, 1, 0, 0]);
    assert_eq!(repository.requests().last().unwrap(), "1.snapshot.json");
}

#[test]
fn new_snapshot_keys_recover_from_fast_forwarded_targets() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.targets.version = 99;
    repository.bump_targets();
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions()[3], 100);
    repository.set_role(Role::Snapshot, &[9], 1, &[9]);
    repository.bump_root();
    repository.targets.version = 1;
    repository.bump_targets();
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions()[3], 2);
}

#[test]
fn new_snapshot_and_timestamp_keys_recover_from_a_fast_forwarded_snapshot() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.snapshot.version = 99_998;
    repository.bump_snapshot();
    device.refresh(&repository).unwrap();
    repository.set_role(Role::Snapshot, &[9], 1, &[9]);
    repository.set_role(Role::Timestamp, &[10], 1, &[10]);
    repository.bump_root();
    repository.snapshot.version = 1;
    repository.publish_snapshot();
    repository.bump_timestamp();
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [2, 3, 1, 1]);
}

#[test]
fn a_new_timestamp_key_recovers_from_a_fast_forwarded_timestamp() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.timestamp.version = 99;
    repository.bump_timestamp();
    device.refresh(&repository).unwrap();
    repository.set_role(Role::Timestamp, &[9], 1, &[9]);
    repository.bump_root();
    repository.timestamp.version = 1;
    repository.publish_timestamp();
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [2, 1, 1, 1]);
}

#[test]
fn an_expired_root_is_kept_but_nothing_below_it_is_updated() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.bump_root();
    repository.root.expires = NOW - Seconds::days(1);
    repository.bump_root();
    repository.bump_targets();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Root, expires: repository.root.expires });
    assert_eq!(device.versions(), [3, 1, 1, 1]);
}

#[test]
fn expired_metadata_never_replaces_what_is_trusted() {
    let past = NOW - Seconds::days(5);
    let mut repository = Repository::new();
    repository.targets.issued_at = None;
    repository.bump_targets();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();

    repository.targets.expires = past;
    repository.bump_targets();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Targets, expires: past });
    assert_eq!(device.versions(), [1, 3, 3, 2]);

    repository.snapshot.expires = past;
    repository.bump_snapshot();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Snapshot, expires: past });
    assert_eq!(device.versions(), [1, 4, 3, 2]);

    repository.timestamp.expires = past;
    repository.bump_timestamp();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::Expired { role: Role::Timestamp, expires: past });
    assert_eq!(device.versions(), [1, 4, 3, 2]);
}

#[test]
fn metadata_that_expired_on_the_device_still_leads_to_the_next() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    repository.timestamp.expires = NOW + Seconds::days(7);
    repository.bump_timestamp();
    device.refresh(&repository).unwrap();
    repository.snapshot.expires = NOW + Seconds::days(21);
    repository.timestamp.expires = NOW + Seconds::days(21);
    repository.bump_targets();
    device.refresh_at(&repository, NOW + Seconds::days(18)).unwrap();
    assert_eq!(device.versions(), [1, 3, 2, 2]);
}

#[test]
fn a_target_is_taken_by_its_signed_length_and_digest_alone() {
    let mut repository = Repository::new();
    repository.add_target("path/to/a/target.txt", b"content");
    repository.bump_targets();
    let targets = repository.client().refresh(&repository).unwrap();
    assert!(targets.target(&name("nonexistent")).is_none());
    let target = targets.target(&name("path/to/a/target.txt")).unwrap();
    assert_eq!(target.path(), format!("path/to/a/{}.target.txt", crate::sha256(b"content")));
    assert_eq!(target.verify(b"content".to_vec()).unwrap().as_bytes(), b"content");
    for forged in [&b"Content"[..], b"content+", b"conten", b""] {
        let refused = target.verify(forged.to_vec()).unwrap_err();
        assert_eq!(refused, Error::TargetMismatch { name: target.name().clone() });
    }
}

#[test]
fn a_target_changed_legitimately_replaces_the_old_even_when_versions_were_missed() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    for i in 0..11_u8 {
        repository.add_target("target", &[i]);
        repository.add_target(&format!("new-{i}"), &[i]);
        repository.bump_targets();
        if i % 5 == 0 {
            let targets = device.refresh(&repository).unwrap();
            assert!(targets.target(&name("target")).unwrap().verify(vec![i]).is_ok());
            assert!(targets.target(&name(&format!("new-{i}"))).unwrap().verify(vec![i]).is_ok());
            assert!(targets.target(&name("target")).unwrap().verify(vec![i, i]).is_err());
        }
    }
}

#[test]
fn a_threshold_that_the_roots_keys_reach_but_the_signatures_do_not_is_not_met() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.set_role(Role::Snapshot, &[10, 11, 12, 13, 14], 6, &[10, 11, 12, 13, 14]);
    repository.bump_root();
    repository.bump_snapshot();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Snapshot, have: 5, need: 6 });

    repository.set_role(Role::Snapshot, &[10, 11, 12, 13, 14], 5, &[10, 11, 12]);
    repository.bump_root();
    repository.bump_snapshot();
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Snapshot, have: 3, need: 5 });
    assert_eq!(device.versions()[0], 3);

    // An id that no key stands behind counts for nothing, and breaks nothing.
    repository.root.roles.snapshot.keyids.push(odd_key_id("nobody"));
    repository.bump_root();
    assert!(device.refresh(&repository).is_err());
    repository.signers.insert(Role::Snapshot, vec![10, 11, 12, 13, 14]);
    repository.bump_snapshot();
    device.refresh(&repository).unwrap();
}

#[test]
fn one_key_under_many_ids_counts_once() {
    let mut repository = Repository::new();
    let mut device = repository.client();
    device.refresh(&repository).unwrap();
    repository.root.set_threshold(Role::Snapshot, 6);
    for i in 0..9 {
        let id = odd_key_id(&format!("alias-{i}"));
        repository.root.keys.insert(id.clone(), Key::ed25519(&public(3)));
        repository.root.roles.snapshot.keyids.push(id);
    }
    repository.bump_root();
    repository.bump_snapshot();
    let file = repository.sign(&repository.snapshot);
    let mut forged: Value = serde_json::from_slice(file.raw()).unwrap();
    let signature = file.signatures()[0].sig.clone();
    for i in 0..9 {
        let alias = json!({ "keyid": format!("alias-{i}"), "sig": signature });
        forged["signatures"].as_array_mut().unwrap().push(alias);
    }
    let forged = Signed::<Snapshot>::parse(forged.to_string().as_bytes()).unwrap();
    assert_eq!(forged.signatures().len(), 10);
    let standing = repository.root.standing(&forged);
    assert_eq!((standing.have, standing.need), (1, 6));
    repository.with_hashes = false;
    repository.bump_timestamp();
    repository.put(&forged);
    let refused = device.refresh(&repository).unwrap_err();
    assert_eq!(refused, Error::ThresholdNotMet { role: Role::Snapshot, have: 1, need: 6 });
}

/// Keys, threshold and signers of one version.
type Version = (&'static [u8], u32, &'static [u8]);

#[test]
fn roots_rotate_when_both_thresholds_signed_and_never_otherwise() {
    const FIVE: &[u8] = &[20, 21, 22, 23, 24];
    const ONE_NEW: &[u8] = &[20, 21, 23, 24, 25];
    const ALL_NEW: &[u8] = &[25, 26, 27, 28, 29];
    let good: &[(&str, &[Version])] = &[
        ("one key", &[(&[21], 1, &[21]), (&[22], 1, &[22, 21]), (&[22], 1, &[22])]),
        (
            "one key among signatures of strangers",
            &[(&[21], 1, &[23, 21, 24]), (&[22], 1, &[23, 22, 21, 24]), (&[22], 1, &[23, 22, 24])],
        ),
        (
            "3 of 5 by whichever three",
            &[(FIVE, 3, &[20, 22, 24]), (FIVE, 3, &[20, 24, 21]), (FIVE, 3, &[20, 21, 23])],
        ),
        ("3 of 5, one new key", &[(FIVE, 3, &[20, 22, 24]), (ONE_NEW, 3, &[20, 24, 21])]),
        (
            "3 of 5, one new key that signs",
            &[(FIVE, 3, &[20, 22, 24]), (ONE_NEW, 3, &[20, 22, 24, 25]), (ONE_NEW, 3, &[20, 24, 25])],
        ),
        (
            "3 of 5, all keys new",
            &[(FIVE, 3, &[20, 22, 24]), (ALL_NEW, 3, &[20, 22, 24, 25, 26, 27]), (ALL_NEW, 3, &[25, 26, 27])],
        ),
        ("1 of 3 raised to 2 of 3", &[(&[21, 22, 23], 1, &[21]), (&[21, 22, 23], 2, &[21, 22])]),
        (
            "2 of 3 lowered to 1 of 3",
            &[(&[21, 22, 23], 2, &[21, 22]), (&[21, 22, 23], 1, &[21, 22]), (&[21, 22, 23], 1, &[21])],
        ),
        ("1 of 1 raised to 2 of 2", &[(&[21], 1, &[21]), (&[21, 22], 2, &[21, 22])]),
    ];
    let bad: &[(&str, &[Version])] = &[
        ("not by the old key", &[(&[21], 1, &[21]), (&[22], 1, &[22, 23, 24])]),
        ("not by the new key", &[(&[21], 1, &[21]), (&[22], 1, &[21, 23, 24])]),
        ("two of three new keys", &[(FIVE, 3, &[20, 22, 24]), (ONE_NEW, 3, &[20, 22, 24])]),
        ("two of three old keys", &[(FIVE, 3, &[20, 22, 24]), (ONE_NEW, 3, &[20, 24, 25])]),
        ("raised, not met", &[(&[21, 22, 23], 1, &[21]), (&[21, 22, 23], 2, &[22])]),
        ("lowered, old not met", &[(&[21, 22, 23], 2, &[21, 22]), (&[21, 22, 23], 1, &[21])]),
    ];
    for (cases, accepted) in [(good, true), (bad, false)] {
        for (case, versions) in cases {
            let mut repository = Repository::new();
            for (version, (keys, threshold, signers)) in (1..).zip(*versions) {
                repository.set_role(Role::Root, keys, *threshold, signers);
                repository.root.version = version;
                repository.publish_root();
            }
            let mut device = repository.client();
            let result = device.refresh(&repository);
            let last = versions.len() as u64;
            let kept = if accepted { last } else { last - 1 };
            assert_eq!(result.is_ok(), accepted, "{case}");
            assert_eq!(device.state.root().raw(), repository.files[&Role::Root.path(kept)], "{case}");
        }
    }
}

#[test]
fn other_roles_follow_the_keys_and_threshold_that_root_gives_them() {
    const FIVE: &[u8] = &[20, 21, 22, 23, 24];
    const OTHER: &[u8] = &[20, 21, 23, 24, 25];
    let cases: &[(Version, bool)] = &[
        ((&[22], 1, &[22]), true),
        ((&[21], 1, &[23, 21, 24]), true),
        ((&[22], 1, &[21, 23, 24]), false),
        ((OTHER, 3, &[20, 22, 24]), false),
        ((OTHER, 3, &[20, 24]), false),
        ((FIVE, 3, &[20, 22, 24]), true),
        ((FIVE, 3, &[20, 24, 21]), true),
        ((FIVE, 3, &[20, 21, 23]), true),
        ((FIVE, 3, &[21, 22, 23]), true),
        ((FIVE, 3, &[22, 23, 24]), true),
    ];
    for ((keys, threshold, signers), accepted) in cases {
        for role in [Role::Timestamp, Role::Snapshot, Role::Targets] {
            let mut repository = Repository::new();
            let mut device = repository.client();
            device.refresh(&repository).unwrap();
            repository.set_role(role, keys, *threshold, signers);
            repository.bump_root();
            repository.bump_targets();
            let result = device.refresh(&repository);
            assert_eq!(result.is_ok(), *accepted, "{role} {keys:?} {signers:?}");
            assert_eq!(device.versions()[0], 2);
        }
    }
}

#[test]
fn delegations_are_not_followed() {
    let mut repository = Repository::new();
    repository.with_hashes = false;
    repository.targets.version = 2;
    let targets = repository.targets.clone();
    let delegated = json!({ "keys": {}, "roles": [
        { "name": "../x", "keyids": [], "threshold": 1, "terminating": false, "paths": ["*"] }
    ] });
    repository.put_changed(&targets, |signed| signed["delegations"] = delegated);
    repository.bump_snapshot();
    let targets = repository.client().refresh(&repository).unwrap();
    assert!(targets.target(&name("anything")).is_none());
    assert_eq!(repository.requests().len(), 4);
}

#[test]
fn without_consistent_snapshots_files_have_plain_names() {
    let mut repository = Repository::new();
    repository.root.consistent_snapshot = false;
    repository.add_target("folder/target", b"content");
    repository.bump_targets();
    repository.publish_root();
    let targets = repository.client().refresh(&repository).unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]);
    assert_eq!(targets.target(&name("folder/target")).unwrap().path(), "folder/target");
}

#[test]
fn a_key_that_signs_twice_in_one_file_is_refused() {
    let repository = Repository::new();
    let mut file: Value = serde_json::from_slice(&repository.files["timestamp.json"]).unwrap();
    let again = file["signatures"][0].clone();
    file["signatures"].as_array_mut().unwrap().push(again);
    let refused = Signed::<Timestamp>::parse(file.to_string().as_bytes()).unwrap_err();
    assert!(matches!(refused, Error::Malformed { role: Role::Timestamp, .. }));
    let mut signed = repository.sign(&repository.timestamp);
    signed.sign(&key(4)).unwrap();
    assert_eq!(signed.signatures().len(), 1);
}
