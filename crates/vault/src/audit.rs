//! The audit log: what was meant to be done, on the disk before it is done. Its entries are the leaves of a
//! Merkle tree (RFC 6962), so that its head can be signed and others can watch it grow.

use std::path::Path;

use envelope::log::{self, Frontier, LogName, Node, SignedCheckpoint, leaf_hash};
use model::Digest;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{
    Error,
    save::{check_private, failed, options},
};

mod entry;
mod head;

pub use entry::{AuditEntry, Intent, Signed};
pub use head::{AuditHead, Witnessed};

/// The log in its SQLite file.
pub(crate) struct Audit {
    db: Connection,
}

impl Audit {
    /// Opens the log in `folder`, making it if it is not there. A log from before there were trees gets its
    /// own now.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("audit.sqlite");
        let file = options().write(true).create(true).open(&path).map_err(failed("open", &path))?;
        check_private(&path, &file.metadata().map_err(failed("read", &path))?)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags)?;
        // The folder's lock keeps others out; without shared memory there is one file less.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "fullfsync", true)?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS entries (
                 seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS heads (
                 seq INTEGER PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL
             ) STRICT;
             CREATE TABLE IF NOT EXISTS cosigned (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;",
        )?;
        let audit = Self { db };
        audit.plant()?;
        Ok(audit)
    }

    /// Appends an entry and returns once it is on the disk.
    pub(crate) fn append(
        &self,
        intent: &Intent,
        generation: u64,
        signed: Option<Signed>,
    ) -> Result<AuditHead, Error> {
        self.append_with(intent, generation, signed, |_| Ok(()))
    }

    /// The same, and what `beside` writes about the entry of this number, in one transaction.
    fn append_with(
        &self,
        intent: &Intent,
        generation: u64,
        signed: Option<Signed>,
        beside: impl FnOnce(i64) -> Result<(), Error>,
    ) -> Result<AuditHead, Error> {
        intent.check()?;
        let tx = self.db.unchecked_transaction()?;
        let head = self.head()?;
        let entry =
            AuditEntry { seq: head.seq + 1, previous: head.hash, intent: intent.clone(), generation, signed };
        let bytes = entry.encode();
        let head = AuditHead { seq: entry.seq, hash: leaf_hash(&bytes) };
        let mut insert =
            self.db.prepare_cached("INSERT INTO entries (seq, entry, hash) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![place(head.seq)?, bytes, head.hash.as_bytes()])?;
        self.grow(&mut self.frontier(entry.seq - 1)?, head.hash)?;
        beside(place(head.seq)?)?;
        tx.commit()?;
        Ok(head)
    }

    /// The newest entry's place and hash.
    pub(crate) fn head(&self) -> Result<AuditHead, Error> {
        Ok(self.last()?.map_or(AuditHead::EMPTY, |(head, _)| head))
    }

    /// The generation in the newest entry; 0 if there is none.
    pub(crate) fn generation(&self) -> Result<u64, Error> {
        Ok(self.last()?.map_or(0, |(_, generation)| generation))
    }

    /// Up to `limit` entries behind the one at `after`, oldest first.
    pub(crate) fn entries(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT seq, entry FROM entries WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut select = self.db.prepare_cached(sql)?;
        let mut rows = select.query(params![place(after)?, limit])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let (seq, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let seq = seq.cast_unsigned();
            entries.push(AuditEntry::decode(&bytes).map_err(|_| Error::AuditBroken { seq })?);
        }
        Ok(entries)
    }

    /// The leaf hash of the first entry.
    pub(crate) fn first(&self) -> Result<Digest, Error> {
        self.node(Node { level: 0, index: 0 })
    }

    /// The Merkle tree hash over the first `size` entries.
    pub(crate) fn root_at(&self, size: u64) -> Result<Digest, Error> {
        Ok(self.frontier(size)?.root())
    }

    /// The proof that the first `new` entries follow on the first `old`.
    pub(crate) fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        log::prove_consistency(old, new, |node| self.node(node))
    }

    /// Recomputes chain and tree from the first entry; `known` must be part of it.
    pub(crate) fn verify(&self, known: AuditHead) -> Result<AuditHead, Error> {
        let mut select = self.db.prepare("SELECT seq, entry, hash FROM entries ORDER BY seq")?;
        let mut rows = select.query([])?;
        let mut head = AuditHead::EMPTY;
        let mut tree = Frontier::new();
        while let Some(row) = rows.next()? {
            let (seq, bytes, hash): (i64, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let seq = seq.cast_unsigned();
            let expected = head.seq + 1;
            let broken = || Error::AuditBroken { seq: expected };
            let entry = AuditEntry::decode(&bytes).map_err(|_| broken())?;
            let now = AuditHead { seq, hash: leaf_hash(&bytes) };
            let fits = seq == expected
                && entry.seq == seq
                && entry.previous == head.hash
                && now.hash.as_bytes()[..] == hash
                && (seq != known.seq || now.hash == known.hash)
                && self.remembers(&entry)?;
            if !fits {
                return Err(broken());
            }
            for (node, hash) in tree.push(now.hash) {
                if self.node(node).map_err(|_| broken())? != hash {
                    return Err(broken());
                }
            }
            head = now;
        }
        if head.seq < known.seq {
            return Err(Error::AuditBroken { seq: head.seq + 1 });
        }
        Ok(head)
    }

    /// Fills in the tree over entries that have none yet.
    fn plant(&self) -> Result<(), Error> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'nodes'";
        if self.db.query_row(sql, [], |row| row.get::<_, i64>(0))? == 1 {
            return Ok(());
        }
        let tx = self.db.unchecked_transaction()?;
        self.db.execute_batch(
            "CREATE TABLE nodes (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL,
                 PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID",
        )?;
        let mut tree = Frontier::new();
        let mut select = self.db.prepare("SELECT hash FROM entries ORDER BY seq")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let hash = row.get::<_, [u8; 32]>(0).map_err(|_| Error::AuditBroken { seq: tree.size() + 1 })?;
            self.grow(&mut tree, Digest::new(hash))?;
        }
        Ok(tx.commit()?)
    }

    /// Appends a leaf, and keeps the subtrees that it makes complete.
    fn grow(&self, tree: &mut Frontier, leaf: Digest) -> Result<(), Error> {
        let mut insert =
            self.db.prepare_cached("INSERT INTO nodes (level, idx, hash) VALUES (?1, ?2, ?3)")?;
        // The leaves stand with the entries.
        for (node, hash) in tree.push(leaf).into_iter().skip(1) {
            insert.execute(params![node.level, place(node.index)?, hash.as_bytes()])?;
        }
        Ok(())
    }

    fn frontier(&self, size: u64) -> Result<Frontier, Error> {
        Frontier::read(size, |node| self.node(node))
    }

    fn node(&self, node: Node) -> Result<Digest, Error> {
        let (sql, at) = if node.level == 0 {
            ("SELECT hash FROM entries WHERE ?1 = 0 AND seq = ?2", node.index + 1)
        } else {
            ("SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2", node.index)
        };
        let hash = self
            .db
            .prepare_cached(sql)?
            .query_row(params![node.level, place(at)?], |row| row.get::<_, [u8; 32]>(0))
            .optional()?;
        hash.map(Digest::new).ok_or(Error::AuditBroken { seq: (node.index + 1) << node.level })
    }

    fn last(&self) -> Result<Option<(AuditHead, u64)>, Error> {
        let sql = "SELECT seq, entry FROM entries ORDER BY seq DESC LIMIT 1";
        let mut select = self.db.prepare_cached(sql)?;
        let row: Option<(i64, Vec<u8>)> =
            select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        row.map(|(seq, bytes)| {
            let seq = seq.cast_unsigned();
            let entry = AuditEntry::decode(&bytes).map_err(|_| Error::AuditBroken { seq })?;
            Ok((AuditHead { seq, hash: leaf_hash(&bytes) }, entry.generation))
        })
        .transpose()
    }
}

