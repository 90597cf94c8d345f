//! The audit log: what was meant to be done, on the disk before it is done.

use std::path::Path;

use aws_lc_rs::digest;
use minicbor::{Decoder, Encoder};
use model::{Digest, PersonName, UnixTime};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{
    Error, KeyId,
    file::{Malformed, Written, field, fixed, instant},
    save::{check_private, failed, options},
};

const TYP: &str = "fleetseal-audit/1";
const LONGEST_TEXT: usize = 1024;

/// Who does what to what, when and why: written down before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The person, usually the vault's holder.
    pub actor: PersonName,
    /// What is done, such as `release.sign`; 1 to 1,024 bytes.
    pub action: String,
    /// To what, such as a release's id; at most 1,024 bytes.
    pub subject: String,
    /// Why, in the person's words; at most 1,024 bytes, may be empty.
    pub reason: String,
    /// When.
    pub at: UnixTime,
}

/// One entry of the audit log: deterministic CBOR
/// `{1: "fleetseal-audit/1", 2: seq, 3: previous b32, 4: at, 5: actor, 6: action, 7: subject, 8: reason,
/// 9: generation, 10: key id b8, 11: digest b32, 12: count}`, the last three with signatures only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place, from 1, without gaps.
    pub seq: u64,
    /// Leaf hash of the entry before; all zero for the first.
    pub previous: Digest,
    /// What was meant to be done.
    pub intent: Intent,
    /// The vault's generation then.
    pub generation: u64,
    /// What was signed.
    pub signed: Option<Signed>,
}

/// What an audit entry says of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The key.
    pub key: KeyId,
    /// The Merkle tree hash (RFC 6962, 2.1) of the messages in their order; of a single message, its
    /// leaf hash.
    pub root: Digest,
    /// How many messages.
    pub count: u64,
}

/// The newest entry of an audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its place; 0 if the log is empty.
    pub seq: u64,
    /// Its leaf hash (RFC 6962, 2.1: SHA-256 of a zero byte and the entry); all zero if the log is empty.
    pub hash: Digest,
}

/// A Merkle tree (RFC 6962, 2.1) that grows by its leaves: the hash of each complete subtree with its height,
/// largest first.
#[derive(Default)]
pub(crate) struct Tree {
    complete: Vec<(u32, Digest)>,
}

/// The log in its SQLite file.
pub(crate) struct Audit {
    db: Connection,
}

impl Intent {
    fn check(&self) -> Result<(), Error> {
        let texts = [&self.action, &self.subject, &self.reason];
        if self.action.is_empty() || texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(Error::AuditText);
        }
        Ok(())
    }
}

impl AuditHead {
    /// The head of a log without entries.
    pub const EMPTY: Self = Self { seq: 0, hash: Digest::new([0; 32]) };
}

impl Audit {
    /// Opens the log in `folder`, making it if it is not there.
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
                 seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, hash BLOB NOT NULL) STRICT",
        )?;
        Ok(Self { db })
    }

    /// Appends an entry and returns once it is on the disk.
    pub(crate) fn append(
        &self,
        intent: &Intent,
        generation: u64,
        signed: Option<Signed>,
    ) -> Result<AuditHead, Error> {
        intent.check()?;
        let head = self.head()?;
        let entry =
            AuditEntry { seq: head.seq + 1, previous: head.hash, intent: intent.clone(), generation, signed };
        let bytes = entry.encode();
        let head = AuditHead { seq: entry.seq, hash: leaf_hash(&bytes) };
        let mut insert =
            self.db.prepare_cached("INSERT INTO entries (seq, entry, hash) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![place(head.seq)?, bytes, head.hash.as_bytes()])?;
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

    /// Recomputes the chain from the first entry; `known` must be part of it.
    pub(crate) fn verify(&self, known: AuditHead) -> Result<AuditHead, Error> {
        let mut select = self.db.prepare("SELECT seq, entry, hash FROM entries ORDER BY seq")?;
        let mut rows = select.query([])?;
        let mut head = AuditHead::EMPTY;
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
                && (seq != known.seq || now.hash == known.hash);
            if !fits {
                return Err(broken());
            }
            head = now;
        }
        if head.seq < known.seq {
            return Err(Error::AuditBroken { seq: head.seq + 1 });
        }
        Ok(head)
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

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::Audit { source }
    }
}

