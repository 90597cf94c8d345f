//! The audit trail's commands: list, export and verify.

use std::{fs, path::Path};

use envelope::log::LogName;
use protocol::{
    Base64, ErrorCode,
    operator::{AuditRow, Cosigned, LogHead, LogLeaf, Page, PageRequest, path},
};

use crate::{
    App, Error,
    command::{AuditCosign, AuditExport, AuditList, AuditVerify, Handle},
    dto::{AuditExportFile, AuditFile, CosignedHeads, ExportedAudit, ExportedLog, Nothing, VerifiedAudit},
    pages::Cursor,
    witness::head,
    workspace::{read_as, replace},
};

mod verify;

/// What an export says it is.
const FORMAT: &str = "fleetseal-audit-export/1";
/// Entries that are read from the vault in one go.
const READ_AT_ONCE: usize = 1_024;

impl Handle<AuditList> for App {
    async fn handle(&self, request: PageRequest) -> Result<Page<AuditRow>, Error> {
        self.session().await?.client.query(path::AUDIT, &request).await
    }
}

impl Handle<AuditCosign> for App {
    async fn handle(&self, _: Nothing) -> Result<CosignedHeads, Error> {
        let vault = self.unlocked()?;
        self.exchange_heads().await?;
        let fleet = self.session().await?.membership.fleet;
        let backend = vault.witnessed(&LogName::backend(fleet))?;
        Ok(CosignedHeads {
            backend: backend.map_or(0, |known| known.note.unverified().size),
            vault: vault.cosigned()?.map_or(0, |note| note.unverified().size),
        })
    }
}

impl Handle<AuditExport> for App {
    async fn handle(&self, request: AuditFile) -> Result<ExportedAudit, Error> {
        let export = self.export().await?;
        let bytes = serde_json::to_vec_pretty(&export)
            .map_err(|source| Error::internal("the export could not be written", source))?;
        replace(Path::new(&request.file), &bytes)?;
        Ok(ExportedAudit {
            file: request.file,
            backend: export.backend.entries.len() as u64,
            vault: export.vault.entries.len() as u64,
        })
    }
}

impl Handle<AuditVerify> for App {
    async fn handle(&self, request: AuditFile) -> Result<VerifiedAudit, Error> {
        let path = Path::new(&request.file);
        fs::metadata(path).map_err(|source| Error::file("read", path, &source))?;
        let export: AuditExportFile =
            read_as(path, "an audit export, as `fleetseal audit export` writes it")?;
        if export.format != FORMAT {
            return Err(Error::new(ErrorCode::InvalidRequest, "the file is no audit export")
                .hint("make one with `fleetseal audit export FILE`"));
        }
        verify::verify(&export, &self.known_audit_keys()?)
    }
}

impl App {
    /// Both logs, up to heads that both have signed now.
    async fn export(&self) -> Result<AuditExportFile, Error> {
        let session = self.session().await?;
        let client = &session.client;
        let vault = self.unlocked()?;
        self.exchange_heads().await?;
        let note = head(&client.get::<LogHead>(path::AUDIT_HEAD).await?)?;
        let backend = self.backend_key(&note).await?;
        let cosigned: Cosigned = client.get(path::AUDIT_COSIGNED).await?;

        let size = note.unverified().size;
        let mut entries = Vec::new();
        let mut cursor = Cursor::default();
        loop {
            let request = PageRequest { after: cursor.after(), limit: Some(500) };
            let page: Page<LogLeaf> = client.query(path::AUDIT_LEAVES, &request).await?;
            entries.extend(page.rows.into_iter().filter(|leaf| leaf.number <= size).map(|leaf| leaf.bytes));
            if !cursor.advance(page.next)? {
                break;
            }
        }
        let mut heads = cosigned.backend;
        heads.push(note.to_string());
        heads.extend(vault.witnessed(backend.name())?.map(|known| known.note.to_string()));
        let of_backend = ExportedLog {
            name: backend.name().to_string(),
            key: Base64(backend.key().as_bytes().to_vec()),
            entries,
            heads,
        };

        let own = vault.checkpoint()?;
        let mut entries = Vec::new();
        loop {
            let some = vault.audit_entries(entries.len() as u64, READ_AT_ONCE)?;
            if some.is_empty() {
                break;
            }
            entries.extend(some.iter().map(|entry| Base64(entry.encode())));
        }
        let mut heads: Vec<_> = vault.cosigned()?.iter().map(ToString::to_string).collect();
        heads.push(own.to_string());
        let key = vault.log_key()?;
        let of_vault = ExportedLog {
            name: key.name().to_string(),
            key: Base64(key.key().as_bytes().to_vec()),
            entries,
            heads,
        };
        Ok(AuditExportFile {
            format: FORMAT.to_owned(),
            fleet: session.membership.fleet,
            exported_at: self.now(),
            backend: of_backend,
            vault: of_vault,
            recoveries: cosigned.recoveries,
        })
    }
}
