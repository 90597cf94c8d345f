//! What only the SQLite store does: files, formats, full disks, one process at a time.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{path::Path, sync::Arc};

use model::{DeviceId, Digest, HardwareRevision, SpkiDigest, UnixTime};
use store::{
    Audit as _, Basis, Certificate, CheckIn, CheckedIn, Device, DeviceState, Devices, Document, Documents,
    Error, Journal, Reservation, Reserved, SqliteOptions, SqliteStore,
};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn reservation(n: u8) -> Reservation {
    Reservation {
        basis: Basis::Enrol,
        device: DeviceId::new([n; 16]),
        serial: format!("S{n}").parse().unwrap(),
        model: "GW-200".parse().unwrap(),
        hardware_revision: "b".parse::<HardwareRevision>().unwrap(),
        station: "line-1".parse().unwrap(),
        spki: SpkiDigest::new([n; 32]),
        kem: [n; 32],
        certificate_serial: [n; 16],
        at: NOW,
    }
}

fn certificate(n: u8) -> Certificate {
    Certificate {
        device: DeviceId::new([n; 16]),
        serial: [n; 16],
        der: vec![n; 500],
        sha256: Digest::new([n; 32]),
        at: NOW,
    }
}

fn document(n: u32, bytes: usize) -> Document {
    Document { name: format!("{n:06}"), version: 1, bytes: vec![7; bytes], at: NOW }
}

#[tokio::test]
async fn a_store_that_is_opened_again_knows_what_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    store.reserve(vec![reservation(1), reservation(2)]).await.unwrap();
    store.certify(vec![certificate(1), certificate(2)]).await.unwrap();
    let check_in = |counter| CheckIn { device: DeviceId::new([2; 16]), counter, nonce: [1; 16], at: NOW };
    store.check_in(vec![check_in(5), check_in(4)]).await.unwrap();
    let lost = vec![DeviceId::new([1; 16])];
    store.withdraw_devices(lost, DeviceState::Revoked, "lost".into(), NOW).await.unwrap();
    let before: Vec<Option<Device>> = vec![
        store.device(DeviceId::new([1; 16])).await.unwrap(),
        store.device(DeviceId::new([2; 16])).await.unwrap(),
    ];
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    let one = store.identity(SpkiDigest::new([1; 32])).await.unwrap().unwrap();
    let two = store.identity_by_certificate(Digest::new([2; 32])).await.unwrap().unwrap();
    assert_eq!((one.state, two.state, two.cloned), (DeviceState::Revoked, DeviceState::Active, true));
    let after = vec![
        store.device(DeviceId::new([1; 16])).await.unwrap(),
        store.device(DeviceId::new([2; 16])).await.unwrap(),
    ];
    assert_eq!(after, before);
    assert_eq!(store.check_in(vec![check_in(9)]).await.unwrap(), [CheckedIn::Forked { counter: 5 }]);
    assert_eq!(store.identity_of(DeviceId::new([9; 16])).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Busy)));
    drop(store);
    SqliteStore::open(&path).unwrap();
}

fn user_version(path: &Path, to: Option<u32>) -> u32 {
    let connection = rusqlite::Connection::open(path).unwrap();
    if let Some(version) = to {
        connection.pragma_update(None, "user_version", version).unwrap();
    }
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_older_format_is_brought_up_to_date_and_a_newer_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    // Format 0 is a file without tables.
    assert_eq!(user_version(&path, Some(0)), 0);
    let store = SqliteStore::open(&path).unwrap();
    store.put_documents(vec![document(1, 10)]).await.unwrap();
    drop(store);
    let known = user_version(&path, None);
    assert!(known > 0);
    user_version(&path, Some(known + 1));
    let newer = SqliteStore::open(&path);
    assert!(matches!(newer, Err(Error::Newer { found, known: here }) if found == known + 1 && here == known));
    user_version(&path, Some(known));
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.document("000001".into()).await.unwrap().is_some(), "a refusal changes nothing");
}