/// What this log remembers of others, and what others said of it.
impl Audit {
    /// Writes down that the head in `note` is taken for the log's, and keeps the note.
    pub(crate) fn witness(
        &self,
        intent: &Intent,
        generation: u64,
        signed: Option<Signed>,
        note: &SignedCheckpoint,
    ) -> Result<(), Error> {
        let checkpoint = note.unverified();
        self.append_with(intent, generation, signed, |seq| {
            let sql = "INSERT INTO heads (seq, origin, size, note) VALUES (?1, ?2, ?3, ?4)";
            let values = params![seq, checkpoint.origin.as_str(), place(checkpoint.size)?, note.to_string()];
            self.db.prepare_cached(sql)?.execute(values)?;
            Ok(())
        })?;
        Ok(())
    }

    /// Puts the cosigned note in the place of the one that came.
    pub(crate) fn keep_cosigned(&self, note: &SignedCheckpoint) -> Result<(), Error> {
        let checkpoint = note.unverified();
        let sql = "UPDATE heads SET note = ?3 WHERE seq =
                       (SELECT max(seq) FROM heads WHERE origin = ?1) AND size = ?2";
        let values = params![checkpoint.origin.as_str(), place(checkpoint.size)?, note.to_string()];
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// The newest head of a log that this one wrote down, of those with at most `most` entries.
    pub(crate) fn witnessed(&self, origin: &LogName, most: u64) -> Result<Option<Witnessed>, Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT h.seq, h.note, e.entry FROM heads h JOIN entries e ON e.seq = h.seq
                   WHERE h.origin = ?1 AND h.size <= ?2 ORDER BY h.seq DESC LIMIT 1";
        let row: Option<(i64, String, Vec<u8>)> = self
            .db
            .prepare_cached(sql)?
            .query_row(params![origin.as_str(), most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((seq, note, entry)) = row else { return Ok(None) };
        let broken = || Error::AuditBroken { seq: seq.cast_unsigned() };
        let note: SignedCheckpoint = note.parse().map_err(|_| broken())?;
        let entry = AuditEntry::decode(&entry).map_err(|_| broken())?;
        // The entry is what counts: the note beside it is only what others can verify too.
        if entry.intent.subject != head::subject(note.unverified()) {
            return Err(broken());
        }
        Ok(Some(Witnessed { note, at: entry.intent.at }))
    }

    /// Keeps a head of this log that another one cosigned, in the place of all before.
    pub(crate) fn keep_own(&self, note: &SignedCheckpoint) -> Result<(), Error> {
        let size = place(note.unverified().size)?;
        let tx = self.db.unchecked_transaction()?;
        self.db.execute("DELETE FROM cosigned WHERE size <= ?1", [size])?;
        self.db
            .execute("INSERT INTO cosigned (size, note) VALUES (?1, ?2)", params![size, note.to_string()])?;
        Ok(tx.commit()?)
    }

    /// The newest head of this log that another one cosigned.
    pub(crate) fn own(&self) -> Result<Option<SignedCheckpoint>, Error> {
        let sql = "SELECT note FROM cosigned ORDER BY size DESC LIMIT 1";
        let note: Option<String> = self.db.query_row(sql, [], |row| row.get(0)).optional()?;
        Ok(note.and_then(|note| note.parse().ok()))
    }

    /// Whether a head that an entry tells of stands beside it still.
    fn remembers(&self, entry: &AuditEntry) -> Result<bool, Error> {
        if !head::tells_of_a_head(&entry.intent.action) {
            return Ok(true);
        }
        let sql = "SELECT note FROM heads WHERE seq = ?1";
        let note: Option<String> =
            self.db.prepare_cached(sql)?.query_row([place(entry.seq)?], |row| row.get(0)).optional()?;
        let note: Option<SignedCheckpoint> = note.and_then(|note| note.parse().ok());
        Ok(note.is_some_and(|note| head::subject(note.unverified()) == entry.intent.subject))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::Audit { source }
    }
}

/// The Merkle tree hash (RFC 6962, 2.1) of `messages` in their order.
pub fn merkle_root(messages: &[&[u8]]) -> Digest {
    let mut tree = Frontier::new();
    messages.iter().for_each(|message| drop(tree.push(leaf_hash(message))));
    tree.root()
}

fn place(seq: u64) -> Result<i64, Error> {
    i64::try_from(seq).map_err(|_| Error::AuditBroken { seq })
}
