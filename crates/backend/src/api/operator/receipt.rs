use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use envelope::{PublicKey, Receipt, receipt::Outcome, sha256};
use pki::{DeviceCertificate, PersonCertificate};
use protocol::{
    ErrorCode,
    operator::{HandInReceipt, Hint},
};
use serde_json::json;
use store::{NewEvent, PageRequest, Timeline, VersionReport};

use crate::{
    extract::{Caller, Json},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// Takes what was done to a device on the service bench into its timeline, once. Only what the device
/// countersigned says what it runs from now on.
pub(super) async fn take(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<HandInReceipt>,
) -> Answer<StatusCode> {
    let raw = request.receipt.0;
    let person = server.store.person(caller.spki).await?.ok_or_else(|| Refusal::not_found("person"))?;
    let certificate = PersonCertificate::parse(&person.certificate)?;
    let key = PublicKey::P256(*certificate.certificate().key().sec1());
    let receipt = Receipt::verify(&raw, server.fleet().id, &key)?.into_inner();
    if receipt.technician != person.name {
        return Err(Refusal::new(ErrorCode::InvalidObject, "The receipt names another technician."));
    }
    let id = receipt.device;
    let device = server.store.device(id).await?.ok_or_else(|| Refusal::not_found("device"))?;
    let known = server.store.events(Timeline::Device(id), PageRequest::first(PageRequest::MOST)).await?;
    if known.rows.iter().any(|event| event.raw.as_deref() == Some(&raw)) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut certificates = server.store.certificates_of(id).await?.into_iter();
    let proven = certificates.any(|der| {
        DeviceCertificate::parse(&der).is_ok_and(|certificate| {
            let key = PublicKey::P256(*certificate.certificate().key().sec1());
            receipt.is_proven(&sha256(&der), &device.serial, &key)
        })
    });
    let now = server.now();
    let detail = json!({
        "outcome": receipt.outcome.as_str(),
        "code": receipt.code,
        "mode": receipt.mode.as_str(),
        "identity": if proven { "proven" } else { "not proven" },
        "technician": receipt.technician,
        "bench": receipt.bench,
        "component": receipt.component,
        "before": receipt.before,
        "after": receipt.version,
        "ticket": receipt.ticket,
        "began_at": receipt.began_at,
        "ended_at": receipt.ended_at,
    });
    let event = NewEvent {
        at: now,
        kind: "bench_visit".to_owned(),
        device: Some(id),
        rollout: None,
        deployment: None,
        detail: Some(detail.to_string()),
        raw: Some(raw),
    };
    let entry = Record::of(caller.spki, Operation::HandInReceipt, &id);
    server.audited(entry, server.store.append_events(vec![event])).await?;
    if proven && receipt.outcome == Outcome::Succeeded {
        let runs = VersionReport {
            device: id,
            component: receipt.component,
            version: receipt.version,
            confirmed: Some(receipt.security_counter),
            at: now,
        };
        server.store.record_versions(vec![runs]).await?;
    }
    tracing::info!(device_id = %id, outcome = receipt.outcome.as_str(), proven, "took a bench's receipt");
    server.hint(Hint::Device { device: id });
    Ok(StatusCode::NO_CONTENT)
}
