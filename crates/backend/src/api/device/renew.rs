use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use envelope::sha256;
use model::{Seconds, TokenId};
use protocol::{
    ErrorCode,
    device::{EnrolStatus, RenewRequest},
};
use store::{EnrolmentRequest, Token};

use super::enrol::{checked_csr, submit};
use crate::{
    api::operator::enrolment::Note,
    extract::{Device, Json, Peer},
    refusal::{Answer, Refusal},
    server::Server,
};

/// How long a renewal may wait for a vault.
const TOKEN_LIFE: Seconds = Seconds::days(90);

/// A fresh certificate over the keys that the device has: proven by the key that it connects with, not
/// by a token. For the record it has a token all the same, which follows from the certificate that is
/// to be renewed, so that asking again finds the same renewal.
pub(super) async fn renew(
    State(server): State<Arc<Server>>,
    Device(identity): Device,
    peer: Peer,
    Json(request): Json<RenewRequest>,
) -> Answer<Reply<EnrolStatus>> {
    let csr = checked_csr(&request.csr, peer.identity.spki)?;
    let device = server.store.device(identity.device).await?;
    let device =
        device.ok_or_else(|| Refusal::new(ErrorCode::DeviceUnrecognized, "The device is not known."))?;
    if *csr.kem_public() != device.kem {
        return Err(Refusal::new(ErrorCode::InvalidCsr, "A renewal keeps both keys."));
    }
    let now = server.now();
    let id = renewal_token(&identity.device, &peer);
    if server.store.token(id).await?.is_none() {
        let note = Note { station: device.station, renews: Some(device.id), replaces: None };
        let token = Token {
            id,
            serial: device.serial,
            model: device.model,
            hardware_revision: device.hardware_revision,
            expires_at: now + TOKEN_LIFE,
            note: note.to_bytes(),
            issued_by: identity.spki,
            issued_at: now,
        };
        match server.store.put_tokens(vec![token]).await {
            // Another request of the device was faster: the token is there.
            Ok(()) | Err(store::Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let renewal =
        EnrolmentRequest { token: id, spki: identity.spki, csr: request.csr.0, mac: Vec::new(), at: now };
    submit(&server, renewal, request.wait).await.map(Reply)
}

fn renewal_token(device: &model::DeviceId, peer: &Peer) -> TokenId {
    let certificate = peer.identity.certificate_sha256;
    let bytes = [&b"fleetseal-renewal/1"[..], device.as_bytes(), certificate.as_bytes()].concat();
    let digest = sha256(&bytes);
    let (head, _) = digest.as_bytes().split_at(TokenId::LEN);
    TokenId::new(head.try_into().expect("split at the length of an id"))
}
