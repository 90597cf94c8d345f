use std::{collections::HashMap, sync::Arc};

use axum::{Json as Reply, extract::State};
use envelope::tuf::Targets;
use model::{PersonName, ReleaseId, ReleaseState, SpkiDigest, Version};
use protocol::{
    Base64, ErrorCode,
    operator::{
        AddSignature, Hint, Page, PostReview, ProposeRelease, ReleaseArtifact, ReleaseDetail, ReleaseRow,
        Review, SealedArtifactRow, Signature, Verdict,
    },
};
use serde::{Deserialize, Serialize};
use store::{Comment, Release, ReleaseContent, ReleaseSignature};

use super::{PageOf, audit::names, withdrawal};
use crate::{
    extract::{Caller, Json, Name},
    metadata::Publication,
    proposal::{Proposal, Signatures},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// What a release's record holds beside the store's own fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) version: Version,
    pub(super) artifacts: Vec<ReleaseArtifact>,
}

impl Content {
    pub(super) fn of(release: &Release) -> Answer<Self> {
        serde_json::from_str(&release.detail)
            .map_err(|_| Refusal::new(ErrorCode::Internal, "The release's record cannot be read."))
    }
}

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<ReleaseRow>>> {
    let page = server.store.releases(None, request).await?;
    let people = names(&server).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for release in page.rows {
        rows.push(row(&server, &release, &people).await?);
    }
    Ok(Reply(Page { rows, next: page.next.map(|next| next.as_str().to_owned()) }))
}

pub(super) async fn show(
    State(server): State<Arc<Server>>,
    Name(id): Name<ReleaseId>,
) -> Answer<Reply<ReleaseDetail>> {
    detail(&server, id).await
}

pub(super) async fn propose(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<ProposeRelease>,
) -> Answer<Reply<ReleaseDetail>> {
    if request.artifacts.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "A release holds at least one artifact."));
    }
    let proposal = Proposal::parse(&request.targets)?;
    proposal.adds(&present(&server)?, request.id, &request.artifacts)?;
    let (id, now) = (request.id, server.now());
    let content = Content { version: request.version.clone(), artifacts: request.artifacts };
    let content = ReleaseContent {
        name: request.version.to_string(),
        notes: request.notes,
        targets: request.targets.0,
        artifacts: content.artifacts.iter().map(|artifact| artifact.digest).collect(),
        detail: serde_json::to_string(&content).expect("a structure of names and numbers"),
    };
    let known = server.store.release(id).await?;
    if known.as_ref().is_some_and(|known| known.author != caller.spki) {
        return Err(Refusal::new(ErrorCode::Conflict, "Somebody else's release has this id."));
    }
    let entry = Record::of(caller.spki, Operation::ProposeRelease, &id);
    let act = async {
        match known.map(|known| known.state) {
            None => server.store.create_release(id, caller.spki, content, now).await?,
            Some(ReleaseState::Draft) => server.store.amend_release(id, content, now).await?,
            // Asked again: the step below tells whether that is allowed.
            Some(_) => {}
        }
        server.store.step_release(id, ReleaseState::Proposed, now).await
    };
    server.audited(entry, act).await?;
    changed(&server, id).await
}

