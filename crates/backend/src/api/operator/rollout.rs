use std::{collections::HashMap, sync::Arc};

use axum::{Json as Reply, extract::State};
use envelope::{Action, Label};
use model::{
    ArtifactId, DeploymentId, DeploymentState, DeviceId, ReleaseState, RolloutId, TargetName, UnixTime,
    planner::Counts,
};
use protocol::{
    Base64, ErrorCode, FieldError,
    operator::{
        AddDeployments, AddedDeployments, DeploymentRow, Excluded, Hint, NewDeployment, NewRollout, Page,
        PhaseRow, RolloutDetail, RolloutRow, RolloutStep, SignedDeployment,
    },
};
use serde::{Deserialize, Serialize};
use store::{DeploymentFilter, Exclusion, PageRequest, Pause, Rollout, Ticket, TicketAction, TicketTaken};

use super::{
    PageOf, page,
    release::{Content, known as known_release},
};
use crate::{
    extract::{Caller, Json, Name, Params},
    refusal::{Answer, Refusal},
    roles::Operation,
    server::{Record, Server},
};

/// Deployments that are added at once, at most.
const ADDED_MOST: usize = 1_000;
/// Deployments that are canceled in one go.
const CANCELED_AT_ONCE: u32 = 1_000;

/// What a rollout's record holds beside the store's own fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    target: TargetName,
    artifact: ArtifactId,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    state: Option<DeploymentState>,
    #[serde(default)]
    device: Option<DeviceId>,
    #[serde(default)]
    code: Option<String>,
}

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<RolloutRow>>> {
    let found = server.store.rollouts(None, request).await?;
    let rows = found.rows.iter().map(row).collect::<Answer<Vec<_>>>()?;
    Ok(Reply(Page { rows, next: found.next.map(|next| next.as_str().to_owned()) }))
}

pub(super) async fn show(
    State(server): State<Arc<Server>>,
    Name(id): Name<RolloutId>,
) -> Answer<Reply<RolloutDetail>> {
    detail(&server, id).await
}

pub(super) async fn plan(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Json(request): Json<NewRollout>,
) -> Answer<Reply<RolloutDetail>> {
    let id = request.id;
    if let Err(error) = request.policy.check() {
        let mut refusal = Refusal::new(ErrorCode::InvalidPolicy, "No rollout can follow this policy.");
        refusal.0.fields.push(FieldError { field: "policy".into(), message: error.to_string() });
        return Err(refusal.with(&error));
    }
    if request.not_before.len() != request.policy.phases.len() {
        return Err(Refusal::new(
            ErrorCode::InvalidPolicy,
            "There must be one earliest time for each phase.",
        ));
    }
    let release = known_release(&server, request.release).await?;
    if release.state != ReleaseState::Published {
        return Err(Refusal::new(ErrorCode::PreconditionFailed, "The release is not published."));
    }
    let content = Content::of(&release)?;
    let artifact = content.artifacts.iter().find(|artifact| artifact.target == request.target);
    let sealed = server.store.sealed(request.artifact).await?;
    let fits = artifact.zip(sealed.as_ref()).is_some_and(|(artifact, sealed)| {
        artifact.digest == sealed.artifact && artifact.component == request.component
    });
    if !fits {
        let wrong = "The release has no such artifact, sealed so, for this component.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, wrong));
    }
    let plan = Plan { target: request.target, artifact: request.artifact };
    let new = store::NewRollout {
        id,
        release: request.release,
        component: request.component,
        name: release.name,
        policy: request.policy,
        not_before: request.not_before,
        detail: serde_json::to_string(&plan).expect("a structure of ids and names"),
        created_by: caller.spki,
        at: server.now(),
    };
    let entry = Record::of(caller.spki, Operation::PlanRollout, &id);
    server.audited(entry, server.store.create_rollout(new)).await?;
    changed(&server, id).await
}

