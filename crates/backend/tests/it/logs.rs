//! The backend's log and the vaults': each watches the other, and a backend that was set back says no more.

use std::{fs, path::Path};

use envelope::{
    Recovery, Signer as _,
    log::{
        Checkpoint, LogKey, LogName, SignedCheckpoint, Tree, leaf_hash, verify_consistency, verify_inclusion,
    },
    trust::KeyMaterial,
};
use model::Seconds;
use protocol::{
    Base64, ErrorCode,
    operator::{
        AlarmKind, Cosigned, DeviceState, LogHead, LogLeaf, LogProof, Page, Recover, Recovered,
        RecoveryState, RevokeDevice, VaultHead, path,
    },
};
use testkit::{Client, Running};

use crate::support::{alarms, online};

/// A vault's log, as far as a backend sees it.
struct VaultLog<'a> {
    running: &'a Running,
    tree: Tree,
}

impl<'a> VaultLog<'a> {
    fn new(running: &'a Running) -> Self {
        Self { running, tree: Tree::default() }
    }

    fn key(&self) -> LogKey {
        LogKey::new(
            LogName::vault(&[7; 16], model::Digest::new([8; 32])),
            self.running.fleet.audit_key.public_key(),
        )
        .unwrap()
    }

    fn append(&mut self, entry: &[u8]) {
        self.tree.push(leaf_hash(entry));
    }

    fn head(&self, path: Vec<model::Digest>) -> VaultHead {
        let size = self.tree.size();
        let head =
            Checkpoint { origin: self.key().name().clone(), size, root: self.tree.root_at(size).unwrap() };
        VaultHead { checkpoint: head.sign(&self.running.fleet.audit_key).unwrap().to_string(), path }
    }

    fn grown(&self, from: u64) -> VaultHead {
        self.head(self.tree.prove_consistency(from, self.tree.size()).unwrap())
    }

    /// The backend's head as it stands, cosigned by this vault.
    async fn cosign(&self, line: &mut Client) -> SignedCheckpoint {
        let head: LogHead = line.get(path::AUDIT_HEAD).await.ok();
        let note: SignedCheckpoint = head.checkpoint.parse().unwrap();
        note.verify(&backend_key(self.running)).unwrap();
        let key = &self.running.fleet.audit_key;
        let cosignature = note.cosign(self.key().name().clone(), key, self.running.now()).unwrap();
        note.with(cosignature)
    }
}

fn backend_key(running: &Running) -> LogKey {
    let trust = running.trust();
    let key = trust.entries().iter().find_map(|entry| match entry.material {
        KeyMaterial::Signer(key)
            if entry.role == envelope::KeyRole::Audit && key != running.fleet.audit_key.public_key() =>
        {
            Some(key)
        }
        KeyMaterial::Signer(_) | KeyMaterial::Recipient(_) | KeyMaterial::Root { .. } => None,
    });
    LogKey::new(LogName::backend(running.fleet.id), key.unwrap()).unwrap()
}

