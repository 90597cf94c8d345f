use std::{sync::Arc, time::Duration};

use axum::{Json as Reply, extract::State, http::StatusCode};
use model::{Seconds, SpkiDigest, TokenId};
use pki::Csr;
use protocol::{
    Base64, ErrorBody, ErrorCode,
    device::{EnrolRequest, EnrolStatus, ProofRequest},
    operator::Hint,
};
use store::{Enrolment, EnrolmentRequest, EnrolmentState, Requested};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    extract::{Json, Peer},
    refusal::{Answer, Refusal},
    server::Server,
};

/// The longest that an answer is held back.
const WAIT_MOST: Seconds = Seconds(30);
/// When a device asks again that was told to wait.
const RETRY_AFTER: Seconds = Seconds(5);
/// The longest proof that is taken, in bytes.
const PROOF_MOST: usize = 1_024;

pub(super) async fn enrol(
    State(server): State<Arc<Server>>,
    peer: Peer,
    Json(request): Json<EnrolRequest>,
) -> Answer<Reply<EnrolStatus>> {
    let csr = checked_csr(&request.csr, peer.identity.spki)?;
    if request.mac.len() != 32 {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "A MAC has 32 bytes."));
    }
    let token = server.store.token(request.token).await?.ok_or_else(token_refused)?.token;
    if csr.serial().is_some_and(|serial| *serial != token.serial) {
        return Err(token_refused());
    }
    let request_in = EnrolmentRequest {
        token: token.id,
        spki: peer.identity.spki,
        csr: request.csr.0,
        mac: request.mac.0,
        at: server.now(),
    };
    submit(&server, request_in, request.wait).await.map(Reply)
}

/// The challenge, signed. Which challenge it was, the vault alone knows: it checks the proof.
pub(super) async fn prove(
    State(server): State<Arc<Server>>,
    peer: Peer,
    Json(request): Json<ProofRequest>,
) -> Answer<StatusCode> {
    if request.proof.len() > PROOF_MOST {
        return Err(Refusal::new(ErrorCode::TooLarge, "No proof is as long."));
    }
    let enrolment = server.store.enrolment(request.token).await?.ok_or_else(token_refused)?;
    if enrolment.spki != peer.identity.spki {
        return Err(token_refused());
    }
    server.store.prove_enrolment(request.token, request.proof.0, server.now()).await?;
    server.hint(Hint::Enrolment);
    Ok(StatusCode::NO_CONTENT)
}

/// A CSR that keeps the policy and is over the key that this connection was made with.
pub(super) fn checked_csr(csr: &Base64, spki: SpkiDigest) -> Answer<Csr> {
    let csr = Csr::parse(csr)?;
    if csr.spki_digest() != spki {
        let wrong = "The request is over another key than the connection.";
        return Err(Refusal::new(ErrorCode::InvalidCsr, wrong));
    }
    Ok(csr)
}

/// Takes a request on record and waits, as long as the device asked for, until a vault decides.
pub(super) async fn submit(
    server: &Arc<Server>,
    request: EnrolmentRequest,
    wait: Seconds,
) -> Answer<EnrolStatus> {
    let token = request.token;
    // Listens before it looks, so that no decision falls between.
    let mut decided = server.decided.subscribe();
    let at = request.at;
    let enrolment = match server.store.request_enrolment(request).await? {
        Requested::Taken(enrolment) => *enrolment,
        Requested::OtherKey => {
            server.hint(Hint::Alarm);
            return Err(token_refused());
        }
        Requested::NoToken => return Err(token_refused()),
    };
    if enrolment.received_at == at {
        tracing::info!(%token, serial = %enrolment.token.serial, "a device asks to be enrolled");
        server.hint(Hint::Enrolment);
    }
    let status = status(&enrolment);
    if !matches!(status, EnrolStatus::Pending { .. }) || wait.0 == 0 {
        return Ok(status);
    }
    let decision = async {
        loop {
            match decided.recv().await {
                Ok(other) if other != token => {}
                // After a lag this one may have been among those that were missed.
                Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            }
        }
    };
    let most = Duration::from_secs(wait.0.min(WAIT_MOST.0));
    tokio::select! {
        () = decision => look(server, token).await,
        () = tokio::time::sleep(most) => Ok(status),
        () = server.closing.cancelled() => Ok(status),
    }
}

async fn look(server: &Server, token: TokenId) -> Answer<EnrolStatus> {
    let enrolment = server.store.enrolment(token).await?.ok_or_else(token_refused)?;
    Ok(status(&enrolment))
}

fn status(enrolment: &Enrolment) -> EnrolStatus {
    match (enrolment.state, &enrolment.sealed_certificate) {
        (EnrolmentState::Issued | EnrolmentState::Proven | EnrolmentState::Confirmed, Some(sealed)) => {
            EnrolStatus::Issued { sealed_certificate: Base64(sealed.clone()) }
        }
        (EnrolmentState::Refused, _) => EnrolStatus::Refused { error: refusal(enrolment) },
        (
            EnrolmentState::Pending
            | EnrolmentState::Issued
            | EnrolmentState::Proven
            | EnrolmentState::Confirmed,
            _,
        ) => EnrolStatus::Pending { retry_after: RETRY_AFTER },
    }
}

/// Why a vault refused, in its own words.
fn refusal(enrolment: &Enrolment) -> ErrorBody {
    let reason = enrolment.refusal.as_deref().unwrap_or_default();
    serde_json::from_str(reason).unwrap_or_else(|_| ErrorBody::new(ErrorCode::TokenRefused, reason))
}

/// One answer for all that can be wrong with a token.
fn token_refused() -> Refusal {
    Refusal::new(ErrorCode::TokenRefused, "This token is not, or no longer, valid for this device.")
}
