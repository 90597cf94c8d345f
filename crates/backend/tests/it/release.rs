//! Releases: who proposes, signs, publishes and withdraws, and that nobody slips anything in.

use backend::Config;
use bytes::Bytes;
use envelope::{
    sha256,
    tuf::{KeyId, Role as TufRole, Root, Signed, TargetFile, Targets},
};
use hyper::Method;
use model::{ReleaseState, Role, RolloutState, Seconds};
use protocol::{
    Base64, ErrorCode,
    operator::{
        AlarmKind, ArtifactUpload, AuditRow, Page, PostReview, ProposeRelease, PublishMetadata,
        ReleaseDetail, ReleaseRow, RequestState, RolloutStep, SignatureRequest, Verdict, WithdrawRelease,
        path,
    },
};
use testkit::{Client, FakeClock, Fleet, Payload, Running};

use crate::support::{alarmed, online, reaches};

async fn two_of_three() -> Running {
    Running::with(Fleet::found(3, 2, FakeClock::START), |_| {}).await
}

fn approve(proposal: &ProposeRelease) -> PostReview {
    let digest = sha256(&proposal.targets);
    PostReview { digest, verdict: Verdict::Approve, comment: String::new() }
}

fn request_of(detail: &ReleaseDetail) -> String {
    path::signatures(detail.request.as_ref().unwrap().id)
}