fn posted(note: &SignedCheckpoint) -> LogHead {
    LogHead { checkpoint: note.to_string() }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_signed_and_every_entry_and_every_growth_is_proven() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let vault = VaultLog::new(&running);
    let first = vault.cosign(&mut admin).await.unverified().clone();
    for name in ["ann", "ben", "cleo"] {
        running.member(name, &[model::Role::Operator]).await;
    }
    let now = vault.cosign(&mut admin).await.unverified().clone();
    assert_eq!(now.size, first.size + 3);
    let at = format!("{}?from={}&to={}", path::AUDIT_GROWTH, first.size, now.size);
    let growth: LogProof = admin.get(&at).await.ok();
    verify_consistency((first.size, first.root), (now.size, now.root), &growth.path).unwrap();
    let leaves: Page<LogLeaf> = admin.get(path::AUDIT_LEAVES).await.ok();
    assert_eq!(leaves.rows.len() as u64, now.size);
    for leaf in leaves.rows {
        let proof: LogProof = admin.get(&path::audit_entry(leaf.number, now.size)).await.ok();
        verify_inclusion(leaf_hash(&leaf.bytes), leaf.number - 1, now.size, now.root, &proof.path).unwrap();
    }
    let beyond = format!("{}?from=1&to={}", path::AUDIT_GROWTH, now.size + 1);
    assert_eq!(admin.get(&beyond).await.code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vaults_head_is_cosigned_when_it_follows_and_an_alarm_when_it_does_not() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let mut vault = VaultLog::new(&running);
    (0..5u8).for_each(|n| vault.append(&[n]));
    let cosigned: LogHead = admin.post(path::AUDIT_VAULTS, &vault.head(vec![])).await.ok();
    let note: SignedCheckpoint = cosigned.checkpoint.parse().unwrap();
    assert_eq!(note.cosigned_at(&backend_key(&running)).unwrap(), running.now());
    (5..9u8).for_each(|n| vault.append(&[n]));
    let unproven = admin.post(path::AUDIT_VAULTS, &vault.head(vec![])).await;
    assert_eq!(unproven.code(), ErrorCode::LogForked);
    admin.post(path::AUDIT_VAULTS, &vault.grown(5)).await.done();

    let mut shorter = VaultLog::new(&running);
    (0..8u8).for_each(|n| shorter.append(&[n]));
    assert_eq!(admin.post(path::AUDIT_VAULTS, &shorter.head(vec![])).await.code(), ErrorCode::LogForked);
    let mut forked = VaultLog::new(&running);
    (0..20u8).for_each(|n| forked.append(&[n / 2]));
    assert_eq!(admin.post(path::AUDIT_VAULTS, &forked.grown(9)).await.code(), ErrorCode::LogForked);
    let raised = alarms(&mut admin).await;
    assert!(raised.iter().any(|alarm| alarm.kind == AlarmKind::LogForked && alarm.count == 3), "{raised:?}");

    let kept: LogHead =
        admin.get(&path::vault_head(&format!("{}.{}", "07".repeat(16), "08".repeat(8)))).await.ok();
    let kept: SignedCheckpoint = kept.checkpoint.parse().unwrap();
    assert_eq!(kept.unverified().size, 9, "what was refused is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_forks_of_a_vaults_log_at_once_one_is_cosigned() {
    let running = Running::start().await;
    let fork = |branch: u8, size: u8| {
        let mut vault = VaultLog::new(&running);
        (0..5u8).for_each(|n| vault.append(&[n]));
        (0..size).for_each(|_| vault.append(&[100 + branch]));
        vault.grown(5)
    };
    let mut lines = Vec::new();
    for branch in 0..4u8 {
        // A shorter head, too, is a fork of one that was kept meanwhile.
        lines.push((running.admin().await, fork(branch, 4 - branch)));
    }
    let mut vault = VaultLog::new(&running);
    (0..5u8).for_each(|n| vault.append(&[n]));
    lines[0].0.post(path::AUDIT_VAULTS, &vault.head(vec![])).await.done();
    let mut asked = tokio::task::JoinSet::new();
    for (mut line, head) in lines {
        asked.spawn(async move {
            let sent: SignedCheckpoint = head.checkpoint.parse().unwrap();
            (sent.unverified().clone(), line.post(path::AUDIT_VAULTS, &head).await)
        });
    }
    let mut cosigned = Vec::new();
    for (head, answer) in asked.join_all().await {
        if answer.status.is_success() {
            cosigned.push(head);
        } else {
            assert_eq!(answer.code(), ErrorCode::LogForked);
        }
    }
    let mut admin = running.admin().await;
    let kept: LogHead =
        admin.get(&path::vault_head(&format!("{}.{}", "07".repeat(16), "08".repeat(8)))).await.ok();
    let kept: SignedCheckpoint = kept.checkpoint.parse().unwrap();
    assert_eq!(cosigned, [kept.unverified().clone()], "one, and that one is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_a_witness_of_themselves() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let vault = VaultLog::new(&running);
    let own: LogHead = admin.get(path::AUDIT_HEAD).await.ok();
    let as_vault = VaultHead { checkpoint: own.checkpoint.clone(), path: vec![] };
    assert_eq!(admin.post(path::AUDIT_VAULTS, &as_vault).await.code(), ErrorCode::InvalidObject);
    assert_eq!(admin.post(path::AUDIT_HEAD, &own).await.code(), ErrorCode::InvalidObject, "nobody cosigned");
    let cosigned = vault.cosign(&mut admin).await;
    admin.post(path::AUDIT_HEAD, &posted(&cosigned)).await.done();
    let all: Cosigned = admin.get(path::AUDIT_COSIGNED).await.ok();
    assert_eq!(all.backend, [cosigned.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backend_serves_nothing_until_it_is_recovered() {
    let mut running = Running::start().await;
    let mut stays = running.enrol("A-1").await;
    let lost = running.enrol("A-2").await;
    let aside = tempfile::tempdir().unwrap();
    running.stop().await;
    copy(&running.data_dir(), aside.path());
    running.restart().await;

    let mut admin = running.admin().await;
    let list = envelope::RevocationList {
        fleet: running.fleet.id,
        number: 5,
        issued_at: running.now(),
        not_after: running.now() + Seconds::days(30),
        keys: [lost.spki()].into(),
        stations: Vec::new(),
    };
    let list = Base64(list.sign(&running.fleet.grant_key).unwrap());
    let revoke = RevokeDevice {
        state: DeviceState::Revoked,
        reason: "stolen".into(),
        revocation_list: Some(list.clone()),
    };
    admin.post(&path::revoke_device(lost.id), &revoke).await.done();
    let head = VaultLog::new(&running).cosign(&mut admin).await;
    admin.post(path::AUDIT_HEAD, &posted(&head)).await.done();

    running.stop().await;
    fs::remove_dir_all(running.data_dir()).unwrap();
    copy(aside.path(), &running.data_dir());
    running.restart().await;
    let mut back = lost.connect(&running).await;
    back.get("/v1/tuf/timestamp.json").await.done();
    let mut admin = running.admin().await;
    let (mut line, mut push) = online(&running, &mut stays).await;
    let shown = admin.post(path::AUDIT_HEAD, &posted(&head)).await;
    assert_eq!(shown.code(), ErrorCode::BackendRestored);
    assert!(crate::support::next_event(&mut push).await.is_none(), "open streams end");
    for round in ["at once", "after a restart"] {
        if round != "at once" {
            running.restart().await;
            admin = running.admin().await;
            line = stays.connect(&running).await;
        }
        let (_, answer) = stays.hello(&mut line, 99).await;
        assert_eq!(answer.code(), ErrorCode::BackendRestored, "{round}");
        for file in ["timestamp.json", "revoked.cbor"] {
            let answer = line.get(&format!("/v1/tuf/{file}")).await;
            assert_eq!(answer.code(), ErrorCode::BackendRestored, "{round}");
        }
        let token = stays.token(&running.fleet.station, running.now()).0;
        assert_eq!(admin.post(path::TOKENS, &token).await.code(), ErrorCode::BackendRestored, "{round}");
        admin.get(path::DEVICES).await.done();
    }
    assert!(alarms(&mut admin).await.iter().any(|alarm| alarm.kind == AlarmKind::BackendRestored));

    let state: RecoveryState = admin.get(path::RECOVERY).await.ok();
    let gone = state.lost.unwrap();
    assert_eq!((gone.size, gone.root), (head.unverified().size, head.unverified().root));
    let statement = Recovery {
        fleet: running.fleet.id,
        kept: (state.kept.size, state.kept.root),
        lost: (gone.size, gone.root),
        issued_at: running.now(),
    };
    let recover = |statement: &Recovery, signer| Recover {
        statement: Base64(statement.sign(signer).unwrap()),
        roots: vec![],
        targets: None,
        trust_keys: None,
        revocation_list: Some(list.clone()),
    };
    let grant = &running.fleet.grant_key;
    let other = Recovery { lost: (gone.size + 1, gone.root), ..statement.clone() };
    for wrong in [recover(&statement, &running.fleet.ticket_key), recover(&other, grant)] {
        assert_eq!(admin.post(path::RECOVERY, &wrong).await.code(), ErrorCode::InvalidObject);
    }
    let done: Recovered = admin.post(path::RECOVERY, &recover(&statement, grant)).await.ok();
    assert_eq!(done.devices, 1);
    let again = admin.post(path::RECOVERY, &recover(&statement, grant)).await;
    assert_eq!(again.code(), ErrorCode::Conflict, "there is nothing to recover from any more");
    let mut line = stays.connect(&running).await;
    stays.check_in(&mut line).await;
    let mut back = lost.connect(&running).await;
    assert_eq!(back.get("/v1/tuf/timestamp.json").await.code(), ErrorCode::Revoked, "it stays revoked");

    let late = admin.post(path::AUDIT_HEAD, &posted(&head)).await;
    assert_eq!(late.code(), ErrorCode::Conflict, "the lost head locks it no more");
    line.get("/v1/tuf/timestamp.json").await.done();
    let all: Cosigned = admin.get(path::AUDIT_COSIGNED).await.ok();
    assert_eq!(all.recoveries, [Base64(statement.sign(grant).unwrap())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_begins_another_log_is_an_alarm() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let head = |first: u8| {
        let origin = LogName::vault(&[7; 16], model::Digest::new([first; 32]));
        let head = Checkpoint { origin, size: 1, root: leaf_hash(&[first]) };
        VaultHead { checkpoint: head.sign(&running.fleet.audit_key).unwrap().to_string(), path: vec![] }
    };
    for _ in 0..2 {
        admin.post(path::AUDIT_VAULTS, &head(1)).await.done();
    }
    assert_eq!(alarms(&mut admin).await, []);
    admin.post(path::AUDIT_VAULTS, &head(2)).await.done();
    assert!(alarms(&mut admin).await[0].detail.contains("began another log"));
}
