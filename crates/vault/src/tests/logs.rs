use envelope::{
    Ed25519Key, Signer as _,
    log::{self, Checkpoint, LogKey, SignedCheckpoint, Tree, leaf_hash, verify_consistency},
};
use model::{Digest, UnixTime};

use super::{NOON, Place, intent};
use crate::{Error, KeyRole, Vault};

/// Another log, that the vault watches.
struct Other {
    key: Ed25519Key,
    tree: Tree,
}

impl Other {
    fn new(entries: u64) -> Self {
        let mut tree = Tree::default();
        (0..entries).for_each(|n| tree.push(leaf_hash(&n.to_be_bytes())));
        Self { key: Ed25519Key::from_seed(&[9; 32]), tree }
    }

    fn log(&self) -> LogKey {
        LogKey::new("example.com/backend".parse().unwrap(), self.key.public_key()).unwrap()
    }

    fn head(&self) -> SignedCheckpoint {
        let (size, origin) = (self.tree.size(), self.log().name().clone());
        Checkpoint { origin, size, root: self.tree.root_at(size).unwrap() }.sign(&self.key).unwrap()
    }

    fn cosigned_by(&self, vault: &Vault, path: &[Digest]) -> Result<SignedCheckpoint, Error> {
        vault.cosign(&self.head(), &self.log(), path, NOON)
    }
}

fn vault(place: &Place) -> Vault {
    let vault = place.create();
    vault.generate(&[KeyRole::Audit], &intent(&vault)).unwrap();
    vault
}

#[test]
fn the_head_is_signed_and_each_follows_on_the_one_before() {
    let place = Place::new();
    let vault = vault(&place);
    let mut last: Option<Checkpoint> = None;
    for _ in 0..20 {
        let head = vault.checkpoint().unwrap().verify(&vault.log_key().unwrap()).unwrap().into_inner();
        assert_eq!(head.size, vault.verify_audit().unwrap().seq, "a checkpoint leaves no entry");
        if let Some(last) = last {
            let path = vault.prove_audit(last.size, head.size).unwrap();
            verify_consistency((last.size, last.root), (head.size, head.root), &path).unwrap();
        }
        last = Some(head);
        vault.record(&intent(&vault)).unwrap();
    }
    vault.lock();
    assert!(matches!(vault.checkpoint(), Err(Error::Locked)));
}

#[test]
fn a_log_from_before_there_were_trees_gets_its_own() {
    let place = Place::new();
    let vault = vault(&place);
    for _ in 0..9 {
        vault.record(&intent(&vault)).unwrap();
    }
    let head = vault.checkpoint().unwrap();
    drop(vault);
    let db = rusqlite::Connection::open(place.folder().join("audit.sqlite")).unwrap();
    db.execute_batch("DROP TABLE nodes; DROP TABLE heads; DROP TABLE cosigned").unwrap();
    drop(db);
    let vault = place.open();
    vault.verify_audit().unwrap();
    let seq = head.unverified().size;
    assert_eq!(vault.inner().audit.root_at(seq).unwrap(), head.unverified().root);
}

#[test]
fn a_cosignature_is_preceded_by_its_entry_and_remembered() {
    let place = Place::new();
    let vault = vault(&place);
    let other = Other::new(7);
    let before = vault.verify_audit().unwrap().seq;
    let cosigned = other.cosigned_by(&vault, &[]).unwrap();
    assert_eq!(cosigned.cosigned_at(&vault.log_key().unwrap()).unwrap(), NOON);
    let entries = vault.audit_entries(before, 10).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].intent.action.as_str(), entries[0].signed.unwrap().count), ("log.cosign", 1));
    drop(vault);
    let vault = place.open();
    let remembered = vault.witnessed(other.log().name()).unwrap().unwrap();
    assert_eq!((remembered.note, remembered.at), (cosigned, NOON));
    vault.verify_audit().unwrap();
}

#[test]
fn a_head_that_is_shorter_or_forked_is_not_cosigned() {
    let place = Place::new();
    let vault = vault(&place);
    let mut other = Other::new(7);
    other.cosigned_by(&vault, &[]).unwrap();
    let entries = vault.verify_audit().unwrap();
    let shorter = Other::new(6).cosigned_by(&vault, &[]);
    assert!(matches!(shorter, Err(Error::Log { source: log::Error::Shorter { known: 7, found: 6 } })));
    let mut forked = Other::new(6);
    (0..4).for_each(|_| forked.tree.push(leaf_hash(b"rewritten")));
    let path = forked.tree.prove_consistency(7, 10).unwrap();
    let refused = forked.cosigned_by(&vault, &path);
    assert!(matches!(refused, Err(Error::Log { source: log::Error::Fork { known: 7, found: 10 } })));
    assert_eq!(vault.verify_audit().unwrap(), entries, "nothing was signed, and so nothing written");
    (0..4).for_each(|_| other.tree.push(leaf_hash(b"more")));
    assert!(other.cosigned_by(&vault, &[]).is_err(), "without a proof");
    let path = other.tree.prove_consistency(7, 11).unwrap();
    other.cosigned_by(&vault, &path).unwrap();
}

