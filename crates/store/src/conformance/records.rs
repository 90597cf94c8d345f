//! People, tokens, journal, audit, documents, releases.

use envelope::log::{Tree, verify_consistency, verify_inclusion};
use model::{DeviceId, Digest, ReleaseId, ReleaseState, Role, TokenId};

use super::{
    Subject,
    fixture::{Fleet, START, at, device, model_name, sealed, serial, spki},
};
use crate::{
    Comment, Document, EnrolmentRequest, EnrolmentState, Error, NewAuditEntry, NewEvent, PageRequest, Person,
    ReleaseContent, Requested, Timeline, Token, TokenChoice, TokenState,
};

pub async fn a_revoked_person_stays_revoked(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    let person = Person {
        spki: spki(1),
        name: "Ada".parse().unwrap(),
        roles: [Role::Operator, Role::Auditor].into(),
        station: None,
        certificate: vec![1],
        added_at: START,
        revoked_at: None,
    };
    store.put_person(person.clone()).await.unwrap();
    assert_eq!(*store.person(spki(1)).await.unwrap().unwrap(), person);
    store.revoke_person(spki(1), at(5)).await.unwrap();
    store.revoke_person(spki(1), at(9)).await.unwrap();
    store.put_person(person).await.unwrap();
    assert_eq!(store.person(spki(1)).await.unwrap().unwrap().revoked_at, Some(at(5)));
    assert!(matches!(store.revoke_person(spki(2), START).await, Err(Error::NotFound { .. })));
    assert!(store.remove_person(spki(1)).await.unwrap());
    assert!(store.people().await.unwrap().is_empty());
}

fn token(n: u8) -> Token {
    Token {
        id: TokenId::new([n; 16]),
        serial: serial(n.into()),
        model: model_name(),
        hardware_revision: "b".parse().unwrap(),
        expires_at: at(100),
        note: vec![n],
        issued_by: spki(0),
        issued_at: START,
    }
}

fn request(n: u8, key: u64, csr: &[u8], secs: u64) -> EnrolmentRequest {
    EnrolmentRequest {
        token: TokenId::new([n; 16]),
        spki: spki(key),
        csr: csr.to_vec(),
        mac: vec![7],
        at: at(secs),
    }
}

pub async fn a_token_binds_to_its_first_key_and_repeats(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    store.put_tokens(vec![token(1)]).await.unwrap();
    store.put_tokens(vec![token(1)]).await.unwrap();
    let other = Token { note: vec![9], ..token(1) };
    assert!(matches!(store.put_tokens(vec![token(2), other]).await, Err(Error::Conflict { .. })));
    assert!(store.token(TokenId::new([2; 16])).await.unwrap().is_none(), "all or none");

    let Requested::Taken(first) = store.request_enrolment(request(1, 1, b"csr", 1)).await.unwrap() else {
        panic!("the first request is taken");
    };
    assert_eq!((first.state, first.spki), (EnrolmentState::Pending, spki(1)));
    // A repeat after the token lapsed: it is bound, so it goes on.
    let Requested::Taken(again) = store.request_enrolment(request(1, 1, b"newer", 500)).await.unwrap() else {
        panic!("a repeat is taken");
    };
    assert_eq!((again.csr.as_slice(), again.received_at), (&b"newer"[..], at(1)));
    let foreign = store.request_enrolment(request(1, 2, b"csr", 2)).await.unwrap();
    assert_eq!(foreign, Requested::OtherKey);
    let alarms = store.alarms(true, PageRequest::first(10)).await.unwrap().rows;
    assert_eq!(alarms.len(), 1);
    let record = store.token(TokenId::new([1; 16])).await.unwrap().unwrap();
    assert_eq!((record.state, record.bound_spki), (TokenState::Bound, Some(spki(1))));
}