/// A verdict is advice: it moves a release to where reviewers look next, and authorises nothing.
pub(super) async fn review(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<ReleaseId>,
    Json(request): Json<PostReview>,
) -> Answer<Reply<ReleaseDetail>> {
    let release = known(&server, id).await?;
    let (approves, now) = (request.verdict == Verdict::Approve, server.now());
    let threshold = server.trust().state.root().signed().roles.targets.threshold;
    if approves && threshold > 1 && release.author == caller.spki {
        return Err(Refusal::new(ErrorCode::Forbidden, "An author does not approve their own release."));
    }
    if !approves && request.comment.trim().is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Say what has to change."));
    }
    let to = if approves { ReleaseState::Approved } else { ReleaseState::Draft };
    // Approving again, or what is signed already, is a comment like any other.
    let moves = match (release.state, approves) {
        (ReleaseState::Proposed, true) | (ReleaseState::Proposed | ReleaseState::Approved, false) => true,
        (ReleaseState::Approved | ReleaseState::Signed, true) => false,
        (state, _) => {
            let illegal = format!("A release that is {} is not reviewed.", wire(state));
            return Err(Refusal::new(ErrorCode::Conflict, illegal));
        }
    };
    let comment =
        Comment { by: caller.spki, at: now, verdict: Some(approves), text: request.comment.clone() };
    let entry = Record::of(caller.spki, Operation::ReviewRelease, &id).because(&request.comment);
    let act = async {
        server.store.comment_release(id, comment).await?;
        if moves { server.store.step_release(id, to, now).await } else { Ok(()) }
    };
    server.audited(entry, act).await?;
    changed(&server, id).await
}

pub(super) async fn sign(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<ReleaseId>,
    Json(request): Json<AddSignature>,
) -> Answer<Reply<ReleaseDetail>> {
    let release = known(&server, id).await?;
    if release.state == ReleaseState::Withdrawn {
        withdrawal::sign(&server, &caller, &release, &request).await?;
        return changed(&server, id).await;
    }
    let proposal = Proposal::parse(&release.targets)?;
    let trust = server.trust();
    proposal.verifies(trust.state.root().signed(), &request.key_id, &request.signature)?;
    let now = server.now();
    let signature = ReleaseSignature {
        key_id: request.key_id.clone(),
        signature: request.signature.0,
        by: caller.spki,
        at: now,
    };
    let entry = Record::of(caller.spki, Operation::SignRelease, &id).because(&request.key_id);
    server.audited(entry, server.store.sign_release(id, signature)).await?;
    let release = known(&server, id).await?;
    let open = matches!(release.state, ReleaseState::Proposed | ReleaseState::Approved);
    if open && signatures(&server, &release)?.suffice() {
        server.store.step_release(id, ReleaseState::Signed, now).await?;
    }
    changed(&server, id).await
}

pub(super) async fn publish(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<ReleaseId>,
) -> Answer<Reply<ReleaseDetail>> {
    let release = known(&server, id).await?;
    match release.state {
        ReleaseState::Published => return detail(&server, id).await,
        ReleaseState::Withdrawn => {
            withdrawal::publish(&server, &caller, id).await?;
            return changed(&server, id).await;
        }
        ReleaseState::Signed | ReleaseState::Approved | ReleaseState::Proposed => {}
        ReleaseState::Draft => {
            return Err(Refusal::new(ErrorCode::Conflict, "A draft is not published."));
        }
    }
    let signed = signatures(&server, &release)?;
    require_threshold(&signed)?;
    let content = Content::of(&release)?;
    let targets = &server.trust().targets;
    // A crash between publishing and noting it must not stand in the way of noting it.
    let out_already = targets.targets_version() >= Proposal::parse(&release.targets)?.version()
        && content.artifacts.iter().all(|artifact| {
            targets.target(&artifact.target).is_some_and(|target| *target.sha256() == artifact.digest)
        });
    let entry = Record::of(caller.spki, Operation::PublishRelease, &id);
    server
        .recorded(entry, async {
            if !out_already {
                let new = Publication { targets: Some(signed.raw), ..Publication::default() };
                server.publish(new).await?;
            }
            let now = server.now();
            server.store.step_release(id, ReleaseState::Signed, now).await?;
            Ok(server.store.step_release(id, ReleaseState::Published, now).await?)
        })
        .await?;
    tracing::info!(release_id = %id, "published a release");
    changed(&server, id).await
}

/// The targets in force, on which a proposal must follow.
pub(super) fn present(server: &Server) -> Answer<Targets> {
    let trust = server.trust();
    let targets = trust.state.targets().map(|file| file.signed().clone());
    targets.ok_or_else(|| Refusal::new(ErrorCode::Internal, "There is no targets metadata."))
}

