use envelope::log::{self, Frontier, Node};
use model::Digest;
use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::{
    SqliteStore,
    sql::{Sql, blob, int, maybe, secs, time, uint},
};
use crate::{Answer, Audit, AuditEntry, AuditHead, Error, NewAuditEntry, PageRequest, Result};

/// The newest entry: its number and hash.
type Last = (u64, Digest);

/// Makes the tree over entries that have none yet, as those of an older format.
pub(super) fn plant(connection: &mut Connection) -> Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let planted = leaves(&tx)?;
    let (size, _) = last(&tx)?;
    if planted < size {
        let mut tree = frontier(&tx, planted)?;
        let sql = "SELECT seq, at, actor, action, subject, reason, detail, previous, hash FROM audit
                   WHERE seq > ? ORDER BY seq";
        for audit in tx.all(sql, [int(planted, "audit number")?], entry)? {
            grow(&*tx, &mut tree, audit.entry.leaf(audit.seq, audit.previous))?;
        }
    }
    Ok(tx.commit()?)
}

impl Audit for SqliteStore {
    fn append_audit(&self, entries: Vec<NewAuditEntry>) -> Answer<'_, Vec<AuditEntry>> {
        self.write(move |tx| {
            let (mut size, mut previous) = last(tx.connection())?;
            let mut tree = frontier(tx.connection(), size)?;
            let mut appended = Vec::with_capacity(entries.len());
            for entry in &entries {
                size += 1;
                let hash = entry.hash(size, previous);
                tx.run(
                    "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    params![
                        int(size, "audit number")?,
                        secs(entry.at),
                        entry.actor.map(|actor| *actor.as_bytes()),
                        entry.action,
                        entry.subject,
                        entry.reason,
                        entry.detail,
                        previous.as_bytes(),
                        hash.as_bytes(),
                    ],
                )?;
                grow(tx, &mut tree, entry.leaf(size, previous))?;
                appended.push(AuditEntry { seq: size, entry: entry.clone(), previous, hash });
                previous = hash;
            }
            Ok(appended)
        })
    }

    fn audit_entries(&self, after: u64, limit: u32) -> Answer<'_, Vec<AuditEntry>> {
        self.read(move |db| {
            db.all(
                "SELECT seq, at, actor, action, subject, reason, detail, previous, hash FROM audit
                 WHERE seq > ? ORDER BY seq LIMIT ?",
                params![int(after, "audit number")?, limit.min(PageRequest::MOST)],
                entry,
            )
        })
    }

    fn audit_head(&self) -> Answer<'_, AuditHead> {
        self.read(|db| {
            let (size, _) = last(db)?;
            Ok(AuditHead { size, root: frontier(db, size)?.root() })
        })
    }

    fn audit_head_at(&self, size: u64) -> Answer<'_, AuditHead> {
        self.read(move |db| {
            known(db, size)?;
            Ok(AuditHead { size, root: frontier(db, size)?.root() })
        })
    }

    fn prove_audit_entry(&self, seq: u64, size: u64) -> Answer<'_, Vec<Digest>> {
        self.read(move |db| {
            known(db, size)?;
            let index = seq.checked_sub(1).filter(|index| *index < size);
            log::prove_inclusion(index.ok_or(MISSING)?, size, |at| node(db, at))
        })
    }

    fn prove_audit_growth(&self, old: u64, new: u64) -> Answer<'_, Vec<Digest>> {
        self.read(move |db| {
            known(db, new)?;
            if old > new {
                return Err(MISSING);
            }
            log::prove_consistency(old, new, |at| node(db, at))
        })
    }
}

const MISSING: Error = Error::NotFound { what: "audit entry" };

fn last(db: &Connection) -> Result<Last> {
    let last = db.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
        Ok((uint(row, 0)?, blob(row, 1)?))
    })?;
    Ok(last.unwrap_or((0, Digest::new([0; 32]))))
}

fn known(db: &Connection, size: u64) -> Result<()> {
    if size <= last(db)?.0 { Ok(()) } else { Err(MISSING) }
}

fn leaves(db: &Connection) -> Result<u64> {
    let sql = "SELECT idx FROM audit_node WHERE level = 0 ORDER BY idx DESC LIMIT 1";
    Ok(db.one(sql, [], |row| uint::<u64>(row, 0))?.map_or(0, |index| index + 1))
}

/// Keeps the subtrees that a leaf makes complete.
fn grow(sql: &impl Sql, tree: &mut Frontier, leaf: Digest) -> Result<()> {
    for (at, hash) in tree.push(leaf) {
        let values = params![at.level, int(at.index, "audit number")?, hash.as_bytes()];
        sql.run("INSERT INTO audit_node VALUES (?, ?, ?)", values)?;
    }
    Ok(())
}

fn frontier(db: &Connection, size: u64) -> Result<Frontier> {
    Frontier::read(size, |at| node(db, at))
}

fn node(db: &Connection, at: Node) -> Result<Digest> {
    let sql = "SELECT hash FROM audit_node WHERE level = ? AND idx = ?";
    let hash = db.one(sql, params![at.level, int(at.index, "audit number")?], |row| blob(row, 0))?;
    hash.ok_or_else(|| Error::Damaged { reason: format!("{at:?} of the audit log is missing") })
}

fn entry(row: &Row<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        seq: uint(row, 0)?,
        entry: NewAuditEntry {
            at: time(row, 1)?,
            actor: maybe(row, 2, blob)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            reason: row.get(5)?,
            detail: row.get(6)?,
        },
        previous: blob(row, 7)?,
        hash: blob(row, 8)?,
    })
}
