use rusqlite::params;

use super::{
    SqliteStore,
    sql::{Sql, int, secs, time, uint},
};
use crate::{Answer, Document, DocumentInfo, Documents, Error};

impl Documents for SqliteStore {
    fn put_documents(&self, documents: Vec<Document>) -> Answer<'_, ()> {
        self.write(move |tx| {
            for new in &documents {
                let stored =
                    tx.one("SELECT version, bytes FROM document WHERE name = ?", [&new.name], |row| {
                        Ok((uint::<u64>(row, 0)?, row.get::<_, Vec<u8>>(1)?))
                    })?;
                match stored {
                    Some((version, bytes)) if version == new.version && bytes == new.bytes => continue,
                    Some((stored, _)) if stored >= new.version => {
                        return Err(Error::Stale { name: new.name.clone(), stored });
                    }
                    Some(_) | None => {}
                }
                tx.run(
                    "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)",
                    params![new.name, int(new.version, "version")?, secs(new.at), new.bytes],
                )?;
            }
            Ok(())
        })
    }

    fn document(&self, name: String) -> Answer<'_, Option<Document>> {
        self.read(move |db| {
            db.one("SELECT name, version, at, bytes FROM document WHERE name = ?", [name], |row| {
                Ok(Document {
                    name: row.get(0)?,
                    version: uint(row, 1)?,
                    at: time(row, 2)?,
                    bytes: row.get(3)?,
                })
            })
        })
    }

    fn documents(&self, prefix: String) -> Answer<'_, Vec<DocumentInfo>> {
        self.read(move |db| {
            db.all(
                "SELECT name, version, length(bytes), at FROM document
                 WHERE name >= ?1 AND substr(name, 1, length(?1)) = ?1 ORDER BY name",
                [prefix],
                |row| {
                    Ok(DocumentInfo {
                        name: row.get(0)?,
                        version: uint(row, 1)?,
                        length_bytes: uint(row, 2)?,
                        at: time(row, 3)?,
                    })
                },
            )
        })
    }
}
