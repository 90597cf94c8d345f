use std::sync::Arc;

use axum::{Json as Reply, extract::State};
use envelope::{PublicKey, Report, Verified};
use model::{DeviceId, UnixTime};
use protocol::{
    Base64, ErrorBody, ErrorCode,
    device::{ReportsRequest, ReportsResponse},
    operator::Hint,
};
use serde_json::json;
use store::{NewEvent, Reported};

use crate::{
    extract::{Device, Json, Peer},
    refusal::{Answer, Refusal},
    server::Server,
};

/// Reports in one request, at most.
const REPORTS_MOST: usize = 100;

pub(super) async fn report(
    State(server): State<Arc<Server>>,
    Device(identity): Device,
    peer: Peer,
    Json(request): Json<ReportsRequest>,
) -> Answer<Reply<ReportsResponse>> {
    if request.reports.len() > REPORTS_MOST {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "At most 100 reports are taken at once."));
    }
    let key = PublicKey::P256(*pki::Certificate::parse(&peer.identity.certificate)?.key().sec1());
    let now = server.now();
    let mut refused = vec![None; request.reports.len()];
    let (mut places, mut reports, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (place, raw) in request.reports.into_iter().enumerate() {
        match Report::verify(&raw, identity.device, &key) {
            Err(error) => refused[place] = Some(*Refusal::from(error).0),
            Ok(report) if report.deployment.is_none() => events.push(event(report, raw, now)),
            Ok(report) => {
                places.push(place);
                reports.extend(of_deployment(report, raw, now));
            }
        }
    }
    if !events.is_empty() {
        server.store.append_events(events).await?;
        server.hint(Hint::Device { device: identity.device });
    }
    if !reports.is_empty() {
        let deployments: Vec<_> = reports.iter().map(|report| report.deployment).collect();
        let outcomes = server.store.report(reports).await?;
        for ((place, deployment), outcome) in places.into_iter().zip(deployments).zip(outcomes) {
            refused[place] = took(&server, identity.device, deployment, outcome);
        }
    }
    Ok(Reply(ReportsResponse { refused }))
}

/// What follows from a report, and why it was refused if it was.
fn took(
    server: &Server,
    device: DeviceId,
    deployment: model::DeploymentId,
    outcome: Reported,
) -> Option<ErrorBody> {
    match outcome {
        Reported::Changed { from, to } => {
            if to >= model::DeploymentState::Downloaded {
                server.downloads.end(deployment);
                server.memory().consumed.remove(&deployment);
            }
            tracing::info!(
                device_id = %device,
                deployment_id = %deployment,
                from = from.as_str(),
                to = to.as_str(),
                "a deployment moved"
            );
            server.hint(Hint::Device { device });
            server.wake.notify_one();
            None
        }
        Reported::Unchanged { .. } => None,
        Reported::Refused { state } => Some(ErrorBody::new(
            ErrorCode::Conflict,
            format!("The deployment is {} and cannot go there.", state.as_str()),
        )),
        Reported::Unknown => Some(ErrorBody::new(ErrorCode::NotFound, "This device has no such deployment.")),
    }
}

fn of_deployment(report: Verified<Report>, raw: Base64, at: UnixTime) -> Option<store::Report> {
    let detail = detail(&report);
    let report = report.into_inner();
    Some(store::Report {
        deployment: report.deployment?,
        device: report.device,
        state: report.state,
        at,
        code: report.code,
        detail,
        raw: raw.0,
        bytes: Some(report.bytes),
    })
}

/// A report that is about the device itself.
fn event(report: Verified<Report>, raw: Base64, at: UnixTime) -> NewEvent {
    let detail = detail(&report);
    let report = report.into_inner();
    NewEvent {
        at,
        kind: report.code.unwrap_or_else(|| "reported".to_owned()),
        device: Some(report.device),
        rollout: None,
        deployment: None,
        detail,
        raw: Some(raw.0),
    }
}

fn detail(report: &Report) -> Option<String> {
    let detail = json!({
        "detail": report.detail,
        "ticket": report.ticket,
        "before": report.before,
        "after": report.after,
        "stored_seq": report.stored_seq,
        "counter": report.counter,
        "device_time": report.at,
    });
    let known = detail.as_object()?.iter().filter(|(_, value)| !value.is_null());
    let known: serde_json::Map<_, _> = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    Some(serde_json::Value::Object(known).to_string())
}
