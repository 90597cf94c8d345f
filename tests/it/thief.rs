//! Somebody who has the backend's disk for an hour: its snapshot and timestamp keys, and what it serves.

use std::path::{Path, PathBuf};

use envelope::{
    Ed25519Key,
    tuf::{Signed, Snapshot, Targets, Timestamp},
};
use rusqlite::{Connection, params};

/// The version that the thief publishes: nothing honest ever comes after it.
pub(crate) const AHEAD: u64 = 9_000_000_000_000;

/// What has to be put back.
pub(crate) struct Theft {
    data: PathBuf,
    timestamp: Vec<u8>,
}

/// Publishes snapshot and timestamp of a version far ahead, with the backend's own keys.
pub(crate) fn fast_forward(data: &Path) -> Theft {
    let store = open(data);
    let document = |name: &str| -> Vec<u8> {
        let newest =
            "SELECT bytes FROM document WHERE name LIKE ? ORDER BY at DESC, length(name) DESC LIMIT 1";
        store.query_row(newest, [name], |row| row.get(0)).expect("the backend serves it")
    };
    let timestamp = document("tuf/timestamp.json");
    let honest = Signed::<Timestamp>::parse(&timestamp).expect("the backend's timestamp reads");
    let version = honest.signed().meta.snapshot.version;
    let snapshot = Signed::<Snapshot>::parse(&document(&format!("tuf/{version}.snapshot.json")));
    let snapshot = snapshot.expect("the backend's snapshot reads");
    let targets = snapshot.signed().targets().expect("a snapshot names the targets").version;
    let targets = Signed::<Targets>::parse(&document(&format!("tuf/{targets}.targets.json")));
    let targets = targets.expect("the backend's targets read");

    let issued_at = targets.signed().issued_at.expect("our targets say when they were issued");
    let mut ahead = Signed::new(Snapshot::new(AHEAD, issued_at, &targets)).expect("a sound snapshot");
    ahead.sign(&key(data, "snapshot")).expect("the stolen key signs");
    let mut stamp = Signed::new(Timestamp::new(AHEAD, issued_at, &ahead)).expect("a sound timestamp");
    stamp.sign(&key(data, "timestamp")).expect("the stolen key signs");
    let served = store.execute(
        "INSERT INTO document (name, version, at, bytes) VALUES (?, 1, 0, ?)",
        params![format!("tuf/{AHEAD}.snapshot.json"), ahead.raw()],
    );
    served.expect("the store can be written");
    serve(&store, stamp.raw());
    Theft { data: data.to_owned(), timestamp }
}

impl Theft {
    /// The backend serves what it served before.
    pub(crate) fn undo(self) {
        let store = open(&self.data);
        serve(&store, &self.timestamp);
        let forged =
            store.execute("DELETE FROM document WHERE name = ?", [format!("tuf/{AHEAD}.snapshot.json")]);
        assert_eq!(forged.expect("the store can be written"), 1);
    }
}

fn serve(store: &Connection, timestamp: &[u8]) {
    let sql = "UPDATE document SET bytes = ? WHERE name = 'tuf/timestamp.json'";
    assert_eq!(store.execute(sql, [timestamp]).expect("the store can be written"), 1);
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("store.sqlite")).expect("the store is there")
}

fn key(data: &Path, name: &str) -> Ed25519Key {
    let seed = std::fs::read(data.join("keys").join(name)).expect("the backend's keys are files");
    Ed25519Key::from_seed(seed.as_slice().try_into().expect("a seed has 32 bytes"))
}
