use envelope::{Ed25519Key, Signer as _, log::Checkpoint};
use model::FleetId;
use protocol::Base64;
use vault::{Intent, Signed};

use super::*;

const AT: UnixTime = UnixTime::from_secs(1_790_000_000);

/// Two logs of so many entries, whose heads each cosigned for the other.
struct Logs {
    backend: (Ed25519Key, Vec<Vec<u8>>),
    vault: (Ed25519Key, Vec<Vec<u8>>),
}

impl Logs {
    fn new(entries: u64) -> Self {
        let mut logs = Self {
            backend: (Ed25519Key::from_seed(&[1; 32]), Vec::new()),
            vault: (Ed25519Key::from_seed(&[2; 32]), Vec::new()),
        };
        (0..entries).for_each(|n| logs.append(n, if n == 2 { "publish_release" } else { "test" }));
        logs
    }

    fn append(&mut self, n: u64, action: &str) {
        let last = self.backend.1.last();
        let previous = last.map_or(Digest::new([0; 32]), |bytes| envelope::sha256(bytes));
        let entry = NewAuditEntry {
            at: AT,
            actor: None,
            action: action.into(),
            subject: format!("rel_{n}"),
            reason: String::new(),
            detail: String::new(),
        };
        self.backend.1.push(entry.bytes(n + 1, previous));
        let previous = self.vault.1.last().map_or(Digest::new([0; 32]), |bytes| leaf_hash(bytes));
        let action = if n == 3 { "device.issue" } else { action };
        let intent = Intent {
            actor: "Ada".parse().unwrap(),
            action: action.into(),
            subject: format!("dev_{n}"),
            reason: String::new(),
            at: AT,
        };
        let signed = Signed { key: vault::KeyId::new([3; 8]), root: Digest::new([4; 32]), count: 1 };
        let entry = AuditEntry { seq: n + 1, previous, intent, generation: 1, signed: Some(signed) };
        self.vault.1.push(entry.encode());
    }

    fn export(&self, heads: &[usize]) -> AuditExportFile {
        let names: [LogName; 2] =
            [LogName::backend(FleetId::new([5; 16])), LogName::vault(&[6; 16], Digest::new([7; 32]))];
        let log = |own: usize| {
            let all = [&self.backend, &self.vault];
            let ((key, entries), (other, _)) = (all[own], all[1 - own]);
            let head = |size: &usize| {
                let mut tree = Tree::default();
                entries[..*size].iter().for_each(|entry| tree.push(leaf_hash(entry)));
                let (size, root) = (tree.size(), tree.root_at(tree.size()).unwrap());
                let head = Checkpoint { origin: names[own].clone(), size, root }.sign(key).unwrap();
                let cosignature = head.cosign(names[1 - own].clone(), other, AT).unwrap();
                head.with(cosignature).to_string()
            };
            ExportedLog {
                name: names[own].to_string(),
                key: Base64(key.public_key().as_bytes().to_vec()),
                entries: entries.iter().cloned().map(Base64).collect(),
                heads: heads.iter().map(head).collect(),
            }
        };
        AuditExportFile {
            format: super::super::FORMAT.to_owned(),
            fleet: FleetId::new([5; 16]),
            exported_at: AT,
            backend: log(0),
            vault: log(1),
            recoveries: Vec::new(),
        }
    }
}

/// The defects in words, without the logs' names.
fn defects(export: &AuditExportFile) -> Vec<String> {
    let error = verify(export, &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Untrusted);
    let said = |field: &FieldError| {
        let (_, place) = field.field.split_once(' ').unwrap();
        format!("{place}: {}", field.message)
    };
    error.body().fields.iter().map(said).collect()
}

#[test]
fn a_whole_export_verifies_and_proves_each_release_and_certificate() {
    let logs = Logs::new(7);
    let export = logs.export(&[4, 7]);
    let key = logs.backend.0.public_key();
    let verified = verify(&export, &[key]).unwrap();
    let [backend, vault] = &verified.logs[..] else { panic!("two logs") };
    assert_eq!((backend.size, backend.signed, backend.cosigned), (7, 7, Some((7, AT))));
    assert_eq!((backend.key_trusted, vault.key_trusted), (true, false));
    let kinds: Vec<_> = verified.proofs.iter().map(|proof| (proof.kind.as_str(), proof.entry)).collect();
    assert_eq!(kinds, [("release", 3), ("release", 3), ("certificate", 4)]);
    for proof in &verified.proofs {
        let log = verified.logs.iter().find(|log| log.name == proof.log).unwrap();
        verify_inclusion(proof.leaf, proof.entry - 1, proof.size, log.root, &proof.path).unwrap();
    }
}