pub async fn a_lapsed_or_canceled_token_enrols_nobody(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    store.put_tokens(vec![token(1), token(2), token(3)]).await.unwrap();
    assert_eq!(store.request_enrolment(request(1, 1, b"csr", 100)).await.unwrap(), Requested::NoToken);
    assert_eq!(store.request_enrolment(request(9, 1, b"csr", 1)).await.unwrap(), Requested::NoToken);
    let these = TokenChoice::These(vec![TokenId::new([2; 16])]);
    assert_eq!(store.cancel_tokens(these).await.unwrap(), 1);
    assert_eq!(store.request_enrolment(request(2, 1, b"csr", 1)).await.unwrap(), Requested::NoToken);
    store.request_enrolment(request(3, 3, b"csr", 1)).await.unwrap();
    assert_eq!(store.cancel_tokens(TokenChoice::All).await.unwrap(), 1, "the bound one stays");
    let open = store.tokens(Some(TokenState::Open), PageRequest::first(9)).await.unwrap();
    assert!(open.rows.is_empty());
}

pub async fn an_enrolment_is_decided_once(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    store.put_tokens(vec![token(1), token(2)]).await.unwrap();
    let (one, two) = (TokenId::new([1; 16]), TokenId::new([2; 16]));
    assert!(matches!(
        store.issue_enrolment(one, device(1), vec![5], at(2)).await,
        Err(Error::NotFound { .. })
    ));
    store.request_enrolment(request(1, 1, b"csr", 1)).await.unwrap();
    store.request_enrolment(request(2, 2, b"csr", 1)).await.unwrap();
    assert!(matches!(store.prove_enrolment(one, vec![6], at(2)).await, Err(Error::Illegal { .. })));
    store.issue_enrolment(one, device(1), vec![5], at(2)).await.unwrap();
    store.issue_enrolment(one, device(1), vec![5], at(3)).await.unwrap();
    assert!(matches!(store.refuse_enrolment(one, "no".into(), at(3)).await, Err(Error::Illegal { .. })));
    // The CSR that was decided upon stays.
    store.request_enrolment(request(1, 1, b"other", 4)).await.unwrap();
    assert!(matches!(store.confirm_enrolment(one, at(4)).await, Err(Error::Illegal { .. })));
    store.prove_enrolment(one, vec![6], at(4)).await.unwrap();
    store.confirm_enrolment(one, at(5)).await.unwrap();
    store.prove_enrolment(one, vec![9], at(6)).await.unwrap();
    store.issue_enrolment(one, device(1), vec![9], at(6)).await.unwrap();
    store.refuse_enrolment(two, "wrong serial".into(), at(4)).await.unwrap();
    assert!(matches!(
        store.issue_enrolment(two, device(2), vec![5], at(5)).await,
        Err(Error::Illegal { .. })
    ));
    let issued = store.enrolment(one).await.unwrap().unwrap();
    assert_eq!((issued.state, issued.csr.as_slice()), (EnrolmentState::Confirmed, &b"csr"[..]));
    assert_eq!((issued.proof.as_deref(), issued.changed_at), (Some(&[6][..]), at(5)));
    assert_eq!(store.enrolment_of(device(1)).await.unwrap().as_ref(), Some(&issued));
    assert_eq!(store.enrolment_of(device(2)).await.unwrap(), None);
    assert_eq!((issued.device, issued.sealed_certificate), (Some(device(1)), Some(vec![5])));
    let refused = store.enrolments(Some(EnrolmentState::Refused), PageRequest::first(9)).await.unwrap();
    assert_eq!(refused.rows[0].refusal.as_deref(), Some("wrong serial"));
}

pub async fn alarms_are_counted_until_somebody_looks(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    let store = &fleet.store;
    let one: DeviceId = fleet.enrol(1).await;
    for secs in [1, 3, 2] {
        store.raise_alarm("state_lost".into(), Some(one), "again".into(), at(secs)).await.unwrap();
    }
    store.raise_alarm("state_lost".into(), None, "elsewhere".into(), at(4)).await.unwrap();
    let open = store.alarms(true, PageRequest::first(9)).await.unwrap().rows;
    assert_eq!(open.len(), 2);
    assert_eq!((open[1].count, open[1].at, open[1].last_at), (3, at(1), at(3)));
    store.acknowledge_alarm(open[1].seq, spki(1), at(5)).await.unwrap();
    store.acknowledge_alarm(open[1].seq, spki(2), at(6)).await.unwrap();
    store.raise_alarm("state_lost".into(), Some(one), "anew".into(), at(7)).await.unwrap();
    let all = store.alarms(false, PageRequest::first(9)).await.unwrap().rows;
    assert_eq!(all.len(), 3);
    assert_eq!(all[2].acknowledged, Some((spki(1), at(5))));
    assert!(matches!(store.acknowledge_alarm(99, spki(1), at(5)).await, Err(Error::NotFound { .. })));
}

