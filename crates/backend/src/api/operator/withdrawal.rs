//! Taking a published release back: at once here, and for devices as soon as the threshold signed the
//! metadata that no longer holds it.

use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use model::{ReleaseId, ReleaseState, RolloutState, SpkiDigest, UnixTime};
use protocol::{
    Base64, ErrorCode,
    operator::{AddSignature, Hint, ReleaseDetail, WithdrawRelease},
};
use serde::{Deserialize, Serialize};
use store::{Document, PageRequest, Pause, Release, ReleaseSignature, RolloutStep};

use super::release::{Content, changed, known, present, require_threshold};
use crate::{
    extract::{Caller, Json, Name},
    metadata::Publication,
    proposal::{Proposal, Signatures},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// The metadata without the release, on its way to its threshold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Withdrawal {
    pub(super) targets: Base64,
    pub(super) signatures: Vec<Given>,
    published: bool,
    revision: u64,
}

/// A signature that verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) key_id: String,
    pub(super) signature: Base64,
    pub(super) by: SpkiDigest,
    pub(super) at: UnixTime,
}

impl From<ReleaseSignature> for Given {
    fn from(given: ReleaseSignature) -> Self {
        Self { key_id: given.key_id, signature: Base64(given.signature), by: given.by, at: given.at }
    }
}

impl Withdrawal {
    pub(super) fn standing(&self, server: &Server) -> Answer<Signatures> {
        let given = self.signatures.iter().map(|given| (given.key_id.as_str(), &*given.signature));
        Ok(Proposal::parse(&self.targets)?.signed_by(server.trust().state.root().signed(), given))
    }

    async fn save(&mut self, server: &Server, release: ReleaseId) -> Answer<()> {
        self.revision += 1;
        let bytes = serde_json::to_vec(self).expect("a structure of texts and numbers");
        let document = Document { name: name(release), version: self.revision, bytes, at: server.now() };
        Ok(server.store.put_documents(vec![document]).await?)
    }
}

/// The withdrawal of this release, if it was withdrawn after it was published.
pub(super) async fn of(server: &Server, release: &Release) -> Answer<Option<Withdrawal>> {
    if release.state != ReleaseState::Withdrawn {
        return Ok(None);
    }
    stored(server, release.id).await
}

pub(super) async fn withdraw(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<ReleaseId>,
    Json(request): Json<WithdrawRelease>,
) -> Answer<Reply<ReleaseDetail>> {
    let release = known(&server, id).await?;
    let earlier = stored(&server, id).await?;
    let was_out = release.state == ReleaseState::Published || earlier.is_some();
    let entry = Record::of(caller.spki, Operation::WithdrawRelease, &id).because(&request.reason);
    if earlier.as_ref().is_some_and(|earlier| earlier.published) {
        return changed(&server, id).await;
    }
    if was_out {
        Proposal::parse(&request.targets)?.removes(&present(&server)?, &Content::of(&release)?.artifacts)?;
    }
    let revision = earlier.map_or(0, |earlier| earlier.revision);
    let mut withdrawal =
        Withdrawal { targets: request.targets, signatures: Vec::new(), published: false, revision };
    server
        .recorded(entry, async {
            if was_out {
                withdrawal.save(&server, id).await?;
            }
            Ok(server.store.step_release(id, ReleaseState::Withdrawn, server.now()).await?)
        })
        .await?;
    stop_rollouts(&server, &caller, id).await?;
    tracing::warn!(release_id = %id, "withdrew a release");
    changed(&server, id).await
}

/// Takes a signature over the metadata without the release; the last one that it takes publishes it.
pub(super) async fn sign(
    server: &Server,
    caller: &Caller,
    release: &Release,
    request: &AddSignature,
) -> Answer<()> {
    let mut withdrawal = stored(server, release.id).await?.ok_or_else(never_out)?;
    let root = server.trust();
    let proposal = Proposal::parse(&withdrawal.targets)?;
    proposal.verifies(root.state.root().signed(), &request.key_id, &request.signature)?;
    withdrawal.signatures.retain(|given| given.key_id != request.key_id);
    withdrawal.signatures.push(Given {
        key_id: request.key_id.clone(),
        signature: request.signature.clone(),
        by: caller.spki,
        at: server.now(),
    });
    let entry = Record::of(caller.spki, Operation::SignRelease, &release.id).because(&request.key_id);
    server.recorded(entry, withdrawal.save(server, release.id)).await?;
    if withdrawal.standing(server)?.suffice() {
        publish(server, caller, release.id).await?;
    }
    Ok(())
}

pub(super) async fn publish(server: &Server, caller: &Caller, id: ReleaseId) -> Answer<()> {
    let mut withdrawal = stored(server, id).await?.ok_or_else(never_out)?;
    if withdrawal.published {
        return Ok(());
    }
    let signed = withdrawal.standing(server)?;
    require_threshold(&signed)?;
    let entry = Record::of(caller.spki, Operation::PublishRelease, &id).because("without the release");
    server
        .recorded(entry, async {
            server.publish(Publication { targets: Some(signed.raw), ..Publication::default() }).await?;
            withdrawal.published = true;
            withdrawal.save(server, id).await
        })
        .await
}

/// Offers nothing more of a release that was withdrawn.
async fn stop_rollouts(server: &Server, caller: &Caller, id: ReleaseId) -> Answer<()> {
    let mut page = PageRequest::first(PageRequest::MOST);
    loop {
        let running = server.store.rollouts(Some(RolloutState::Running), page).await?;
        for rollout in running.rows.into_iter().filter(|rollout| rollout.release == id) {
            let pause = Pause::Person { by: caller.spki, reason: "the release was withdrawn".to_owned() };
            server.store.step_rollout(rollout.id, RolloutStep::Pause(pause), server.now()).await?;
            server.hint(Hint::Rollout { rollout: rollout.id });
        }
        match running.next {
            Some(next) => page = PageRequest::after(next, PageRequest::MOST),
            None => return Ok(()),
        }
    }
}

async fn stored(server: &Server, release: ReleaseId) -> Answer<Option<Withdrawal>> {
    let unreadable = |_| Refusal::new(ErrorCode::Internal, "The withdrawal's record cannot be read.");
    let document = server.store.document(name(release)).await?;
    document.map(|document| serde_json::from_slice(&document.bytes).map_err(unreadable)).transpose()
}

fn never_out() -> Refusal {
    Refusal::new(ErrorCode::Conflict, "The release was withdrawn before it was published.")
}

fn name(release: ReleaseId) -> String {
    format!("private/withdrawal/{release}")
}
