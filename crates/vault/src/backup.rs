//! Backups, and proof that they work.

use std::{path::Path, sync::Arc};

use model::UnixTime;
use subtle::ConstantTimeEq;

use crate::{
    Error, Intent, KeyInfo, Opener, Vault,
    audit::Audit,
    clock::Machine,
    delay::Tries,
    file::{Draft, KeyFile, Malformed, Proof},
    inside::{Change, Open},
    save::{Disk, Files, Trust, kept, key_file, lock_folder, make_folder},
};

impl Vault {
    /// Writes the sealed key file to `path`, which must not exist and should be on another disk, and reads
    /// it back. It opens with the passphrase of now. Works while the vault is locked.
    ///
    /// # Errors
    /// Something is there already, it lies in the vault's own folder, or it cannot be written.
    pub fn backup(&self, path: &Path, now: UnixTime) -> Result<(), Error> {
        let files = &self.shared.files;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if same_folder(parent, &self.shared.folder) {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let inner = self.inner();
        let bytes = inner.file.encode();
        let intent = inner.intent("vault.backup", &shown(path), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        files.create(path, &bytes)?;
        files.sync(path)?;
        files.sync_folder(parent)?;
        if files.read(path, Trust::Foreign)? != bytes {
            return Err(Error::Damaged { path: path.to_owned(), reason: "other bytes than were written" });
        }
        Ok(())
    }

    /// Opens a backup with what opened the vault when it was made, compares every key of this vault with it, and records in vault and
    /// audit log that it works.
    ///
    /// # Errors
    /// The vault is locked, the passphrase wrong, the backup damaged, another vault's or without a key that
    /// this vault has, or the record cannot be saved.
    pub fn test_restore(&self, path: &Path, opener: &Opener<'_>, now: UnixTime) -> Result<(), Error> {
        drop(self.unlocked()?);
        let backup = read(&*self.shared.files, path)?;
        if backup.id != self.id() {
            return Err(Error::OtherVault);
        }
        let (master, _) = self.shared.tries.open(&backup, opener, now)?;
        let secrets = backup.open(&master).map_err(|malformed| damaged(path, malformed))?;
        let mut inner = self.unlocked()?;
        for (at, entry) in inner.file.keys.iter().enumerate() {
            let same = backup.keys.iter().zip(&secrets).find(|(other, _)| other.public == entry.public);
            let same = match (same, &entry.public.token) {
                (Some((_, Some(other))), None) => bool::from(other[..].ct_eq(&inner.secret(at)?[..])),
                (found, token) => found.is_some() && token.is_some(),
            };
            if !same {
                return Err(Error::BackupIncomplete { id: entry.public.id });
            }
        }
        let intent = inner.intent("vault.test_restore", &shown(path), "", now);
        inner.audit.append(&intent, inner.file.generation, None)?;
        let proof = Some(Proof { at: now, generation: backup.generation });
        self.shared.save(&mut inner, Change { proof, ..Change::default() })
    }

    /// When a backup that holds every root and CA key of now was last restored as a test. No device
    /// enrols before.
    pub fn backup_proven_at(&self) -> Option<UnixTime> {
        self.backup_tested_at().filter(|_| self.backup_lacks().is_empty())
    }

    /// When a backup was last restored as a test. It may lack keys that were made since.
    pub fn backup_tested_at(&self) -> Option<UnixTime> {
        self.inner().file.proof.map(|proof| proof.at)
    }

    /// The root and CA keys that no backup restored as a test holds: those made since, such as the CAs of a
    /// fleet founded since. A key that lives in a token is in no backup, and is not among them.
    pub fn backup_lacks(&self) -> Vec<KeyInfo> {
        let lacking =
            |key: &KeyInfo| key.role.is_irreplaceable() && !key.backup_proven && key.token.is_none();
        self.keys().into_iter().filter(lacking).collect()
    }

    /// Brings a backup or a kept generation (`keys.cbor.<generation>`) back as the newest generation of the
    /// vault in `dir`, and leaves it unlocked. The folder may be new, or hold that same vault, damaged
    /// or older than last seen; the file that stood there is kept.
    ///
    /// # Errors
    /// The passphrase is wrong, the backup damaged, the folder another vault's or in use, or it cannot be saved.
    pub fn restore(dir: &Path, from: &Path, opener: &Opener<'_>, now: UnixTime) -> Result<Self, Error> {
        let files: Arc<dyn Files> = Arc::new(Disk);
        let backup = read(&*files, from)?;
        make_folder(dir)?;
        let lock = lock_folder(dir)?;
        let (keep, standing) = match files.read(&key_file(dir), Trust::Private) {
            Ok(bytes) => match KeyFile::decode(&bytes) {
                Ok(file) if file.id != backup.id => return Err(Error::OtherVault),
                Ok(file) => (Some(kept(dir, file.generation)), file.generation),
                Err(Malformed(_)) => (Some(dir.join("keys.cbor.damaged")), 0),
            },
            Err(error) if error.is_not_found() => (None, 0),
            Err(error) => return Err(error),
        };
        let tries = Tries::load(Arc::clone(&files), dir)?;
        let audit = Audit::open(dir)?;
        let (master, _) = tries.open(&backup, opener, now)?;
        let secrets = backup.open(&master).map_err(|malformed| damaged(from, malformed))?;
        let last_seen = tries.last_seen().max(audit.generation()?).max(standing).max(backup.generation);
        let intent = Intent {
            actor: backup.holder.clone(),
            action: "vault.restore".to_owned(),
            subject: shown(from),
            reason: String::new(),
            at: now,
        };
        let head = audit.append(&intent, last_seen, None)?;
        let keys = backup
            .keys
            .iter()
            .map(|entry| entry.public.clone())
            .zip(secrets.iter().map(Option::as_ref))
            .collect();
        let draft = Draft {
            id: backup.id,
            holder: backup.holder,
            generation: last_seen + 1,
            created_at: backup.created_at,
            audit: head,
            slots: backup.slots,
            proof: backup.proof,
            keys,
        };
        let file = draft.seal(&master)?;
        if let Some(keep) = keep.as_ref().filter(|_| standing == 0) {
            files.remove(keep)?;
        }
        let open = Open::new(master, secrets, now, &Machine);
        Self::publish(files, dir, lock, tries, audit, file, open, keep.as_deref())
    }
}

fn read(files: &dyn Files, path: &Path) -> Result<KeyFile, Error> {
    let bytes = files.read(path, Trust::Foreign)?;
    KeyFile::decode(&bytes).map_err(|malformed| damaged(path, malformed))
}

fn damaged(path: &Path, Malformed(reason): Malformed) -> Error {
    Error::Damaged { path: path.to_owned(), reason }
}

fn same_folder(one: &Path, two: &Path) -> bool {
    matches!((one.canonicalize(), two.canonicalize()), (Ok(one), Ok(two)) if one.starts_with(&two))
}

/// The end of a path, as far as an audit entry takes it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let from = text.char_indices().rev().take(255).last().map_or(0, |(at, _)| at);
    text[from..].to_owned()
}