pub async fn timelines_page_newest_first(make: impl Fn() -> Subject) {
    let fleet = Fleet::new(make());
    fleet.enrol_all(1..=2).await;
    let events = (0..25).map(|n| NewEvent {
        at: at(n),
        kind: "seen".into(),
        device: Some(device(1 + n % 2)),
        rollout: None,
        deployment: None,
        detail: Some(n.to_string()),
        raw: None,
    });
    fleet.store.append_events(events.collect()).await.unwrap();
    let mut seen = Vec::new();
    let mut page = PageRequest::first(5);
    loop {
        let found = fleet.store.events(Timeline::Device(device(1)), page).await.unwrap();
        seen.extend(found.rows.into_iter().map(|event| (event.kind, event.at, event.device)));
        match found.next {
            Some(next) => page = PageRequest::after(next, 5),
            None => break,
        }
    }
    assert_eq!(seen.len(), 14, "thirteen and the enrolment");
    assert!(seen.is_sorted_by(|a, b| a.1 >= b.1));
    assert!(seen.iter().all(|(_, _, of)| *of == Some(device(1))));
    let fleet_wide = fleet.store.events(Timeline::Fleet, PageRequest::first(100)).await.unwrap();
    assert_eq!(fleet_wide.rows.len(), 27);
}