impl AuditEntry {
    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(256));
        self.write(&mut e).expect("a vector takes every byte");
        e.into_writer()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let entry = Self::read(&mut Decoder::new(bytes))?;
        if entry.encode() != bytes { Err(Malformed("not deterministic CBOR")) } else { Ok(entry) }
    }

    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        let Intent { actor, action, subject, reason, at } = &self.intent;
        e.map(if self.signed.is_some() { 12 } else { 9 })?;
        e.u8(1)?.str(TYP)?;
        e.u8(2)?.u64(self.seq)?;
        e.u8(3)?.bytes(self.previous.as_bytes())?;
        e.u8(4)?.u64(at.as_secs())?;
        e.u8(5)?.str(actor.as_str())?;
        e.u8(6)?.str(action)?;
        e.u8(7)?.str(subject)?;
        e.u8(8)?.str(reason)?;
        e.u8(9)?.u64(self.generation)?;
        if let Some(Signed { key, root, count }) = &self.signed {
            e.u8(10)?.bytes(key.as_bytes())?;
            e.u8(11)?.bytes(root.as_bytes())?;
            e.u8(12)?.u64(*count)?;
        }
        Ok(())
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let fields = d.map()?;
        field(d, 1)?;
        if d.str()? != TYP {
            return Err(Malformed("another format or version"));
        }
        field(d, 2)?;
        let seq = d.u64()?;
        field(d, 3)?;
        let previous = Digest::new(fixed(d)?);
        field(d, 4)?;
        let at = instant(d)?;
        field(d, 5)?;
        let actor = d.str()?.parse().map_err(|_| Malformed("the actor's name is no name"))?;
        field(d, 6)?;
        let action = d.str()?.to_owned();
        field(d, 7)?;
        let subject = d.str()?.to_owned();
        field(d, 8)?;
        let reason = d.str()?.to_owned();
        field(d, 9)?;
        let generation = d.u64()?;
        let signed = if fields == Some(12) {
            field(d, 10)?;
            let key = KeyId::new(fixed(d)?);
            field(d, 11)?;
            let root = Digest::new(fixed(d)?);
            field(d, 12)?;
            Some(Signed { key, root, count: d.u64()? })
        } else {
            None
        };
        let intent = Intent { actor, action, subject, reason, at };
        Ok(Self { seq, previous, intent, generation, signed })
    }
}

/// The Merkle tree hash (RFC 6962, 2.1) of `messages` in their order.
pub fn merkle_root(messages: &[&[u8]]) -> Digest {
    let mut tree = Tree::default();
    messages.iter().for_each(|message| tree.push(message));
    tree.root()
}

impl Tree {
    pub(crate) fn push(&mut self, message: &[u8]) {
        let mut grown = (0, leaf_hash(message));
        while let Some(left) = self.complete.pop_if(|left| left.0 == grown.0) {
            grown = (grown.0 + 1, hash(&[&[1], left.1.as_bytes(), grown.1.as_bytes()]));
        }
        self.complete.push(grown);
    }

    pub(crate) fn root(&self) -> Digest {
        let smallest_first = self.complete.iter().rev().map(|(_, tree)| *tree);
        smallest_first
            .reduce(|right, left| hash(&[&[1], left.as_bytes(), right.as_bytes()]))
            .unwrap_or_else(|| hash(&[]))
    }
}

fn leaf_hash(entry: &[u8]) -> Digest {
    hash(&[&[0], entry])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    Digest::new(context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

fn place(seq: u64) -> Result<i64, Error> {
    i64::try_from(seq).map_err(|_| Error::AuditBroken { seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_merkle_root_is_that_of_rfc_6962() {
        // MTH as the RFC defines it, by recursion.
        fn mth(messages: &[&[u8]]) -> Digest {
            match messages {
                [] => hash(&[]),
                [one] => leaf_hash(one),
                _ => {
                    let split = messages.len().next_power_of_two() / 2;
                    let (left, right) = messages.split_at(split);
                    hash(&[&[1], mth(left).as_bytes(), mth(right).as_bytes()])
                }
            }
        }
        let messages: Vec<[u8; 1]> = (0..70).map(|n| [n]).collect();
        let messages: Vec<&[u8]> = messages.iter().map(<[u8; 1]>::as_slice).collect();
        for len in 0..messages.len() {
            assert_eq!(merkle_root(&messages[..len]), mth(&messages[..len]), "{len}");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(merkle_root(&[]).to_string(), empty);
    }
}