pub(super) async fn known(server: &Server, id: ReleaseId) -> Answer<Release> {
    server.store.release(id).await?.ok_or_else(|| Refusal::not_found("release"))
}

pub(super) fn require_threshold(signed: &Signatures) -> Answer<()> {
    if signed.suffice() {
        return Ok(());
    }
    let missing = Refusal::new(ErrorCode::ThresholdNotMet, "Too few release keys have signed.");
    Err(missing.with(&format!("{} of {}", signed.have, signed.need)))
}

/// The release as it stands now, after the screens were told.
pub(super) async fn changed(server: &Server, id: ReleaseId) -> Answer<Reply<ReleaseDetail>> {
    server.hint(Hint::Release { release: id });
    detail(server, id).await
}

fn signatures(server: &Server, release: &Release) -> Answer<Signatures> {
    let proposal = Proposal::parse(&release.targets)?;
    let given = release.signatures.iter().map(|given| (given.key_id.as_str(), given.signature.as_slice()));
    Ok(proposal.signed_by(server.trust().state.root().signed(), given))
}

async fn row(
    server: &Server,
    release: &Release,
    people: &HashMap<SpkiDigest, PersonName>,
) -> Answer<ReleaseRow> {
    let signed = match withdrawal::of(server, release).await? {
        Some(withdrawal) => withdrawal.standing(server)?,
        None => signatures(server, release)?,
    };
    Ok(ReleaseRow {
        id: release.id,
        version: Content::of(release)?.version,
        state: release.state,
        author: name_of(people, &release.author),
        author_spki: release.author,
        changed_at: release.changed_at,
        signatures: signed.have,
        threshold: signed.need,
    })
}

async fn detail(server: &Server, id: ReleaseId) -> Answer<Reply<ReleaseDetail>> {
    let release = known(server, id).await?;
    let people = names(server).await?;
    let row = row(server, &release, &people).await?;
    let withdrawal = withdrawal::of(server, &release).await?;
    let content = Content::of(&release)?;
    let mut sealed = Vec::new();
    for digest in &release.artifacts {
        sealed.extend(server.store.sealed_of(*digest).await?.into_iter().map(|sealed| SealedArtifactRow {
            id: sealed.id,
            artifact: sealed.artifact,
            record: Base64(sealed.record),
            ciphertext: sealed.ciphertext,
            ciphertext_bytes: sealed.length_bytes,
        }));
    }
    let (targets, given) = match withdrawal {
        Some(withdrawal) => (withdrawal.targets.0, withdrawal.signatures),
        None => (release.targets, release.signatures.into_iter().map(Into::into).collect()),
    };
    let signed_by = given.into_iter().map(|given| Signature {
        key_id: given.key_id,
        by: name_of(&people, &given.by),
        signature: given.signature,
        at: given.at,
    });
    Ok(Reply(ReleaseDetail {
        row,
        notes: release.notes,
        artifacts: content.artifacts,
        targets_version: Proposal::parse(&targets)?.version(),
        targets: Base64(targets),
        signed_by: signed_by.collect(),
        reviews: release
            .comments
            .into_iter()
            .filter_map(|comment| {
                let verdict = if comment.verdict? { Verdict::Approve } else { Verdict::RequestChanges };
                Some(Review {
                    by: name_of(&people, &comment.by),
                    verdict,
                    comment: comment.text,
                    at: comment.at,
                })
            })
            .collect(),
        sealed,
    }))
}

fn name_of(people: &HashMap<SpkiDigest, PersonName>, spki: &SpkiDigest) -> PersonName {
    // Somebody who was removed is still known by their key.
    let unknown = || spki.to_string().parse().expect("64 hexadecimal digits are a name");
    people.get(spki).cloned().unwrap_or_else(unknown)
}

fn wire(state: ReleaseState) -> &'static str {
    state.as_str()
}
