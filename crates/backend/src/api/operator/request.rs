//! Requests for signatures: listed, made, read as a file, signed, taken back.

use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use model::{ReleaseState, RequestId};
use protocol::{
    Base64, ErrorCode,
    operator::{AddSignature, Hint, NewRequest, Purpose, RequestFile, SignatureRequest},
};

use super::{audit::names, withdrawal};
use crate::{
    extract::{Caller, Json, Name},
    refusal::{Answer, Refusal},
    requests::{Request, name_of},
    roles::Operation,
    server::{Record, Server},
};

pub(super) async fn list(State(server): State<Arc<Server>>) -> Answer<Reply<Vec<SignatureRequest>>> {
    let people = names(&server).await?;
    let requests = server.requests().await?;
    Ok(Reply(requests.iter().map(|request| request.row(&server, &people)).collect::<Answer<_>>()?))
}

pub(super) async fn show(
    State(server): State<Arc<Server>>,
    Name(id): Name<RequestId>,
) -> Answer<Reply<RequestFile>> {
    let request = server.request(id).await?.ok_or_else(|| Refusal::not_found("request"))?;
    let people = names(&server).await?;
    let file = request.file(&server, name_of(&people, &request.author)).await?;
    Ok(Reply(RequestFile { request: request.row(&server, &people)?, file: Base64(file) }))
}

/// Trust keys and roots alone are asked for here; releases and withdrawals ask by themselves.
pub(super) async fn make(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<NewRequest>,
) -> Answer<Reply<SignatureRequest>> {
    if !matches!(request.purpose, Purpose::Trust | Purpose::Root) {
        let wrong = "Releases and withdrawals ask for their signatures by themselves.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, wrong));
    }
    let id = request.id;
    let known = server.request(id).await?;
    if known.is_some_and(|known| known.author != caller.spki || known.purpose != request.purpose) {
        return Err(Refusal::new(ErrorCode::Conflict, "Another request has this id."));
    }
    let reason = request.reason.clone();
    let request = Request::new(&server, caller.spki, request)?;
    let entry = Record::of(caller.spki, Operation::MakeRequest, &id).because(&reason);
    server.recorded(entry, server.put_request(request)).await?;
    told(&server, id).await
}

/// Takes a signature. The last one that it takes puts into force what was asked for, but for a release:
/// somebody publishes that.
pub(super) async fn sign(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<RequestId>,
    Json(signature): Json<AddSignature>,
) -> Answer<Reply<SignatureRequest>> {
    let asked = server.request(id).await?.ok_or_else(|| Refusal::not_found("request"))?;
    let subject = match asked.purpose {
        Purpose::Release { release } | Purpose::Withdrawal { release } => release.to_string(),
        Purpose::Trust | Purpose::Root => id.to_string(),
    };
    let alone = asked.proposed(&server)?.no_separation_of_duties(server.trust().state.root().signed());
    let alone = if alone { "; no separation of duties" } else { "" };
    let reason = format!("{}{alone}", signature.key_id);
    let entry = Record::of(caller.spki, Operation::SignRequest, &subject).because(&reason);
    let request = server.recorded(entry, server.sign_request(id, caller.spki, &signature)).await?;
    if request.is_complete(&server)? {
        complete(&server, &caller, &request).await.map_err(unpublished)?;
    }
    told(&server, id).await
}

/// Puts into force what enough have signed, where the last signature could not.
pub(super) async fn publish(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<RequestId>,
) -> Answer<Reply<SignatureRequest>> {
    let request = server.request(id).await?.ok_or_else(|| Refusal::not_found("request"))?;
    if matches!(request.purpose, Purpose::Release { .. }) {
        let wrong = "A release is published as a release.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, wrong));
    }
    complete(&server, &caller, &request).await?;
    told(&server, id).await
}

pub(super) async fn close(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<RequestId>,
) -> Answer<Reply<SignatureRequest>> {
    let entry = Record::of(caller.spki, Operation::CloseRequest, &id);
    server.recorded(entry, server.close_request(id)).await?;
    told(&server, id).await
}

async fn complete(server: &Arc<Server>, caller: &Caller, request: &Request) -> Answer<()> {
    match request.purpose {
        Purpose::Release { release } => {
            let known = server.store.release(release).await?.map(|release| release.state);
            if matches!(known, Some(ReleaseState::Proposed | ReleaseState::Approved)) {
                server.store.step_release(release, ReleaseState::Signed, server.now()).await?;
            }
            server.hint(Hint::Release { release });
        }
        Purpose::Withdrawal { release } => {
            withdrawal::publish(server, caller, release).await?;
            server.hint(Hint::Release { release });
        }
        Purpose::Trust | Purpose::Root => {
            let entry = Record::of(caller.spki, Operation::PublishMetadata, &request.id);
            server.put_into_force(request, entry).await?;
        }
    }
    Ok(())
}

/// Why what was signed is not in force, told to whoever gave the last signature.
fn unpublished(mut refusal: Refusal) -> Refusal {
    let mut hint = refusal.0.hint.take().unwrap_or_default();
    hint.push_str(
        " The signature counts. Once the cause is gone, `fleetseal request publish` goes on from here.",
    );
    refusal.hint(hint.trim_start())
}

async fn told(server: &Server, id: RequestId) -> Answer<Reply<SignatureRequest>> {
    let request = server.request(id).await?.ok_or_else(|| Refusal::not_found("request"))?;
    Ok(Reply(request.row(server, &names(server).await?)?))
}
