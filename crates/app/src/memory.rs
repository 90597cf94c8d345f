//! What this desktop remembers of devices under its vault's MAC: the ones whose certificate and
//! possession of both keys it verified itself. To these alone, and to what it verifies anew, does it
//! seal a content key.

use std::path::Path;

use model::{DeviceId, Digest, HardwareRevision, KemKeyId, ModelName, Serial, SpkiDigest, UnixTime};
use protocol::ErrorCode;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use vault::Vault;

use crate::{App, Error};

/// A device as it was when it proved its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) device: DeviceId,
    pub(crate) spki: SpkiDigest,
    pub(crate) kem: KemKeyId,
    pub(crate) certificate: Digest,
    pub(crate) serial: Serial,
    pub(crate) model: ModelName,
    pub(crate) hardware_revision: HardwareRevision,
    pub(crate) proven_at: UnixTime,
}

/// The file that holds the memory.
#[derive(Debug)]
pub(crate) struct Memory {
    file: Connection,
    vault: Vault,
}

impl Memory {
    fn open(path: &Path, vault: Vault) -> Result<Self, Error> {
        let file = Connection::open(path).map_err(failed)?;
        file.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS device (
                 id BLOB PRIMARY KEY, record BLOB NOT NULL, mac BLOB NOT NULL
             ) WITHOUT ROWID, STRICT;",
        )
        .map_err(failed)?;
        Ok(Self { file, vault })
    }

    pub(crate) fn remember(&self, device: &Remembered) -> Result<(), Error> {
        let record = serde_json::to_vec(device)
            .map_err(|source| Error::internal("failed to write a record", source))?;
        let mac = self.vault.memory_mac(&record)?;
        let sql = "INSERT INTO device (id, record, mac) VALUES (?1, ?2, ?3)
                   ON CONFLICT (id) DO UPDATE SET record = excluded.record, mac = excluded.mac";
        self.file.execute(sql, params![device.device.as_bytes(), record, mac]).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn forget(&self, device: DeviceId) -> Result<(), Error> {
        self.file.execute("DELETE FROM device WHERE id = ?1", [device.as_bytes()]).map_err(failed)?;
        Ok(())
    }

    /// The device, if it is remembered and nobody edited the record.
    pub(crate) fn recall(&self, device: DeviceId) -> Result<Option<Remembered>, Error> {
        let mut query =
            self.file.prepare_cached("SELECT record, mac FROM device WHERE id = ?1").map_err(failed)?;
        let row = query
            .query_row([device.as_bytes()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, [u8; 32]>(1)?)))
            .optional()
            .map_err(failed)?;
        let Some((record, mac)) = row else { return Ok(None) };
        if !self.vault.memory_verify(&record, &mac)? {
            return Ok(None);
        }
        let remembered: Option<Remembered> = serde_json::from_slice(&record).ok();
        Ok(remembered.filter(|remembered| remembered.device == device))
    }
}

impl App {
    /// The memory, which only an unlocked vault can read and write.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        Memory::open(&self.workspace().file("devices.sqlite"), self.unlocked()?)
    }
}

fn failed(source: rusqlite::Error) -> Error {
    if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return Error::because(ErrorCode::StorageFull, "the memory of devices could not be written", source)
            .hint("make room on this computer, then repeat it: nothing was lost");
    }
    Error::internal("the memory of devices could not be used", source)
}
