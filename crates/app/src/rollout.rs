//! Rollouts as commands: preview, start, watch, steer.

use model::DeviceId;
use protocol::operator::{DeploymentRow, Page, PageRequest, RolloutDetail, RolloutRow, RolloutStep, path};
use serde::Serialize;

use crate::{
    App, Error,
    command::{
        Handle, RolloutAbort, RolloutAbortPreview, RolloutAdd, RolloutAddPreview, RolloutDeployments,
        RolloutHold, RolloutList, RolloutOpen, RolloutPause, RolloutPreview, RolloutRenew, RolloutResume,
        RolloutShow, RolloutStart,
    },
    dto::{
        AddToRollout, Commit, ListDeployments, OpenAfter, PlanRollout, Preview, RenewedTickets, RolloutName,
        RolloutPlan,
    },
    release::{effect, expect_same, preview},
};

#[derive(Serialize)]
struct Query<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    limit: u32,
}

impl Handle<RolloutPreview> for App {
    async fn handle(&self, request: PlanRollout) -> Result<RolloutPlan, Error> {
        Ok(self.plan(&request).await?.plan)
    }
}

impl Handle<RolloutStart> for App {
    async fn handle(&self, request: Commit<PlanRollout>) -> Result<RolloutDetail, Error> {
        self.start(&request.request, &request.token).await
    }
}

impl Handle<RolloutList> for App {
    async fn handle(&self, request: PageRequest) -> Result<Page<RolloutRow>, Error> {
        self.session().await?.client.query(path::ROLLOUTS, &request).await
    }
}

impl Handle<RolloutShow> for App {
    async fn handle(&self, request: RolloutName) -> Result<RolloutDetail, Error> {
        self.session().await?.client.get(&path::rollout(request.rollout)).await
    }
}

impl Handle<RolloutDeployments> for App {
    async fn handle(&self, request: ListDeployments) -> Result<Page<DeploymentRow>, Error> {
        let query = Query {
            state: request.state.map(model::DeploymentState::as_str),
            device: request.device,
            code: request.code.as_deref(),
            after: request.page.after.as_deref(),
            limit: request.page.rows(),
        };
        self.session().await?.client.query(&path::deployments(request.rollout), &query).await
    }
}

impl Handle<RolloutPause> for App {
    async fn handle(&self, request: RolloutName) -> Result<RolloutDetail, Error> {
        self.step(request, RolloutStep::Pause).await
    }
}

impl Handle<RolloutResume> for App {
    async fn handle(&self, request: RolloutName) -> Result<RolloutDetail, Error> {
        self.step(request, RolloutStep::Resume).await
    }
}

impl Handle<RolloutOpen> for App {
    async fn handle(&self, request: OpenAfter) -> Result<RolloutDetail, Error> {
        let rollout = RolloutName { rollout: request.rollout };
        self.step(rollout, RolloutStep::OpenAfter { phase: request.phase }).await
    }
}

impl Handle<RolloutRenew> for App {
    async fn handle(&self, request: RolloutName) -> Result<RenewedTickets, Error> {
        self.renew(request.rollout).await
    }
}

impl Handle<RolloutAddPreview> for App {
    async fn handle(&self, request: AddToRollout) -> Result<Preview, Error> {
        self.preview_join(&request).await
    }
}

impl Handle<RolloutAdd> for App {
    async fn handle(&self, request: Commit<AddToRollout>) -> Result<RenewedTickets, Error> {
        self.join(&request.request, &request.token).await
    }
}

impl Handle<RolloutHold> for App {
    async fn handle(&self, request: RolloutName) -> Result<RenewedTickets, Error> {
        self.hold(request.rollout).await
    }
}

impl Handle<RolloutAbortPreview> for App {
    async fn handle(&self, request: RolloutName) -> Result<Preview, Error> {
        let rollout = Handle::<RolloutShow>::handle(self, request).await?;
        let counts = &rollout.row.counts;
        let recalled = counts.of(|state| !state.ended() && !state.past_recall());
        let installing = counts.of(model::DeploymentState::past_recall);
        Ok(preview(
            format!("abort the rollout of {}", rollout.row.target),
            vec![
                effect("deployments are canceled", recalled.into()),
                effect("go on: the installer has begun", installing.into()),
                effect("have ended and stay as they are", counts.of(model::DeploymentState::ended).into()),
            ],
            &rollout.row.state,
        ))
    }
}

impl Handle<RolloutAbort> for App {
    async fn handle(&self, request: Commit<RolloutName>) -> Result<RolloutDetail, Error> {
        let now = Handle::<RolloutAbortPreview>::handle(self, request.request).await?;
        expect_same(&now, &request.token)?;
        self.step(request.request, RolloutStep::Abort).await
    }
}

impl App {
    async fn step(&self, rollout: RolloutName, step: RolloutStep) -> Result<RolloutDetail, Error> {
        self.session().await?.client.post(&path::step(rollout.rollout), &step).await
    }
}