/// The proposed metadata, changed.
fn changed(proposal: &ProposeRelease, change: impl FnOnce(&mut Targets)) -> ProposeRelease {
    let file = [&b"{\"signatures\":[],\"signed\":"[..], &proposal.targets, b"}"].concat();
    let mut targets = Signed::<Targets>::parse(&file).unwrap().signed().clone();
    change(&mut targets);
    let signed = Signed::new(targets).unwrap();
    ProposeRelease { targets: Base64(signed.signing_bytes().to_vec()), ..proposal.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_published_by_its_threshold_and_not_before() {
    let running = two_of_three().await;
    let mut admin = running.admin().await;
    let (_, mut author) = running.member("ann", &[Role::ReleaseManager]).await;
    let (_, mut reviewer) = running.member("rob", &[Role::ReleaseManager]).await;
    let proposal = running.proposal(&mut admin, "1.2.0", &Payload::of(1_000)).await;
    let id = proposal.id;
    let detail: ReleaseDetail = author.post(path::RELEASES, &proposal).await.ok();
    assert_eq!(
        (detail.row.state, detail.row.signatures, detail.row.threshold),
        (ReleaseState::Proposed, 0, 2)
    );

    let request = request_of(&detail);
    let own = author.post(&path::reviews(id), &approve(&proposal)).await;
    assert_eq!(own.code(), ErrorCode::OwnProposal, "an author does not approve their own");
    let detail: ReleaseDetail = reviewer.post(&path::reviews(id), &approve(&proposal)).await.ok();
    assert_eq!(detail.row.state, ReleaseState::Approved);
    assert_eq!(
        author.post(&path::publish(id), &()).await.code(),
        ErrorCode::ThresholdNotMet,
        "advice is no authority"
    );

    let signature = running.signature(0, &proposal.targets);
    let first: SignatureRequest = author.post(&request, &signature).await.ok();
    assert_eq!((first.state, first.signatures, first.threshold), (RequestState::Open, 1, 2));
    assert_eq!(first.signed_by[0].by.as_str(), "holder 0");
    let again = reviewer.post(&request, &signature).await;
    assert_eq!(again.code(), ErrorCode::AlreadySigned, "one key counts once");
    assert_eq!(author.post(&path::publish(id), &()).await.code(), ErrorCode::ThresholdNotMet);
    let mut forged = running.signature(1, &proposal.targets);
    forged.signature.0[0] ^= 1;
    assert_eq!(reviewer.post(&request, &forged).await.code(), ErrorCode::InvalidObject);
    let over_other_bytes = running.signature(1, b"something else");
    assert_eq!(reviewer.post(&request, &over_other_bytes).await.code(), ErrorCode::OtherContent);
    let unknown = protocol::operator::AddSignature { key_id: "00".repeat(32), ..signature };
    assert_eq!(reviewer.post(&request, &unknown).await.code(), ErrorCode::KeyNotListed);

    let second = running.signature(1, &proposal.targets);
    let second: SignatureRequest = reviewer.post(&request, &second).await.ok();
    assert_eq!((second.state, second.signatures), (RequestState::Complete, 2));
    let detail: ReleaseDetail = author.get(&path::release(id)).await.ok();
    assert_eq!((detail.row.state, detail.row.signatures), (ReleaseState::Signed, 2));
    assert!(!detail.row.no_separation_of_duties);
    for _ in 0..2 {
        let detail: ReleaseDetail = author.post(&path::publish(id), &()).await.ok();
        assert_eq!(detail.row.state, ReleaseState::Published);
    }
    assert_eq!(running.targets(&mut admin).await.targets.len(), 2);
    let list: Page<ReleaseRow> = admin.get(path::RELEASES).await.ok();
    assert_eq!(list.rows[0].author.as_str(), "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_says_what_it_changes_and_changes_nothing_else() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let first = running.release("1.0.0", 1_000).await;
    let good = running.proposal(&mut admin, "1.2.0", &Payload::of(1_000)).await;
    let name = good.artifacts[0].target.clone();
    let old = first.artifact.target.clone();
    let smuggled = "gw-200/main/evil.bin".parse().unwrap();
    let mut elsewhere = good.clone();
    elsewhere.artifacts[0].model = "GW-300".parse().unwrap();
    let cases = [
        (
            "a target more",
            changed(&good, |t| drop(t.targets.insert(smuggled, TargetFile::of(b"evil", None)))),
        ),
        ("a target less", changed(&good, |t| drop(t.targets.remove(&old)))),
        ("another length", changed(&good, |t| t.targets.get_mut(&name).unwrap().length += 1)),
        ("without the artifact", changed(&good, |t| drop(t.targets.remove(&name)))),
        ("a longer life", changed(&good, |t| t.expires = t.expires + Seconds::days(1))),
        ("for another model than it says", elsewhere),
        (
            "not canonical",
            ProposeRelease { targets: Base64([&good.targets[..], b" "].concat()), ..good.clone() },
        ),
        ("no metadata", ProposeRelease { targets: Base64(b"{}".to_vec()), ..good.clone() }),
    ];
    for (what, wrong) in cases {
        assert_eq!(admin.post(path::RELEASES, &wrong).await.code(), ErrorCode::InvalidMetadata, "{what}");
    }
    let late = changed(&good, |targets| targets.version += 1);
    assert_eq!(admin.post(path::RELEASES, &late).await.code(), ErrorCode::Conflict);
    let _: ReleaseDetail = admin.post(path::RELEASES, &good).await.ok();
    let (_, mut other) = running.member("bob", &[Role::ReleaseManager]).await;
    assert_eq!(other.post(path::RELEASES, &good).await.code(), ErrorCode::Conflict, "somebody else's id");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_asked_for_drop_the_signatures() {
    let running = two_of_three().await;
    let mut admin = running.admin().await;
    let (_, mut reviewer) = running.member("rob", &[Role::ReleaseManager]).await;
    let proposal = running.proposal(&mut admin, "1.2.0", &Payload::of(1_000)).await;
    let id = proposal.id;
    let detail: ReleaseDetail = admin.post(path::RELEASES, &proposal).await.ok();
    let request = request_of(&detail);
    let signature = running.signature(0, &proposal.targets);
    let _: SignatureRequest = admin.post(&request, &signature).await.ok();
    let mut changes =
        PostReview { verdict: Verdict::RequestChanges, comment: " ".to_owned(), ..approve(&proposal) };
    let wordless = reviewer.post(&path::reviews(id), &changes).await;
    assert_eq!(wordless.code(), ErrorCode::InvalidRequest);
    changes.comment = "the counter must rise".to_owned();
    let detail: ReleaseDetail = reviewer.post(&path::reviews(id), &changes).await.ok();
    assert_eq!((detail.row.state, detail.row.signatures), (ReleaseState::Draft, 0));
    assert_eq!(detail.reviews[0].comment, changes.comment);
    let late = running.signature(1, &proposal.targets);
    assert_eq!(admin.post(&request, &late).await.code(), ErrorCode::Conflict, "it was taken back");
    let again = ProposeRelease { notes: "Better.".to_owned(), ..proposal };
    let detail: ReleaseDetail = admin.post(path::RELEASES, &again).await.ok();
    assert_eq!((detail.row.state, detail.notes.as_str()), (ReleaseState::Proposed, "Better."));
    assert_eq!(detail.row.signatures, 0);
    let _: SignatureRequest = admin.post(&request_of(&detail), &signature).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_another_overtook_is_not_published() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let slow = running.proposal(&mut admin, "1.2.0", &Payload::of(1_000)).await;
    let detail: ReleaseDetail = admin.post(path::RELEASES, &slow).await.ok();
    let signature = running.signature(0, &slow.targets);
    let _: SignatureRequest = admin.post(&request_of(&detail), &signature).await.ok();
    running.release("1.3.0", 1_000).await;
    let overtaken = admin.post(&path::publish(slow.id), &()).await;
    assert_eq!(overtaken.code(), ErrorCode::Conflict);
    let targets = running.targets(&mut admin).await;
    assert!(!targets.targets.contains_key(&slow.artifacts[0].target));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_release_is_offered_no_more_and_leaves_the_metadata_by_its_threshold() {
    let running = two_of_three().await;
    let mut admin = running.admin().await;
    let released = running.release("1.2.0", 100_000).await;
    let mut device = running.enrol("A-1").await;
    let (_line, _push) = online(&running, &mut device).await;
    let rollout = running.roll_out(&released, &[&device], running.policy(&[1])).await;

    let mut targets = running.targets(&mut admin).await.next(running.now());
    let present = Signed::new(targets.clone()).unwrap();
    targets.targets.remove(&released.artifact.target);
    let signed = Signed::new(targets).unwrap();
    let keeps = WithdrawRelease { targets: Base64(present.signing_bytes().to_vec()), reason: String::new() };
    assert_eq!(admin.post(&path::withdraw(released.id), &keeps).await.code(), ErrorCode::InvalidMetadata);
    let request =
        WithdrawRelease { targets: Base64(signed.signing_bytes().to_vec()), reason: "it burns".to_owned() };
    let detail: ReleaseDetail = admin.post(&path::withdraw(released.id), &request).await.ok();
    assert_eq!((detail.row.state, detail.row.signatures), (ReleaseState::Withdrawn, 0));
    assert_eq!(detail.targets, request.targets, "this is what key holders sign now");
    reaches(&running, &mut admin, rollout, RolloutState::Paused).await;
    let audit: Page<AuditRow> = admin.get(path::AUDIT).await.ok();
    for (action, subject, reason) in [
        ("withdraw_release", released.id.to_string(), "it burns"),
        ("step_rollout", rollout.to_string(), "pause: the release was withdrawn"),
    ] {
        let named = |row: &AuditRow| row.action == action && row.subject == subject && row.reason == reason;
        assert!(audit.rows.iter().any(named), "{action} of {subject} because of `{reason}`: {audit:?}");
    }
    let resume = admin.post(&path::step(rollout), &RolloutStep::Resume).await;
    assert_eq!(resume.code(), ErrorCode::PreconditionFailed);
    assert_eq!(running.targets(&mut admin).await.targets.len(), 2, "not before it is signed");
    assert_eq!(admin.post(&path::publish(released.id), &()).await.code(), ErrorCode::ThresholdNotMet);
    for key in 0..2 {
        let signature = running.signature(key, &request.targets);
        let _: SignatureRequest = admin.post(&request_of(&detail), &signature).await.ok();
    }
    assert_eq!(running.targets(&mut admin).await.targets.len(), 1);
    let again: ReleaseDetail = admin.post(&path::withdraw(released.id), &request).await.ok();
    assert_eq!(again.row.state, ReleaseState::Withdrawn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_artifact_is_taken_only_as_it_was_signed() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let payload = Payload::of(2_500_000);
    let proposal = running.proposal(&mut admin, "1.2.0", &payload).await;
    let _: ReleaseDetail = admin.post(path::RELEASES, &proposal).await.ok();
    let trust = running.trust();
    let key = envelope::ContentKey::generate(&mut envelope::SystemRandom);
    let record = envelope::SealedArtifact::new(
        sha256(&payload.plaintext),
        payload.sealed.header.encode(),
        payload.sealed.segments.digest(),
        &key,
        &trust,
        running.now(),
    )
    .unwrap();
    let request = |ciphertext: &[u8], record: Vec<u8>| protocol::operator::UploadSealed {
        id: model::ArtifactId::random(&mut envelope::SystemRandom),
        record: Base64(record),
        ciphertext: sha256(ciphertext),
        segments: Base64(payload.sealed.segments.encode()),
    };
    let at = path::sealed(proposal.id);
    let good = record.sign(&running.fleet.seal_key).unwrap();
    let missing = admin.post(&at, &request(&payload.ciphertext, good.clone())).await;
    assert_eq!(missing.code(), ErrorCode::PreconditionFailed);

    let mut broken = payload.ciphertext.to_vec();
    broken[1_500_000] ^= 1;
    put(&mut admin, &broken, &broken, 0..broken.len()).await;
    let damaged = admin.post(&at, &request(&broken, good.clone())).await;
    assert_eq!(damaged.code(), ErrorCode::InvalidArtifact, "no device would take it");

    let half = payload.ciphertext.len() / 2;
    let upload = put(&mut admin, &payload.ciphertext, &payload.ciphertext[..half], 0..half).await;
    assert_eq!((upload.stored_bytes, upload.complete), (half as u64, false));
    let range = format!("bytes 0-9/{}", payload.ciphertext.len());
    let blob = path::blob(sha256(&payload.ciphertext));
    let elsewhere =
        admin.request(Method::PUT, &blob, &[("content-range", &range)], Bytes::from_static(&[0; 10])).await;
    assert_eq!(elsewhere.unwrap().code(), ErrorCode::Conflict);
    let whole = payload.ciphertext.len();
    let upload = put(&mut admin, &payload.ciphertext, &payload.ciphertext[half..], half..whole).await;
    assert!(upload.complete);

    let by_a_ticket_key = record.sign(&running.fleet.ticket_key).unwrap();
    let wrong = admin.post(&at, &request(&payload.ciphertext, by_a_ticket_key)).await;
    assert_eq!(wrong.code(), ErrorCode::InvalidObject);
    let detail: ReleaseDetail = admin.post(&at, &request(&payload.ciphertext, good)).await.ok();
    assert_eq!(detail.sealed.len(), 1);
}

/// Uploads a part of `whole`.
async fn put(
    client: &mut Client,
    whole: &[u8],
    part: &[u8],
    range: std::ops::Range<usize>,
) -> ArtifactUpload {
    let header = format!("bytes {}-{}/{}", range.start, range.end - 1, whole.len());
    let path = path::blob(sha256(whole));
    let body = Bytes::copy_from_slice(part);
    client.request(Method::PUT, &path, &[("content-range", &header)], body).await.unwrap().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_finds_no_room_says_so_raises_an_alarm_and_goes_on_once_there_is() {
    let little = |config: &mut Config| config.limits.ciphertext_bytes = Some(1_500_000);
    let mut running = Running::with(Fleet::of_one(FakeClock::START), little).await;
    let mut admin = running.admin().await;
    let (whole, step) = (Payload::of(2_900_000).ciphertext, 1_000_000);
    put(&mut admin, &whole, &whole[..step], 0..step).await;
    let range = format!("bytes {step}-{}/{}", 2 * step - 1, whole.len());
    let (blob, part) = (path::blob(sha256(&whole)), whole.slice(step..2 * step));
    let refused = admin.request(Method::PUT, &blob, &[("content-range", &range)], part).await.unwrap();
    assert_eq!((refused.code(), refused.status.as_u16()), (ErrorCode::StorageFull, 507));
    assert_eq!(alarmed(&mut admin, AlarmKind::Storage).await, 1);
    // Everything else goes on.
    let (_, mut reader) = running.member("rita", &[Role::Auditor]).await;
    reader.get(path::FLEET).await.done();

    running.restart().await;
    let mut admin = running.admin().await;
    let range = format!("bytes */{}", whole.len());
    let so_far = admin.request(Method::PUT, &blob, &[("content-range", &range)], Bytes::new()).await.unwrap();
    let so_far: ArtifactUpload = so_far.ok();
    assert_eq!((so_far.stored_bytes, so_far.complete), (step as u64, false), "what fitted is kept");
    let upload = put(&mut admin, &whole, &whole[step..], step..whole.len()).await;
    assert!(upload.complete);
    assert_eq!(alarmed(&mut admin, AlarmKind::Storage).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_not_what_it_was_announced_as_is_dropped() {
    let running = Running::start().await;
    let mut admin = running.admin().await;
    let blob = path::blob(sha256(b"announced"));
    let other = Bytes::from_static(b"different");
    let answer = admin.request(Method::PUT, &blob, &[("content-range", "bytes 0-8/9")], other).await.unwrap();
    assert_eq!(answer.code(), ErrorCode::InvalidArtifact);
    for wrong in ["", "bytes", "bytes 0-8", "bytes 9-8/9", "bytes 0-9/9", "lines 0-8/9", "bytes -/9"] {
        let answer = admin.request(Method::PUT, &blob, &[("content-range", wrong)], Bytes::new()).await;
        assert_eq!(answer.unwrap().code(), ErrorCode::InvalidRequest, "{wrong}");
    }
    let long = Bytes::from_static(b"announced and more");
    let answer = admin.request(Method::PUT, &blob, &[("content-range", "bytes 0-8/9")], long).await.unwrap();
    assert_eq!(answer.code(), ErrorCode::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_stands_in_the_audit_trail_also_what_failed() {
    let running = Running::start().await;
    running.release("1.2.0", 1_000).await;
    let mut admin = running.admin().await;
    let nobody = model::SpkiDigest::new([9; 32]);
    assert_eq!(admin.post(&path::revoke_person(nobody), &()).await.code(), ErrorCode::NotFound);
    let trail: Page<AuditRow> = admin.get(path::AUDIT).await.ok();
    let trail: Vec<_> = trail.rows.iter().map(|row| (row.actor.as_str(), row.action.as_str())).collect();
    assert_eq!(
        trail,
        [
            ("backend", "adopt"),
            ("admin", "propose_release"),
            ("admin", "sign_request"),
            ("admin", "publish_release"),
            ("admin", "upload_sealed"),
            ("admin", "revoke_person"),
            ("admin", "revoke_person_failed"),
        ]
    );
    let first: Page<AuditRow> = admin.get(&format!("{}?limit=2", path::AUDIT)).await.ok();
    let next: Page<AuditRow> =
        admin.get(&format!("{}?limit=2&after={}", path::AUDIT, first.next.unwrap())).await.ok();
    assert_eq!(next.rows[0].number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_before_the_rules_changed_or_too_long_ago_counts_no_more() {
    let running = Running::with(Fleet::found(4, 2, FakeClock::START), |_| {}).await;
    let mut admin = running.admin().await;
    let (_, mut reviewer) = running.member("rob", &[Role::ReleaseManager]).await;
    let proposal = running.proposal(&mut admin, "1.2.0", &Payload::of(1_000)).await;
    let detail: ReleaseDetail = admin.post(path::RELEASES, &proposal).await.ok();
    let request = request_of(&detail);
    let signature = |key| running.signature(key, &proposal.targets);

    let root = Signed::<Root>::parse(&running.adopted().root).unwrap().signed().clone();
    let mut next = root.next(running.now() + Seconds::days(365));
    let dismissed: KeyId = signature(3).key_id.parse().map(KeyId::from_digest).unwrap();
    next.remove_key(TufRole::Targets, &dismissed);
    let mut next = Signed::new(next).unwrap();
    next.sign(&running.fleet.root_key).unwrap();
    let metadata =
        PublishMetadata { roots: vec![Base64(next.raw().to_vec())], targets: None, trust_keys: None };
    admin.post(path::METADATA, &metadata).await.done();
    assert_eq!(admin.post(&request, &signature(0)).await.code(), ErrorCode::PolicyChanged);
    let verdict = reviewer.post(&path::reviews(proposal.id), &approve(&proposal)).await;
    assert_eq!(verdict.code(), ErrorCode::PolicyChanged);

    let detail: ReleaseDetail = admin.post(path::RELEASES, &proposal).await.ok();
    let request = request_of(&detail);
    assert_eq!(admin.post(&request, &signature(3)).await.code(), ErrorCode::KeyRevoked);
    let _: SignatureRequest = admin.post(&request, &signature(0)).await.ok();
    running.clock.advance(Seconds(Seconds::days(14).0 + 1));
    assert_eq!(admin.post(&request, &signature(1)).await.code(), ErrorCode::RequestExpired);
    let verdict = reviewer.post(&path::reviews(proposal.id), &approve(&proposal)).await;
    assert_eq!(verdict.code(), ErrorCode::RequestExpired);
    assert_eq!(admin.post(&path::publish(proposal.id), &()).await.code(), ErrorCode::RequestExpired);
}
