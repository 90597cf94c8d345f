use std::sync::Arc;

use axum::{Json as Reply, extract::State, http::StatusCode};
use envelope::{KemPublicKey, Replace, sha256};
use model::{DeviceId, Role, StationName, TokenId};
use pki::{CaRole, Csr, DeviceCertificate, Usage};
use protocol::{
    Base64, ErrorCode,
    operator::{
        Enrolment, EnrolmentState as Wire, Hint, IssueCertificate, NewToken, RefuseEnrolment, Reservation,
        Reserve,
    },
};
use serde::{Deserialize, Serialize};
use store::{Basis, Certificate, EnrolmentState, PageRequest, Reserved, Token};

use crate::{
    extract::{Caller, Json, Name},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// What a token's record holds beside the store's own fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) station: StationName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) renews: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<DeviceId>,
}

impl Note {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a structure of names")
    }

    fn of(token: &Token) -> Answer<Self> {
        serde_json::from_slice(&token.note)
            .map_err(|_| Refusal::new(ErrorCode::Internal, "The token's record cannot be read."))
    }
}

pub(super) async fn announce(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Answer<StatusCode> {
    may_speak_for(&server, &caller, &new.station).await?;
    let now = server.now();
    if new.expires_at <= now {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "The token has lapsed already."));
    }
    let entry = Record::of(caller.spki, Operation::AnnounceToken, &new.token).because(new.serial.as_str());
    let token = Token {
        id: new.token,
        serial: new.serial.clone(),
        model: new.model,
        hardware_revision: new.hardware_revision,
        expires_at: new.expires_at,
        note: Note { station: new.station, renews: None, replaces: new.replaces }.to_bytes(),
        issued_by: caller.spki,
        issued_at: now,
    };
    server.audited(entry, server.store.put_tokens(vec![token])).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that waits for a vault: requests to decide about, and proofs to verify.
pub(super) async fn list(State(server): State<Arc<Server>>) -> Answer<Reply<Vec<Enrolment>>> {
    let mut waiting = Vec::new();
    for state in [EnrolmentState::Pending, EnrolmentState::Proven] {
        let page = server.store.enrolments(Some(state), PageRequest::first(PageRequest::MOST)).await?;
        waiting.extend(page.rows);
    }
    let mut rows = Vec::with_capacity(waiting.len());
    for enrolment in waiting {
        rows.push(row(&server, enrolment).await?);
    }
    Ok(Reply(rows))
}

pub(super) async fn reserve(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(token): Name<TokenId>,
    Json(request): Json<Reserve>,
) -> Answer<Reply<Reservation>> {
    let enrolment = known(&server, token).await?;
    let note = Note::of(&enrolment.token)?;
    may_speak_for(&server, &caller, &note.station).await?;
    let csr = Csr::parse(&enrolment.csr)?;
    let keys_agree = request.spki == enrolment.spki
        && request.kem_public.as_ref() == csr.kem_public()
        && request.kem_key == KemPublicKey(*csr.kem_public()).id();
    if !keys_agree {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "These are not the keys of the request."));
    }
    let serial = request.certificate_serial.as_ref().try_into();
    let certificate_serial =
        serial.map_err(|_| Refusal::new(ErrorCode::InvalidRequest, "A serial number has 16 octets."))?;
    let (basis, device) = match (note.renews, &request.replace) {
        (Some(device), None) => (Basis::Renew, device),
        (None, None) => (Basis::Enrol, request.device),
        (None, Some(replace)) => (replaced(&server, &enrolment, replace, &request).await?, request.device),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(ErrorCode::InvalidRequest, "A renewal replaces nothing."));
        }
    };
    let reservation = reservation(&enrolment, &note, &csr, basis, device, certificate_serial, server.now());
    let entry = Record::of(caller.spki, Operation::Reserve, &token).because(enrolment.token.serial.as_str());
    let [reserved] = &server.audited(entry, server.store.reserve(vec![reservation])).await?[..] else {
        return Err(Refusal::internal(&store::Error::NotFound { what: "outcome" }));
    };
    outcome(&server, reserved.clone(), device).map(Reply)
}

