use std::{collections::HashMap, sync::Arc};

use axum::{Json as Reply, extract::State};
use envelope::{
    request::Proposed,
    sha256,
    tuf::{Role, Targets},
};
use model::{PersonName, ReleaseId, ReleaseState, RequestId, SpkiDigest, Version};
use protocol::{
    Base64, ErrorCode,
    operator::{
        Hint, NewRequest, Page, PostReview, ProposeRelease, Purpose, ReleaseArtifact, ReleaseDetail,
        ReleaseRow, Review, SealedArtifactRow, SignatureRequest, Verdict,
    },
};
use serde::{Deserialize, Serialize};
use store::{Comment, Release, ReleaseContent};

use super::{PageOf, audit::names, withdrawal};
use crate::{
    extract::{Caller, Json, Name},
    proposal,
    refusal::{Answer, Refusal},
    requests::{Request, id_of, name_of},
    roles::Operation,
    server::{Record, Server},
};

/// What a release's record holds beside the store's own fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) version: Version,
    pub(super) artifacts: Vec<ReleaseArtifact>,
    /// It took one signature alone when it was proposed: marked for good.
    #[serde(default)]
    no_separation_of_duties: bool,
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
    proposal::adds(&request.targets, &present(&server)?, request.id, &request.artifacts)?;
    let (id, now) = (request.id, server.now());
    let asked = NewRequest {
        id: request_of(id, &request.targets),
        purpose: Purpose::Release { release: id },
        payload: request.targets.clone(),
        trust_keys: None,
        reason: request.notes.clone(),
        expires_at: request.expires_at,
    };
    let asked = Request::new(&server, caller.spki, asked)?;
    let alone = threshold(&server) == 1;
    let content = Content {
        version: request.version.clone(),
        artifacts: request.artifacts,
        no_separation_of_duties: alone,
    };
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
    let earlier = match &known {
        Some(known) => self::request(&server, known).await?,
        None => None,
    };
    let is_open = earlier.is_some_and(|earlier| earlier.check_open(&server).is_ok());
    let reason = if alone { "no separation of duties" } else { "" };
    let entry = Record::of(caller.spki, Operation::ProposeRelease, &id).because(reason);
    let act = async {
        match &known {
            None => server.store.create_release(id, caller.spki, content, now).await?,
            // Asked again.
            Some(known) if known.targets == content.targets && is_open => {}
            // Proposed anew, on top of what is in force by now: what was said of it before is void.
            Some(known) => {
                close(&server, known).await?;
                server.store.step_release(id, ReleaseState::Draft, now).await?;
                server.store.amend_release(id, content, now).await?;
            }
        }
        if request.draft {
            return Ok(());
        }
        server.put_request(asked).await?;
        Ok(server.store.step_release(id, ReleaseState::Proposed, now).await?)
    };
    server.recorded(entry, act).await?;
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
    if request.digest != sha256(&release.targets) {
        let other = "The release is not what was reviewed any more.";
        return Err(Refusal::new(ErrorCode::OtherContent, other));
    }
    if approves && threshold(&server) > 1 && release.author == caller.spki {
        return Err(Refusal::new(ErrorCode::OwnProposal, "An author does not approve their own release."));
    }
    if !approves && request.comment.trim().is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Say what has to change."));
    }
    if approves && let Some(asked) = server.request(request_of(id, &release.targets)).await? {
        asked.check_open(&server)?;
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
        if moves && !approves {
            close(&server, &release).await?;
        }
        if moves { Ok(server.store.step_release(id, to, now).await?) } else { Ok(()) }
    };
    server.recorded(entry, act).await?;
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
            let asked = server.request(withdrawal::request_of(id)).await?;
            if asked.is_none_or(|asked| asked.published) {
                let gone = Refusal::new(ErrorCode::Conflict, "The release was withdrawn.");
                return Err(gone.hint("Propose what is in it as a release of its own."));
            }
            withdrawal::publish(&server, &caller, id).await?;
            return changed(&server, id).await;
        }
        ReleaseState::Signed | ReleaseState::Approved | ReleaseState::Proposed => {}
        ReleaseState::Draft => {
            return Err(Refusal::new(ErrorCode::Conflict, "A draft is not published."));
        }
    }
    let request = server.request(request_of(id, &release.targets)).await?;
    let request = request.ok_or_else(|| Refusal::new(ErrorCode::Conflict, "Nobody was asked to sign it."))?;
    let content = Content::of(&release)?;
    let targets = &server.trust().targets;
    // A crash between publishing and noting it must not stand in the way of noting it.
    let out_already = targets.targets_version() >= version(&release.targets)?
        && content.artifacts.iter().all(|artifact| {
            targets.target(&artifact.target).is_some_and(|target| *target.sha256() == artifact.digest)
        });
    if !out_already {
        request.check_open(&server)?;
    }
    let new = request.publication(&server)?;
    let reason = if content.no_separation_of_duties { "no separation of duties" } else { "" };
    let entry = Record::of(caller.spki, Operation::PublishRelease, &id).because(reason);
    server
        .recorded(entry, async {
            if !out_already {
                server.publish(new).await?;
            }
            let now = server.now();
            server.store.step_release(id, ReleaseState::Signed, now).await?;
            server.store.step_release(id, ReleaseState::Published, now).await?;
            server.request_published(request.id).await.map(drop)
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

/// The release as it stands now, after the screens were told.
pub(super) async fn changed(server: &Server, id: ReleaseId) -> Answer<Reply<ReleaseDetail>> {
    server.hint(Hint::Release { release: id });
    detail(server, id).await
}

/// The request for signatures over this proposal: other content is another request.
fn request_of(release: ReleaseId, targets: &[u8]) -> RequestId {
    id_of(&[b"release", release.as_bytes(), sha256(targets).as_bytes()])
}

/// The request that is open for a release as it stands, if there is one.
async fn request(server: &Server, release: &Release) -> Answer<Option<Request>> {
    if release.state == ReleaseState::Draft {
        return Ok(None);
    }
    if release.state == ReleaseState::Withdrawn
        && let Some(withdrawal) = server.request(withdrawal::request_of(release.id)).await?
    {
        return Ok(Some(withdrawal));
    }
    server.request(request_of(release.id, &release.targets)).await
}

async fn close(server: &Server, release: &Release) -> Answer<()> {
    let id = request_of(release.id, &release.targets);
    match server.request(id).await? {
        Some(_) => server.close_request(id).await.map(drop),
        None => Ok(()),
    }
}

fn version(targets: &[u8]) -> Answer<u64> {
    Ok(Proposed::parse(Role::Targets, targets)?.version())
}

fn threshold(server: &Server) -> u32 {
    server.trust().state.root().signed().roles.targets.threshold
}

async fn row(
    server: &Server,
    release: &Release,
    people: &HashMap<SpkiDigest, PersonName>,
) -> Answer<ReleaseRow> {
    let request = request(server, release).await?;
    let request = request.map(|request| request.row(server, people)).transpose()?;
    row_with(server, release, people, request.as_ref())
}

fn row_with(
    server: &Server,
    release: &Release,
    people: &HashMap<SpkiDigest, PersonName>,
    request: Option<&SignatureRequest>,
) -> Answer<ReleaseRow> {
    let content = Content::of(release)?;
    Ok(ReleaseRow {
        id: release.id,
        version: content.version,
        state: release.state,
        author: name_of(people, &release.author),
        author_spki: release.author,
        changed_at: release.changed_at,
        signatures: request.map_or(0, |request| request.signatures),
        threshold: request.map_or_else(|| threshold(server), |request| request.threshold),
        no_separation_of_duties: content.no_separation_of_duties,
    })
}

async fn detail(server: &Server, id: ReleaseId) -> Answer<Reply<ReleaseDetail>> {
    let release = known(server, id).await?;
    let people = names(server).await?;
    let request = request(server, &release).await?;
    let targets = request.as_ref().map_or_else(|| Base64(release.targets.clone()), |r| r.payload.clone());
    let request = request.map(|request| request.row(server, &people)).transpose()?;
    let row = row_with(server, &release, &people, request.as_ref())?;
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
    Ok(Reply(ReleaseDetail {
        row,
        notes: release.notes,
        artifacts: content.artifacts,
        targets_version: version(&targets)?,
        targets,
        signed_by: request.as_ref().map(|request| request.signed_by.clone()).unwrap_or_default(),
        request,
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

fn wire(state: ReleaseState) -> &'static str {
    state.as_str()
}
