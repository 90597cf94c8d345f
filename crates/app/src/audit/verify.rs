//! Checking an export from end to end, with nothing but the file.

use envelope::{
    PublicKey,
    log::{LogKey, LogName, SignedCheckpoint, Tree, leaf_hash, verify_inclusion},
};
use model::{Digest, UnixTime};
use protocol::{ErrorBody, ErrorCode, FieldError};
use store::NewAuditEntry;
use vault::AuditEntry;

use crate::{
    Error,
    dto::{AuditExportFile, AuditProof, ExportedLog, VerifiedAudit, VerifiedLog},
};

/// What an entry of either log says.
struct Entry {
    number: u64,
    previous: Digest,
    /// The hash by which the next one names it.
    hash: Digest,
    at: UnixTime,
    action: String,
    subject: String,
    signed: Option<Digest>,
}

/// How a log's entries are read.
type Read = fn(&[u8]) -> Option<Entry>;

/// A log in the making, and what is wrong with it.
struct Checked {
    name: String,
    key: Option<LogKey>,
    entries: Vec<Entry>,
    tree: Tree,
    heads: Vec<SignedCheckpoint>,
    defects: Vec<FieldError>,
}

/// Checks both logs: entries, order, tree, heads and cosignatures. `trusted` are the keys that the workspace
/// knows for heads of logs.
///
/// # Errors
/// [`ErrorCode::Untrusted`] with each defect, by log and entry.
pub(super) fn verify(export: &AuditExportFile, trusted: &[PublicKey]) -> Result<VerifiedAudit, Error> {
    let mut backend = Checked::new(&export.backend, backend_entry);
    let mut vault = Checked::new(&export.vault, vault_entry);
    backend.check_heads(vault.key.as_ref());
    vault.check_heads(backend.key.as_ref());
    let defects: Vec<_> = backend.defects.iter().chain(&vault.defects).cloned().collect();
    if let Some(first) = defects.first() {
        let mut body = ErrorBody::new(ErrorCode::Untrusted, "the export does not hold together");
        body.detail = Some(format!("{}: {}", first.field, first.message));
        body.hint = Some("keep the file, and find out who could write to these logs".to_owned());
        body.fields = defects;
        return Err(body.into());
    }
    let logs = vec![backend.result(vault.key.as_ref(), trusted), vault.result(backend.key.as_ref(), trusted)];
    let proofs = backend.proofs()?.into_iter().chain(vault.proofs()?).collect();
    Ok(VerifiedAudit { logs, proofs })
}

impl Checked {
    fn new(log: &ExportedLog, read: Read) -> Self {
        let name: Option<LogName> = log.name.parse().ok();
        let key = <[u8; 32]>::try_from(&log.key[..]).ok().map(PublicKey::Ed25519);
        let key = name.zip(key).and_then(|(name, key)| LogKey::new(name, key).ok());
        let mut checked = Self {
            name: log.name.clone(),
            key,
            entries: Vec::new(),
            tree: Tree::default(),
            heads: Vec::new(),
            defects: Vec::new(),
        };
        if checked.key.is_none() {
            checked.defect("key", "the log has no name or no key that could sign its heads".to_owned());
        }
        for (at, bytes) in (1..).zip(&log.entries) {
            checked.tree.push(leaf_hash(bytes));
            match read(bytes) {
                Some(entry) => checked.entries.push(entry),
                None => {
                    checked.defect(&format!("entry {at}"), "it was rewritten: it cannot be read".to_owned());
                }
            }
        }
        checked.check_order();
        checked.check_chain();
        for (at, text) in (1..).zip(&log.heads) {
            match text.parse() {
                Ok(head) => checked.heads.push(head),
                Err(error) => checked.defect(&format!("head {at}"), format!("{error}")),
            }
        }
        if log.heads.is_empty() {
            checked.defect("heads", "no head of this log was signed".to_owned());
        }
        checked
    }

    /// Numbers rise from one without gaps; the first that does not is named.
    fn check_order(&mut self) {
        if !self.defects.is_empty() {
            return;
        }
        let Some((at, entry)) = (1..).zip(&self.entries).find(|(at, entry)| entry.number != *at) else {
            return;
        };
        let found = entry.number;
        let moved = self.entries.iter().any(|entry| entry.number == at);
        let message = if moved {
            format!("entries were reordered: number {found} stands in its place")
        } else {
            format!("it is missing: number {found} stands in its place")
        };
        self.defect(&format!("entry {at}"), message);
    }

    /// Each entry names the one before by its hash.
    fn check_chain(&mut self) {
        let first = (0, Digest::new([0; 32]));
        let before =
            std::iter::once(first).chain(self.entries.iter().map(|entry| (entry.number, entry.hash)));
        let broken = before
            .zip(&self.entries)
            .find(|((number, hash), entry)| entry.number == number + 1 && entry.previous != *hash);
        if let Some(((number, _), entry)) = broken {
            let (place, message) =
                (number.max(1), format!("it was rewritten: number {} follows on another", entry.number));
            self.defect(&format!("entry {place}"), message);
        }
    }