pub(super) async fn deployments(
    State(server): State<Arc<Server>>,
    Name(id): Name<RolloutId>,
    Params(filter): Params<Filter>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<DeploymentRow>>> {
    let rollout = known(&server, id).await?;
    let plan = plan_of(&rollout)?;
    let total_bytes = server.store.sealed(plan.artifact).await?.map_or(0, |sealed| sealed.length_bytes);
    let filter = DeploymentFilter {
        rollout: Some(id),
        state: filter.state,
        device: filter.device,
        code: filter.code,
        ..DeploymentFilter::default()
    };
    let found = server.store.deployments(filter, request).await?;
    Ok(Reply(page(found, |row| DeploymentRow {
        id: row.deployment.id,
        rollout: row.deployment.rollout,
        device: row.deployment.device,
        serial: row.serial,
        phase: row.deployment.phase,
        state: row.deployment.state,
        attempts: row.deployment.attempts,
        code: row.code,
        served_bytes: row.bytes,
        total_bytes,
        changed_at: row.deployment.changed_at,
    })))
}

/// What a desktop signs anew from.
pub(super) async fn signed(
    State(server): State<Arc<Server>>,
    Name(id): Name<RolloutId>,
    PageOf(request): PageOf,
) -> Answer<Reply<Page<SignedDeployment>>> {
    known(&server, id).await?;
    let filter = DeploymentFilter { rollout: Some(id), ..DeploymentFilter::default() };
    let found = server.store.deployments(filter, request).await?;
    Ok(Reply(page(found, |row| SignedDeployment {
        device: row.deployment.device,
        phase: row.deployment.phase,
        state: row.deployment.state,
        label: row.installs.map(Base64),
    })))
}

/// Adds devices with their tickets, or renews the tickets of devices that are part of the rollout.
pub(super) async fn add(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<RolloutId>,
    Json(request): Json<AddDeployments>,
) -> Answer<Reply<AddedDeployments>> {
    if request.deployments.len() > ADDED_MOST {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "At most 1,000 deployments are added at once."));
    }
    let rollout = known(&server, id).await?;
    let artifact = plan_of(&rollout)?.artifact;
    let mut added = AddedDeployments::default();
    let mut tickets = HashMap::new();
    let mut new = Vec::new();
    for deployment in request.deployments {
        let Some(ticket) = checked(&server, &rollout, &deployment).await? else {
            added.excluded.push(Excluded::NotActive { device: deployment.device });
            continue;
        };
        let NewDeployment { id, device, phase, .. } = deployment;
        tickets.insert(device, ticket.clone());
        new.push(store::NewDeployment { id, device, phase, artifact, ticket: Some(ticket) });
    }
    let count = new.len();
    let entry = Record::of(caller.spki, Operation::AddDeployments, &id);
    let reason = format!("{count} tickets");
    let now = server.now();
    let act = server.store.add_deployments(id, new, false, now);
    let excluded = server.audited(entry.because(&reason), act).await?;
    added.added = u32::try_from(count - excluded.len()).unwrap_or(u32::MAX);
    let mut renewed = Vec::new();
    for (device, exclusion) in excluded {
        match exclusion {
            Exclusion::Held { by } if by == id => {
                renewed.extend(open_deployment(&server, id, device).await?.zip(tickets.remove(&device)));
            }
            Exclusion::Held { by } => added.excluded.push(Excluded::InOtherRollout { device, rollout: by }),
            Exclusion::NotActive => added.excluded.push(Excluded::NotActive { device }),
        }
    }
    let ids: Vec<_> = renewed.iter().map(|(deployment, _)| *deployment).collect();
    let taken = server.store.put_tickets(renewed, now).await?;
    let taken: Vec<_> = ids
        .into_iter()
        .zip(taken)
        .filter(|(_, taken)| *taken == TicketTaken::Taken)
        .map(|(id, _)| id)
        .collect();
    added.renewed = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    // Whoever has an offer gets the new ticket now; a hold must not wait.
    let deliveries = server.store.deliveries(taken, now).await?;
    server.deliver(deliveries).await?;
    server.hint(Hint::Rollout { rollout: id });
    server.wake.notify_one();
    Ok(Reply(added))
}

pub(super) async fn step(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Name(id): Name<RolloutId>,
    Json(request): Json<RolloutStep>,
) -> Answer<Reply<RolloutDetail>> {
    let rollout = known(&server, id).await?;
    let now = server.now();
    let store = &server.store;
    let record = |reason| Record::of(caller.spki, Operation::StepRollout, &id).because(reason);
    match request {
        RolloutStep::Start => {
            require_published(&server, &rollout).await?;
            server.audited(record("start"), store.step_rollout(id, store::RolloutStep::Start, now)).await?;
        }
        RolloutStep::Pause => {
            let pause = Pause::Person { by: caller.spki, reason: String::new() };
            let step = store::RolloutStep::Pause(pause);
            server.audited(record("pause"), store.step_rollout(id, step, now)).await?;
        }
        RolloutStep::Resume => {
            require_published(&server, &rollout).await?;
            server.audited(record("resume"), store.step_rollout(id, store::RolloutStep::Resume, now)).await?;
        }
        RolloutStep::Abort => {
            server.audited(record("abort"), store.step_rollout(id, store::RolloutStep::Abort, now)).await?;
            cancel(&server, id, now).await?;
        }
        RolloutStep::OpenAfter { phase } => {
            server.audited(record("open after"), store.open_gate(id, phase, now)).await?;
        }
    }
    tracing::info!(rollout_id = %id, step = ?request, "a person moved a rollout");
    server.wake.notify_one();
    changed(&server, id).await
}

/// Cancels what can still be recalled.
async fn cancel(server: &Server, id: RolloutId, now: UnixTime) -> Answer<()> {
    loop {
        let canceled = server.store.cancel(id, CANCELED_AT_ONCE, now).await?;
        for (deployment, device) in &canceled.deployments {
            server.downloads.end(*deployment);
            server.hint(Hint::Device { device: *device });
        }
        if canceled.deployments.is_empty() {
            return Ok(());
        }
    }
}

