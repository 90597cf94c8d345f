//! Taking a published release back: at once here, and for devices as soon as the threshold signed the
//! metadata that no longer holds it.

use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use model::{ReleaseId, ReleaseState, RequestId, RolloutState};
use protocol::{
    ErrorCode,
    operator::{Hint, NewRequest, Purpose, ReleaseDetail, WithdrawRelease},
};
use store::{PageRequest, Pause, RolloutStep};

use super::release::{Content, changed, known, present};
use crate::{
    extract::{Caller, Json, Name},
    proposal,
    refusal::{Answer, Refusal},
    requests::{Request, id_of},
    roles::Operation,
    server::{Record, Server},
};

/// The request for the metadata without this release.
pub(super) fn request_of(release: ReleaseId) -> RequestId {
    id_of(&[b"withdrawal", release.as_bytes()])
}

pub(super) async fn withdraw(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<ReleaseId>,
    Json(request): Json<WithdrawRelease>,
) -> Answer<Reply<ReleaseDetail>> {
    let release = known(&server, id).await?;
    let earlier = server.request(request_of(id)).await?;
    // What the metadata in force says counts: a crash may have kept the store from learning of it.
    let now = present(&server)?;
    let was_out =
        now.targets.values().any(|file| file.custom.as_ref().is_some_and(|custom| custom.release == id));
    let entry = Record::of(caller.spki, Operation::WithdrawRelease, &id).because(&request.reason);
    if earlier.is_some_and(|earlier| earlier.published) {
        return changed(&server, id).await;
    }
    let asked = NewRequest {
        id: request_of(id),
        purpose: Purpose::Withdrawal { release: id },
        payload: request.targets,
        trust_keys: None,
        reason: request.reason.clone(),
        expires_at: None,
    };
    let asked = if was_out {
        proposal::removes(&asked.payload, &now, &Content::of(&release)?.artifacts)?;
        Some(Request::new(&server, caller.spki, asked)?)
    } else {
        None
    };
    server
        .recorded(entry, async {
            if let Some(asked) = asked {
                server.put_request(asked).await?;
            }
            Ok(server.store.step_release(id, ReleaseState::Withdrawn, server.now()).await?)
        })
        .await?;
    stop_rollouts(&server, &caller, id).await?;
    tracing::warn!(release_id = %id, "withdrew a release");
    changed(&server, id).await
}

/// Publishes the metadata without the release, once its threshold signed it.
pub(super) async fn publish(server: &Server, caller: &Caller, id: ReleaseId) -> Answer<()> {
    let never_out =
        || Refusal::new(ErrorCode::Conflict, "The release was withdrawn before it was published.");
    let request = server.request(request_of(id)).await?.ok_or_else(never_out)?;
    let entry = Record::of(caller.spki, Operation::PublishRelease, &id).because("without the release");
    server.put_into_force(&request, entry).await
}

/// Offers nothing more of a release that was withdrawn.
async fn stop_rollouts(server: &Server, caller: &Caller, id: ReleaseId) -> Answer<()> {
    let mut page = PageRequest::first(PageRequest::MOST);
    loop {
        let running = server.store.rollouts(Some(RolloutState::Running), page).await?;
        for rollout in running.rows.into_iter().filter(|rollout| rollout.release == id) {
            let pause = Pause::Person { by: caller.spki, reason: "the release was withdrawn".to_owned() };
            let step = server.store.step_rollout(rollout.id, RolloutStep::Pause(pause), server.now());
            let entry = Record::of(caller.spki, Operation::StepRollout, &rollout.id);
            server.audited(entry.because("pause: the release was withdrawn"), step).await?;
            server.hint(Hint::Rollout { rollout: rollout.id });
        }
        match running.next {
            Some(next) => page = PageRequest::after(next, PageRequest::MOST),
            None => return Ok(()),
        }
    }
}