#[test]
fn a_log_that_was_cut_names_the_first_entry_that_is_gone() {
    for of_vault in [false, true] {
        let mut export = Logs::new(7).export(&[4, 7]);
        let log = if of_vault { &mut export.vault } else { &mut export.backend };
        log.entries.truncate(5);
        assert_eq!(
            defects(&export),
            ["entry 6: it was cut off: the log had 7 entries when its head was signed"]
        );
    }
}

#[test]
fn an_entry_that_was_rewritten_is_named() {
    let other = Logs { backend: Logs::new(7).backend, vault: Logs::new(7).vault };
    for of_vault in [false, true] {
        let mut rewritten = Logs::new(2);
        rewritten.append(2, "something else");
        let mut export = other.export(&[4, 7]);
        let (log, entries) = if of_vault {
            (&mut export.vault, &rewritten.vault.1)
        } else {
            (&mut export.backend, &rewritten.backend.1)
        };
        log.entries[2] = Base64(entries[2].clone());
        assert_eq!(defects(&export), ["entry 3: it was rewritten: number 4 follows on another"]);
        let log = if of_vault { &mut export.vault } else { &mut export.backend };
        log.entries[2].0[3] ^= 0x80;
        assert_eq!(defects(&export), ["entry 3: it was rewritten: it cannot be read"]);
    }
}

#[test]
fn a_log_that_was_rewritten_as_a_whole_contradicts_its_heads() {
    let signed = Logs::new(7).export(&[4, 7]);
    let mut rewritten = Logs::new(5);
    rewritten.append(5, "something else");
    rewritten.append(6, "test");
    let mut export = rewritten.export(&[]);
    export.backend.heads.clone_from(&signed.backend.heads);
    export.vault = signed.vault;
    assert_eq!(defects(&export), ["entry 5: it was rewritten, or one up to number 7: another was signed"]);
}

#[test]
fn entries_that_were_reordered_or_taken_out_are_named() {
    for of_vault in [false, true] {
        let mut export = Logs::new(7).export(&[7]);
        let log = if of_vault { &mut export.vault } else { &mut export.backend };
        log.entries.swap(2, 4);
        assert_eq!(defects(&export), ["entry 3: entries were reordered: number 5 stands in its place"]);
        let mut export = Logs::new(7).export(&[7]);
        let log = if of_vault { &mut export.vault } else { &mut export.backend };
        log.entries.remove(3);
        assert_eq!(defects(&export), ["entry 4: it is missing: number 5 stands in its place"]);
    }
}

#[test]
fn heads_and_cosignatures_that_do_not_verify_are_named() {
    let with = |change: &dyn Fn(&mut AuditExportFile)| {
        let mut export = Logs::new(3).export(&[3]);
        change(&mut export);
        defects(&export)
    };
    let line = |text: &str, n: usize| text.lines().nth(n).unwrap().to_owned();
    let unsigned = with(&|export| {
        let own = line(&export.backend.heads[0], 4);
        export.backend.heads[0] = export.backend.heads[0].replace(&format!("{own}\n"), "");
    });
    assert!(unsigned[0].starts_with("head at 3: the checkpoint is not signed by `fleetseal/backend/"));
    let forged = with(&|export| {
        let (mine, theirs) = (line(&export.backend.heads[0], 5), line(&export.vault.heads[0], 5));
        let (_, signature) = theirs.rsplit_once(' ').unwrap();
        let (name, own) = mine.rsplit_once(' ').unwrap();
        // The key id stands in the first six characters, of which it fills five and a part.
        let mixed = format!("{name} {}{}", &own[..6], &signature[6..]);
        export.backend.heads[0] = export.backend.heads[0].replace(&mine, &mixed);
    });
    assert!(forged[0].contains("below the checkpoint does not verify"), "{forged:?}");
    let none = with(&|export| export.vault.heads.clear());
    assert_eq!(none[0], "heads: no head of this log was signed");
    let uncovered = defects(&Logs::new(3).export(&[2]));
    assert_eq!(uncovered, ["entry 3: no signed head covers it", "entry 3: no signed head covers it"]);
    let unreadable = with(&|export| export.vault.heads[0].truncate(20));
    assert!(unreadable[0].starts_with("head 1: not a signed checkpoint"), "{unreadable:?}");
}