    /// Every head is signed by the log and says what the entries give, and one covers them all.
    fn check_heads(&mut self, witness: Option<&LogKey>) {
        let Some(key) = self.key.clone() else { return };
        let (sound_so_far, size_now) = (self.defects.is_empty(), self.tree.size());
        let mut heads = self.heads.clone();
        heads.sort_by_key(|head| head.unverified().size);
        let mut covered = 0;
        for head in &heads {
            let size = head.unverified().size;
            let place = format!("head at {size}");
            if let Err(error) = head.verify(&key) {
                self.defect(&place, error.to_string());
                continue;
            }
            if let Some(witness) = witness
                && head.cosignature(witness).is_some()
                && let Err(error) = head.cosigned_at(witness)
            {
                self.defect(&place, error.to_string());
            }
            match self.tree.root_at(size) {
                Some(root) if root == head.unverified().root => covered = size,
                Some(_) if sound_so_far => {
                    let message = format!("it was rewritten, or one up to number {size}: another was signed");
                    self.defect(&format!("entry {}", covered + 1), message);
                    return;
                }
                None if sound_so_far => {
                    let message =
                        format!("it was cut off: the log had {size} entries when its head was signed");
                    self.defect(&format!("entry {}", size_now + 1), message);
                    return;
                }
                // What is wrong with the entries was said.
                Some(_) | None => return,
            }
        }
        if covered < size_now && self.defects.is_empty() {
            self.defect(&format!("entry {}", covered + 1), "no signed head covers it".to_owned());
        }
    }

    fn result(&self, witness: Option<&LogKey>, trusted: &[PublicKey]) -> VerifiedLog {
        let size = self.tree.size();
        let cosigned = self.heads.iter().filter_map(|head| {
            let at = witness.and_then(|witness| head.cosigned_at(witness).ok())?;
            Some((head.unverified().size, at))
        });
        VerifiedLog {
            name: self.name.clone(),
            size,
            root: self.tree.root_at(size).unwrap_or_else(|| envelope::sha256(&[])),
            signed: self.heads.iter().map(|head| head.unverified().size).max().unwrap_or_default(),
            cosigned: cosigned.max(),
            key_trusted: self.key.as_ref().is_some_and(|key| trusted.contains(key.key())),
        }
    }

    /// For each release and certificate, that its entry is in the log.
    fn proofs(&self) -> Result<Vec<AuditProof>, Error> {
        let size = self.tree.size();
        let root = self.tree.root_at(size).unwrap_or_else(|| envelope::sha256(&[]));
        let mut proofs = Vec::new();
        for entry in &self.entries {
            let Some(kind) = kind(&entry.action) else { continue };
            let index = entry.number - 1;
            let not_there =
                || Error::new(ErrorCode::Untrusted, format!("entry {} is not in its log", entry.number));
            let path = self.tree.prove_inclusion(index, size).ok_or_else(not_there)?;
            let leaf = self.tree.leaf(index).ok_or_else(not_there)?;
            verify_inclusion(leaf, index, size, root, &path).map_err(|_| not_there())?;
            proofs.push(AuditProof {
                kind: kind.to_owned(),
                action: entry.action.clone(),
                subject: entry.subject.clone(),
                at: entry.at,
                log: self.name.clone(),
                entry: entry.number,
                size,
                leaf,
                signed: entry.signed,
                path,
            });
        }
        Ok(proofs)
    }

    fn defect(&mut self, place: &str, message: String) {
        self.defects.push(FieldError { field: format!("{} {place}", self.name), message });
    }
}

/// What a release or a certificate went through.
fn kind(action: &str) -> Option<&'static str> {
    let release = ["release", "request.sign"];
    let certificate = ["certificate", "device.issue", "fleet.add_person", "fleet.found"];
    if release.iter().any(|word| action.contains(word)) {
        Some("release")
    } else if certificate.iter().any(|word| action.contains(word)) {
        Some("certificate")
    } else {
        None
    }
}

fn backend_entry(bytes: &[u8]) -> Option<Entry> {
    let (number, previous, entry) = NewAuditEntry::parse(bytes)?;
    Some(Entry {
        number,
        previous,
        hash: envelope::sha256(bytes),
        at: entry.at,
        action: entry.action,
        subject: entry.subject,
        signed: None,
    })
}

fn vault_entry(bytes: &[u8]) -> Option<Entry> {
    let entry = AuditEntry::parse(bytes).ok()?;
    let about =
        if entry.intent.reason.is_empty() { String::new() } else { format!(": {}", entry.intent.reason) };
    Some(Entry {
        number: entry.seq,
        previous: entry.previous,
        hash: leaf_hash(bytes),
        at: entry.intent.at,
        action: entry.intent.action,
        subject: format!("{}{about}", entry.intent.subject),
        signed: entry.signed.map(|signed| signed.root),
    })
}

#[cfg(test)]
mod tests;