async fn require_published(server: &Server, rollout: &Rollout) -> Answer<()> {
    let release = known_release(server, rollout.release).await?;
    if release.state == ReleaseState::Published {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::PreconditionFailed, "The release is not published, or was withdrawn."))
}

/// A ticket whose label is signed, for this very device and rollout, and fits what is sealed beside it;
/// none where the device is not there.
async fn checked(server: &Server, rollout: &Rollout, new: &NewDeployment) -> Answer<Option<Ticket>> {
    let Some(device) = server.store.device(new.device).await? else { return Ok(None) };
    let wrong = |field: &str| {
        let foreign = "A ticket is for something else than it was handed in for.";
        Err(Refusal::new(ErrorCode::InvalidObject, foreign).with(&format!("{field} of {}", new.device)))
    };
    let label = Label::verify(&new.label, &device.model, &server.trust().keys, server.now())?;
    if label.fleet != server.fleet().id {
        return wrong("fleet");
    }
    if label.device != new.device {
        return wrong("device");
    }
    if label.identity.is_none_or(|keys| keys.spki != device.spki || keys.kem != device.kem_id) {
        return wrong("keys");
    }
    if label.rollout != rollout.id || label.component != rollout.component {
        return wrong("rollout");
    }
    if !label.fits(&new.sealed_ticket) {
        return wrong("label");
    }
    let action = match &label.action {
        Action::Install(_) => TicketAction::Install,
        Action::Hold => TicketAction::Hold,
        Action::Reinstall(_) => TicketAction::Reinstall,
    };
    if let Some(installation) = label.action.installation() {
        let plan = plan_of(rollout)?;
        let sealed = server.store.sealed(plan.artifact).await?;
        let same_payload = sealed.is_some_and(|sealed| {
            sealed.artifact == installation.target.sha256
                && sealed.segment_list == installation.payload.segment_list
                && sealed.length_bytes == installation.payload.length
        });
        if installation.target.name != plan.target || !same_payload {
            return wrong("target");
        }
    }
    Ok(Some(Ticket {
        label: new.label.0.clone(),
        sealed: new.sealed_ticket.0.clone(),
        action,
        seq: label.seq,
        not_before: label.not_before,
        not_after: label.not_after,
    }))
}

async fn open_deployment(
    server: &Server,
    rollout: RolloutId,
    device: DeviceId,
) -> Answer<Option<DeploymentId>> {
    let filter =
        DeploymentFilter { rollout: Some(rollout), device: Some(device), ..DeploymentFilter::default() };
    let found = server.store.deployments(filter, PageRequest::first(PageRequest::MOST)).await?;
    let mut open = found.rows.into_iter().map(|row| row.deployment).filter(|d| !d.state.ended());
    Ok(open.next().map(|deployment| deployment.id))
}

pub(super) async fn known(server: &Server, id: RolloutId) -> Answer<Rollout> {
    server.store.rollout(id).await?.ok_or_else(|| Refusal::not_found("rollout"))
}

fn plan_of(rollout: &Rollout) -> Answer<Plan> {
    serde_json::from_str(&rollout.detail)
        .map_err(|_| Refusal::new(ErrorCode::Internal, "The rollout's record cannot be read."))
}

pub(super) fn row(rollout: &Rollout) -> Answer<RolloutRow> {
    let mut counts = Counts::default();
    for phase in &rollout.phases {
        for state in DeploymentState::ALL {
            counts.add(state, phase.counts.get(state));
        }
    }
    Ok(RolloutRow {
        id: rollout.id,
        release: rollout.release,
        target: plan_of(rollout)?.target,
        component: rollout.component.clone(),
        state: rollout.state,
        counts,
        created_at: rollout.created_at,
    })
}

/// The rollout as it stands now, after the screens were told.
async fn changed(server: &Server, id: RolloutId) -> Answer<Reply<RolloutDetail>> {
    server.hint(Hint::Rollout { rollout: id });
    detail(server, id).await
}

async fn detail(server: &Server, id: RolloutId) -> Answer<Reply<RolloutDetail>> {
    let rollout = known(server, id).await?;
    Ok(Reply(RolloutDetail {
        row: row(&rollout)?,
        artifact: plan_of(&rollout)?.artifact,
        phases: rollout
            .phases
            .iter()
            .map(|phase| PhaseRow {
                counts: phase.counts,
                not_before: phase.not_before,
                opened_at: phase.opened_at,
            })
            .collect(),
        pause_cause: match rollout.pause {
            Some(Pause::Rule(cause)) => Some(cause),
            Some(Pause::Person { .. }) | None => None,
        },
        policy: rollout.policy,
        server_time: server.now(),
    }))
}