pub(super) async fn issue(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(token): Name<TokenId>,
    Json(request): Json<IssueCertificate>,
) -> Answer<StatusCode> {
    let enrolment = known(&server, token).await?;
    let note = Note::of(&enrolment.token)?;
    may_speak_for(&server, &caller, &note.station).await?;
    let certificate = checked(&server, &enrolment, &note, &request.certificate)?;
    let (device, now) = (certificate.device_id(), server.now());
    if let Some(renewed) = note.renews {
        if renewed != device {
            return Err(Refusal::new(ErrorCode::InvalidObject, "The certificate is another device's."));
        }
        // A renewal keeps its names and keys: there is nothing to decide between reserving and signing.
        let csr = Csr::parse(&enrolment.csr)?;
        let serial = *certificate.certificate().serial();
        let renewal = reservation(&enrolment, &note, &csr, Basis::Renew, device, serial, now);
        for reserved in server.store.reserve(vec![renewal]).await? {
            outcome(&server, reserved, device)?;
        }
    }
    let record = Certificate {
        device,
        serial: *certificate.certificate().serial(),
        der: request.certificate.0.clone(),
        sha256: sha256(&request.certificate),
        at: now,
    };
    let entry = Record::of(caller.spki, Operation::IssueCertificate, &device)
        .because(enrolment.token.serial.as_str());
    let act = async {
        server.store.certify(vec![record]).await?;
        server.store.issue_enrolment(token, device, request.sealed_certificate.0, now).await
    };
    server.audited(entry, act).await?;
    tracing::info!(device_id = %device, serial = %enrolment.token.serial, "issued a certificate");
    decided(&server, token);
    server.hint(Hint::Device { device });
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn refuse(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(token): Name<TokenId>,
    Json(request): Json<RefuseEnrolment>,
) -> Answer<StatusCode> {
    let enrolment = known(&server, token).await?;
    may_speak_for(&server, &caller, &Note::of(&enrolment.token)?.station).await?;
    let reason = serde_json::to_string(&request.error).expect("a structure of texts");
    let message = request.error.message;
    let entry = Record::of(caller.spki, Operation::RefuseEnrolment, &token).because(&message);
    let act = server.store.refuse_enrolment(token, reason, server.now());
    server.audited(entry, act).await?;
    decided(&server, token);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn proven(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(token): Name<TokenId>,
) -> Answer<StatusCode> {
    let enrolment = known(&server, token).await?;
    may_speak_for(&server, &caller, &Note::of(&enrolment.token)?.station).await?;
    let entry = Record::of(caller.spki, Operation::ConfirmProof, &token);
    server.audited(entry, server.store.confirm_enrolment(token, server.now())).await?;
    server.hint(Hint::Enrolment);
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the device that waits, and the screens.
fn decided(server: &Server, token: TokenId) {
    // Nobody may be waiting.
    let _ = server.decided.send(token);
    server.hint(Hint::Enrolment);
}

async fn known(server: &Server, token: TokenId) -> Answer<store::Enrolment> {
    server.store.enrolment(token).await?.ok_or_else(|| Refusal::not_found("enrolment"))
}

/// A station speaks for itself alone; an admin for all of them.
async fn may_speak_for(server: &Server, caller: &Caller, station: &StationName) -> Answer<()> {
    if caller.roles.contains(&Role::Admin) {
        return Ok(());
    }
    let own = server.store.person(caller.spki).await?.and_then(|person| person.station.clone());
    if own.as_ref() == Some(station) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, format!("You do not speak for the station {station}.")))
}

/// The basis of a reservation for new keys, given by a vault-signed replacement.
async fn replaced(
    server: &Server,
    enrolment: &store::Enrolment,
    replace: &[u8],
    request: &Reserve,
) -> Answer<Basis> {
    let replace = Replace::verify(replace, server.fleet().id, &server.trust().keys, server.now())?;
    let wrong =
        || Refusal::new(ErrorCode::InvalidObject, "The replacement is for another unit or other keys.");
    let old = server.store.device_by_serial(enrolment.token.serial.clone()).await?.ok_or_else(wrong)?;
    let holds = replace.device == old.id
        && replace.old == old.spki
        && replace.model == enrolment.token.model
        && replace.new.spki == request.spki
        && replace.new.kem == request.kem_key;
    if holds { Ok(Basis::Replace { old: old.id }) } else { Err(wrong()) }
}

fn reservation(
    enrolment: &store::Enrolment,
    note: &Note,
    csr: &Csr,
    basis: Basis,
    device: DeviceId,
    certificate_serial: [u8; 16],
    at: model::UnixTime,
) -> store::Reservation {
    let token = &enrolment.token;
    store::Reservation {
        basis,
        device,
        serial: token.serial.clone(),
        model: token.model.clone(),
        hardware_revision: token.hardware_revision.clone(),
        station: note.station.clone(),
        spki: enrolment.spki,
        kem: *csr.kem_public(),
        certificate_serial,
        at,
    }
}

fn outcome(server: &Server, reserved: Reserved, proposed: DeviceId) -> Answer<Reservation> {
    match reserved {
        Reserved::Granted => Ok(Reservation::Reserved { device: proposed }),
        Reserved::Known { device, certificate: Some(certificate), .. } => {
            Ok(Reservation::Known { device, certificate: Base64(certificate) })
        }
        Reserved::Known { device, .. } => Ok(Reservation::Reserved { device }),
        Reserved::KeySeen { device } => {
            server.hint(Hint::Alarm);
            let seen =
                Refusal::new(ErrorCode::KeySeen, "A key of this device was seen before, at another one.");
            Err(seen.with(&device))
        }
        Reserved::NeedsReplace { device } => {
            let taken = Refusal::new(ErrorCode::SerialTaken, "This serial number is known with other keys.");
            Err(taken.with(&device))
        }
        Reserved::NotActive => Err(Refusal::new(ErrorCode::Conflict, "The device is not active.")),
    }
}

/// A certificate that is for this very request, issued by the CA of its station.
fn checked(
    server: &Server,
    enrolment: &store::Enrolment,
    note: &Note,
    certificate: &[u8],
) -> Answer<DeviceCertificate> {
    let wrong = |what: &str| Refusal::new(ErrorCode::InvalidObject, what);
    let chain = server.fleet().verify(certificate, server.now(), Usage::Device)?;
    let parsed = DeviceCertificate::parse(certificate)?;
    let csr = Csr::parse(&enrolment.csr)?;
    if parsed.spki_digest() != enrolment.spki || parsed.kem_public() != csr.kem_public() {
        return Err(wrong("The certificate is over other keys than the request."));
    }
    if *parsed.serial() != enrolment.token.serial {
        return Err(wrong("The certificate is for another serial number than the token."));
    }
    let CaRole::Devices { domain } = chain.issuer().role() else {
        return Err(wrong("The certificate was not issued by a CA of devices."));
    };
    let station = note.station.as_str().to_ascii_lowercase();
    if domain.split('.').next().map(str::to_ascii_lowercase) != Some(station) {
        return Err(wrong("The certificate was issued by another station's CA."));
    }
    Ok(parsed)
}

async fn row(server: &Server, enrolment: store::Enrolment) -> Answer<Enrolment> {
    let note = Note::of(&enrolment.token)?;
    let certificates = server.store.certificates(enrolment.device.into_iter().collect()).await?;
    let token = enrolment.token;
    Ok(Enrolment {
        token: NewToken {
            token: token.id,
            serial: token.serial,
            model: token.model,
            hardware_revision: token.hardware_revision,
            station: note.station,
            expires_at: token.expires_at,
            replaces: note.replaces,
        },
        state: match enrolment.state {
            EnrolmentState::Pending => Wire::Pending,
            EnrolmentState::Issued | EnrolmentState::Proven => Wire::Issued,
            EnrolmentState::Confirmed => Wire::Proven,
            EnrolmentState::Refused => Wire::Refused,
        },
        csr: Some(Base64(enrolment.csr)),
        mac: if note.renews.is_some() { None } else { Some(Base64(enrolment.mac)) },
        renews: note.renews,
        certificate: certificates.into_iter().next().map(|(_, der)| Base64(der)),
        proof: enrolment.proof.map(Base64),
    })
}
