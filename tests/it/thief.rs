//! Somebody who has the backend's disk for an hour: its snapshot and timestamp keys, and what it serves.

use std::path::{Path, PathBuf};

use envelope::{
    Ed25519Key,
    tuf::{Client, Fetched, Need, Signed, Snapshot, Timestamp, TrustedState},
};
use rusqlite::{Connection, params};

/// The version that the thief publishes: nothing honest ever comes after it.
pub(crate) const AHEAD: u64 = 9_000_000_000_000;

/// Where the backend keeps what it serves, and trusts.
const TRUSTED: &str = "private/trusted";

/// What has to be put back.
pub(crate) struct Theft {
    data: PathBuf,
    trusted: Vec<u8>,
}

/// Publishes snapshot and timestamp of a version far ahead, with the backend's own keys.
pub(crate) fn fast_forward(data: &Path) -> Theft {
    let store = open(data);
    let trusted: Vec<u8> = store
        .query_row("SELECT bytes FROM document WHERE name = ?", [TRUSTED], |row| row.get(0))
        .expect("the backend knows what it serves");
    let honest = TrustedState::choose(Some(&trusted), None).expect("what the backend trusts reads");
    let targets = honest.targets().expect("the fleet has targets").clone();

    let issued_at = targets.signed().issued_at.expect("our targets say when they were issued");
    let mut ahead = Signed::new(Snapshot::new(AHEAD, issued_at, &targets)).expect("a sound snapshot");
    ahead.sign(&key(data, "snapshot")).expect("the stolen key signs");
    let mut stamp = Signed::new(Timestamp::new(AHEAD, issued_at, &ahead)).expect("a sound timestamp");
    stamp.sign(&key(data, "timestamp")).expect("the stolen key signs");

    // A backend that believes it is one that serves it.
    let mut client = Client::new(honest, issued_at);
    while let Need::Fetch { path, .. } = client.next() {
        let forged = match &*path {
            "timestamp.json" => Fetched::Bytes(stamp.raw()),
            path if path.ends_with(".snapshot.json") => Fetched::Bytes(ahead.raw()),
            _ => Fetched::NotFound,
        };
        client.feed(forged).expect("nothing about it shows that the keys are stolen");
    }
    let believed = client.into_state().to_bytes();
    let sql = "UPDATE document SET bytes = ? WHERE name = ?";
    assert_eq!(store.execute(sql, params![believed, TRUSTED]).expect("the store can be written"), 1);
    let served = store.execute(
        "INSERT INTO document (name, version, at, bytes) VALUES (?, 1, 0, ?)",
        params![format!("tuf/{AHEAD}.snapshot.json"), ahead.raw()],
    );
    served.expect("the store can be written");
    Theft { data: data.to_owned(), trusted }
}

impl Theft {
    /// The backend serves what it served before.
    pub(crate) fn undo(self) {
        let store = open(&self.data);
        let sql = "UPDATE document SET bytes = ? WHERE name = ?";
        let back = store.execute(sql, params![self.trusted, TRUSTED]);
        assert_eq!(back.expect("the store can be written"), 1);
        let forged =
            store.execute("DELETE FROM document WHERE name = ?", [format!("tuf/{AHEAD}.snapshot.json")]);
        assert_eq!(forged.expect("the store can be written"), 1);
    }
}

fn open(data: &Path) -> Connection {
    Connection::open(data.join("store.sqlite")).expect("the store is there")
}

fn key(data: &Path, name: &str) -> Ed25519Key {
    let seed = std::fs::read(data.join("keys").join(name)).expect("the backend's keys are files");
    Ed25519Key::from_seed(seed.as_slice().try_into().expect("a seed has 32 bytes"))
}