pub async fn the_audit_log_is_one_chain_and_one_tree(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    let entry = |n: u64| NewAuditEntry {
        at: at(n),
        actor: Some(spki(n)),
        action: "revoke_device".into(),
        subject: device(n).to_string(),
        reason: "lost".into(),
        detail: String::new(),
    };
    // Many at once: the chain must not fork.
    let appends = (0..20).map(|n| {
        let store = std::sync::Arc::clone(store);
        let entries = vec![entry(n), entry(n + 100)];
        tokio::spawn(async move { store.append_audit(entries).await.unwrap() })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap();
    }
    let head = store.audit_head().await.unwrap();
    let entries = store.audit_entries(0, 1_000).await.unwrap();
    assert_eq!((head.size, entries.len()), (40, 40));
    let mut tree = Tree::default();
    let mut previous = Digest::new([0; 32]);
    for (seq, entry) in (1..).zip(&entries) {
        assert_eq!((entry.seq, entry.previous), (seq, previous));
        assert_eq!(entry.hash, entry.entry.hash(seq, previous));
        tree.push(entry.entry.leaf(seq, previous));
        let bytes = entry.entry.bytes(seq, previous);
        assert_eq!(NewAuditEntry::parse(&bytes), Some((seq, previous, entry.entry.clone())));
        assert_eq!(NewAuditEntry::parse(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(NewAuditEntry::parse(&bytes[1..]), None);
        previous = entry.hash;
    }
    assert_eq!(store.audit_entries(38, 1_000).await.unwrap(), entries[38..]);
    for size in 0..=40 {
        let now = store.audit_head_at(size).await.unwrap();
        assert_eq!((now.size, Some(now.root)), (size, tree.root_at(size)));
        let growth = store.prove_audit_growth(size, 40).await.unwrap();
        verify_consistency((size, now.root), (40, head.root), &growth).unwrap();
    }
    for (seq, entry) in (1..).zip(&entries) {
        let leaf = entry.entry.leaf(seq, entry.previous);
        let path = store.prove_audit_entry(seq, 40).await.unwrap();
        verify_inclusion(leaf, seq - 1, 40, head.root, &path).unwrap();
    }
    assert!(matches!(store.audit_head_at(41).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.prove_audit_entry(41, 40).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.prove_audit_entry(0, 40).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.prove_audit_growth(40, 41).await, Err(Error::NotFound { .. })));
}

pub async fn documents_move_together_and_never_backwards(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    let document = |name: &str, version, bytes: &[u8]| Document {
        name: name.into(),
        version,
        bytes: bytes.to_vec(),
        at: START,
    };
    store
        .put_documents(vec![document("snapshot.json", 2, b"s2"), document("timestamp.json", 2, b"t2")])
        .await
        .unwrap();
    store.put_documents(vec![document("snapshot.json", 2, b"s2")]).await.unwrap();
    for wrong in [document("timestamp.json", 1, b"t1"), document("timestamp.json", 2, b"forged")] {
        let put = store.put_documents(vec![document("snapshot.json", 3, b"s3"), wrong]).await;
        assert!(matches!(put, Err(Error::Stale { stored: 2, .. })));
    }
    let kept = store.document("snapshot.json".into()).await.unwrap().unwrap();
    assert_eq!((kept.version, kept.bytes.as_slice()), (2, &b"s2"[..]), "all or none");
    store.put_documents(vec![document("1.root.json", 1, b"r")]).await.unwrap();
    let names: Vec<_> = store
        .documents("s".into())
        .await
        .unwrap()
        .into_iter()
        .map(|info| (info.name, info.version))
        .collect();
    assert_eq!(names, [("snapshot.json".to_owned(), 2)]);
    assert_eq!(store.documents(String::new()).await.unwrap().len(), 3);
}

pub async fn a_release_changes_as_a_draft_alone(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    let id = ReleaseId::new([1; 16]);
    let content = ReleaseContent {
        name: "2.1".into(),
        notes: "faster".into(),
        targets: b"targets".to_vec(),
        artifacts: vec![Digest::new([1; 32]), Digest::new([2; 32])],
        detail: "{}".into(),
    };
    store.create_release(id, spki(1), content.clone(), START).await.unwrap();
    store.create_release(id, spki(1), content.clone(), START).await.unwrap();
    assert!(matches!(
        store.create_release(id, spki(2), content.clone(), START).await,
        Err(Error::Conflict { .. })
    ));
    store.step_release(id, ReleaseState::Proposed, at(1)).await.unwrap();
    assert!(matches!(store.amend_release(id, content.clone(), at(1)).await, Err(Error::Illegal { .. })));
    let comment = Comment { by: spki(3), at: at(4), verdict: Some(false), text: "the notes".into() };
    store.comment_release(id, comment.clone()).await.unwrap();
    store.step_release(id, ReleaseState::Draft, at(5)).await.unwrap();
    store.amend_release(id, ReleaseContent { notes: "better".into(), ..content }, at(6)).await.unwrap();
    let release = store.release(id).await.unwrap().unwrap();
    assert_eq!(release.comments, [comment]);
    assert_eq!((release.notes.as_str(), release.artifacts.len()), ("better", 2));
    assert!(matches!(
        store.step_release(id, ReleaseState::Published, at(7)).await,
        Err(Error::Illegal { .. })
    ));
    let drafts = store.releases(Some(ReleaseState::Draft), PageRequest::first(9)).await.unwrap();
    assert_eq!(drafts.rows, [release]);
}

pub async fn a_sealed_artifact_never_changes(make: impl Fn() -> Subject) {
    let Fleet { store, .. } = &Fleet::new(make());
    store.put_sealed(sealed(1)).await.unwrap();
    store.put_sealed(crate::SealedArtifact { at: at(9), ..sealed(1) }).await.unwrap();
    let other = crate::SealedArtifact { length_bytes: 1, ..sealed(1) };
    assert!(matches!(store.put_sealed(other).await, Err(Error::Conflict { .. })));
    store.put_sealed(sealed(2)).await.unwrap();
    assert_eq!(store.sealed(sealed(1).id).await.unwrap(), Some(sealed(1)));
    assert_eq!(store.sealed_of(sealed(1).artifact).await.unwrap(), [sealed(2), sealed(1)]);
}