#[test]
fn of_two_forks_offered_at_once_one_is_cosigned() {
    let place = Place::new();
    let vault = vault(&place);
    let mut cosigned = 3;
    Other::new(3).cosigned_by(&vault, &[]).unwrap();
    for round in 0..32u64 {
        let fork = |branch: u64| {
            let mut other = Other::new(3);
            (0..=round).for_each(|_| other.tree.push(leaf_hash(&[9; 8])));
            other.tree.push(leaf_hash(&branch.to_be_bytes()));
            other
        };
        let start = std::sync::Barrier::new(4);
        let offer = |branch| {
            let (other, start, vault) = (fork(branch), &start, vault.clone());
            move || {
                // Where the log stood before; once another fork is cosigned there, no proof leads to this one.
                let path = other.tree.prove_consistency(3, other.tree.size()).unwrap();
                start.wait();
                other.cosigned_by(&vault, &path)
            }
        };
        let answers = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|branch| scope.spawn(offer(branch))).collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        assert!(refused.into_iter().all(|error| matches!(error, Error::Log { .. })), "{answers:?}");
        cosigned = vault.witnessed(Other::new(1).log().name()).unwrap().unwrap().note.unverified().size;
        // From the last head on which all agree, for the next round.
        let (kept, log) = (Other::new(3), Other::new(3).log());
        vault.accept_recovery(&kept.head(), &log, 3, &[], "another round", NOON).unwrap();
    }
    assert_eq!(cosigned, 3 + 32 + 1);
    vault.verify_audit().unwrap();
}

#[test]
fn only_a_head_signed_by_the_log_is_cosigned_and_never_the_vaults_own() {
    let place = Place::new();
    let vault = vault(&place);
    let other = Other::new(3);
    let stranger = Other { key: Ed25519Key::from_seed(&[8; 32]), ..Other::new(3) };
    let refused = vault.cosign(&stranger.head(), &other.log(), &[], NOON);
    assert!(matches!(refused, Err(Error::Log { source: log::Error::Unsigned { .. } })));
    let own = vault.cosign(&vault.checkpoint().unwrap(), &vault.log_key().unwrap(), &[], NOON);
    assert!(matches!(own, Err(Error::Log { source: log::Error::OwnWitness { .. } })));
}

#[test]
fn what_the_vault_remembers_of_other_logs_cannot_be_edited() {
    for edit in [
        "DELETE FROM heads WHERE size = 7",
        "UPDATE heads SET note = (SELECT note FROM heads WHERE size = 3) WHERE size = 7",
        "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND idx = 0",
        "DELETE FROM nodes WHERE level = 1 AND idx = 1",
    ] {
        let place = Place::new();
        let vault = vault(&place);
        let (three, seven) = (Other::new(3), Other::new(7));
        three.cosigned_by(&vault, &[]).unwrap();
        seven.cosigned_by(&vault, &seven.tree.prove_consistency(3, 7).unwrap()).unwrap();
        vault.verify_audit().unwrap();
        drop(vault);
        let db = rusqlite::Connection::open(place.folder().join("audit.sqlite")).unwrap();
        assert!(db.execute(edit, []).unwrap() > 0, "{edit}");
        drop(db);
        let found = place.open().verify_audit();
        assert!(matches!(found, Err(Error::AuditBroken { .. })), "{edit}: {found:?}");
    }
}

#[test]
fn a_restored_log_goes_on_from_the_head_that_was_kept() {
    let place = Place::new();
    let vault = vault(&place);
    let (three, seven) = (Other::new(3), Other::new(7));
    three.cosigned_by(&vault, &[]).unwrap();
    seven.cosigned_by(&vault, &seven.tree.prove_consistency(3, 7).unwrap()).unwrap();
    let mut restored = Other::new(5);
    let (kept, log) = (restored.head(), restored.log());
    let later = NOON + model::Seconds::days(1);
    let forged = Other { tree: Tree::default(), ..Other::new(0) };
    (0..5).for_each(|_| restored.tree.push(leaf_hash(b"after")));
    assert!(
        matches!(vault.accept_recovery(&kept, &log, 3, &[], "", later), Err(Error::Log { .. })),
        "unproven"
    );
    let path = restored.tree.prove_consistency(3, 5).unwrap();
    vault.accept_recovery(&kept, &log, 3, &path, "restored", later).unwrap();
    assert_eq!(vault.witnessed(log.name()).unwrap().unwrap().at, later);
    let path = restored.tree.prove_consistency(5, 10).unwrap();
    restored.cosigned_by(&vault, &path).unwrap();
    assert!(forged.cosigned_by(&vault, &[]).is_err());
    vault.verify_audit().unwrap();
}

#[test]
fn a_head_that_others_cosigned_is_kept() {
    let place = Place::new();
    let vault = vault(&place);
    let other = Other::new(1);
    let head = vault.checkpoint().unwrap();
    assert!(vault.keep_cosigned(&head, &other.log()).is_err(), "nobody cosigned it");
    let at = UnixTime::from_secs(NOON.as_secs() + 1);
    let cosigned = head.clone().with(head.cosign(other.log().name().clone(), &other.key, at).unwrap());
    vault.keep_cosigned(&cosigned, &other.log()).unwrap();
    assert_eq!(vault.cosigned().unwrap(), Some(cosigned));
}

#[test]
fn a_vault_that_is_brought_back_elsewhere_begins_another_log() {
    let [place, elsewhere] = [Place::new(), Place::new()];
    let vault = vault(&place);
    let backup = place.path("backup");
    vault.backup(&backup, NOON).unwrap();
    let there = elsewhere.folder();
    std::fs::create_dir_all(&there).unwrap();
    std::fs::set_permissions(&there, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::copy(&backup, there.join("keys.cbor")).unwrap();
    let back = elsewhere.unlocked();
    assert_eq!(back.id(), vault.id());
    assert_ne!(back.log_name().unwrap(), vault.log_name().unwrap());
    back.checkpoint().unwrap().verify(&back.log_key().unwrap()).unwrap();
}
