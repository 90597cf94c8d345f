use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore,
    sql::{Sql, blob, int, maybe, secs, time, uint},
};
use crate::{Answer, Audit, AuditEntry, AuditHead, NewAuditEntry, PageRequest, Result};

impl Audit for SqliteStore {
    fn append_audit(&self, entries: Vec<NewAuditEntry>) -> Answer<'_, Vec<AuditEntry>> {
        self.write(move |tx| {
            let mut last = head(tx.connection())?;
            let mut appended = Vec::with_capacity(entries.len());
            for entry in &entries {
                let (seq, previous) = (last.seq + 1, last.hash);
                let hash = entry.hash(seq, previous);
                tx.run(
                    "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    params![
                        int(seq, "audit number")?,
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
                last = AuditHead { seq, hash };
                appended.push(AuditEntry { seq, entry: entry.clone(), previous, hash });
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
        self.read(head)
    }
}

fn head(db: &Connection) -> Result<AuditHead> {
    let last = db.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
        Ok(AuditHead { seq: uint(row, 0)?, hash: blob(row, 1)? })
    })?;
    Ok(last.unwrap_or(AuditHead::EMPTY))
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