#[tokio::test]
async fn what_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { most_bytes: Some(1 << 20), ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open_with(&path, options).unwrap());
    // Big and small ones at once, so that a group holds both those that fit and those that do not.
    let mut tasks = Vec::new();
    for n in 0..400 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let put = vec![document(n, if n % 3 == 0 { 40_000 } else { 100 })];
            (n, store.put_documents(put).await)
        }));
    }
    let mut kept = Vec::new();
    let mut full = 0;
    for task in tasks {
        match task.await.unwrap() {
            (n, Ok(())) => kept.push(n),
            (_, Err(Error::Full)) => full += 1,
            (n, Err(other)) => panic!("document {n}: {other}"),
        }
    }
    assert!(full > 0, "all of them fit");
    // A group that does not fit as a whole is not refused as a whole.
    let bytes: u32 = kept.iter().map(|n| if n % 3 == 0 { 40_000 } else { 100 }).sum();
    assert!(bytes > 400_000, "only {bytes} bytes of 1 MiB were used");
    let names = async |store: &SqliteStore| {
        let infos = store.documents(String::new()).await.unwrap();
        infos.into_iter().map(|info| info.name.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&store).await, kept, "what was acknowledged is there, what was refused is not");
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(names(&store).await, kept);
    store.put_documents(vec![document(9_999, 40_000)]).await.unwrap();
    store.raise_alarm("disk_full".into(), None, String::new(), NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_fails_takes_no_other_of_its_group_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db")).unwrap());
    store.reserve(vec![reservation(1)]).await.unwrap();
    let tasks = (2..=120).map(|n| {
        let store = Arc::clone(&store);
        // Every second batch ends in a clash, after it has begun to write.
        let mut batch = vec![reservation(n)];
        if n % 2 == 0 {
            batch.push(Reservation { certificate_serial: [1; 16], ..reservation(n + 125) });
        }
        tokio::spawn(async move { (n, store.reserve(batch).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (n, Ok(reserved)) => assert!(n % 2 == 1 && reserved == [Reserved::Granted]),
            (n, Err(error)) => assert!(n % 2 == 0 && matches!(error, Error::Conflict { .. }), "{error}"),
        }
    }
    for n in 1..=120 {
        let there = store.device(DeviceId::new([n; 16])).await.unwrap().is_some();
        assert_eq!(there, n % 2 == 1, "{n}");
    }
}

#[tokio::test]
async fn a_dropped_future_does_not_undo_what_was_handed_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    {
        let mut put = store.put_documents(vec![document(1, 10)]);
        // Polled once: it is with the writer.
        let waker = std::task::Waker::noop();
        let _pending = put.as_mut().poll(&mut std::task::Context::from_waker(waker));
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert!(store.document("000001".into()).await.unwrap().is_some());
}

#[tokio::test]
async fn an_audit_log_from_before_there_were_trees_gets_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let entry = |n: u64| store::NewAuditEntry {
        at: NOW,
        actor: None,
        action: "test".into(),
        subject: n.to_string(),
        reason: String::new(),
        detail: String::new(),
    };
    let store = SqliteStore::open(&path).unwrap();
    store.append_audit((0..11).map(entry).collect()).await.unwrap();
    let head = store.audit_head().await.unwrap();
    drop(store);
    let file = rusqlite::Connection::open(&path).unwrap();
    assert!(file.execute("DELETE FROM audit_node", []).is_err(), "nodes are never removed");
    let first = "ALTER TABLE ticket DROP COLUMN installs; DROP INDEX event_link; DROP TABLE audit_node;
        PRAGMA user_version = 1";
    file.execute_batch(first).unwrap();
    drop(file);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head);
    store.append_audit(vec![entry(11)]).await.unwrap();
    let path = store.prove_audit_growth(11, 12).await.unwrap();
    let now = store.audit_head().await.unwrap();
    envelope::log::verify_consistency((11, head.root), (12, now.root), &path).unwrap();
}
