//! The host's commands over workspaces, jobs and consent.

use std::sync::Arc;

use envelope::SystemRandom;
use model::JobId;
use protocol::ErrorCode;
use tokio::sync::oneshot;

use super::{
    Host, Window,
    ceremony::{Ceremony, CeremonyName, Decision},
    event::List,
    job::{JobName, JobRow, JobState, StartJob},
    registry::{CreateWorkspace, WorkspaceKind, WorkspaceName, WorkspaceRow},
    table::{
        CeremonyGive, CeremonyList, CeremonyRefuse, JobCancel, JobDismiss, JobList, JobStart,
        WorkspaceCreate, WorkspaceList, WorkspaceSwitch,
    },
    training::Training,
    way,
};
use crate::{
    Error,
    command::{Handle, Way},
    dto::{Done, Nothing, Page},
    job::{News, Watch, watched},
};

impl Handle<WorkspaceList> for Host {
    async fn handle(&self, _: Nothing) -> Result<Page<WorkspaceRow>, Error> {
        let opened = self.opened();
        let current = opened.current.as_ref().map(|open| open.entry.name.as_str());
        let rows = opened.registry.entries.iter().map(|entry| entry.row(current)).collect();
        Ok(Page { rows, next: None })
    }
}

impl Handle<WorkspaceCreate> for Host {
    async fn handle(&self, request: CreateWorkspace) -> Result<WorkspaceRow, Error> {
        let name = match request.kind {
            WorkspaceKind::Local | WorkspaceKind::Remote => {
                let mut opened = self.opened();
                opened.registry.add(self.home(), &request.name, request.kind)?.name
            }
            WorkspaceKind::Training => self.begin_training(request.devices).await?,
        };
        self.run::<WorkspaceSwitch>(WorkspaceName { name }).await
    }
}

impl Handle<WorkspaceSwitch> for Host {
    async fn handle(&self, request: WorkspaceName) -> Result<WorkspaceRow, Error> {
        self.switch(&request.name)?;
        self.current_row().ok_or_else(|| Error::new(ErrorCode::Internal, "no workspace is in use"))
    }
}

impl Handle<JobStart> for Host {
    async fn handle(&self, request: StartJob) -> Result<JobRow, Error> {
        // What carries a secret is never written down.
        if way(&request.command)? == Way::Secret || request.command.starts_with("job.") {
            return Err(Error::new(ErrorCode::Forbidden, format!("`{}` is no job", request.command)));
        }
        let host = self.me.upgrade().ok_or_else(super::ended)?;
        let id = JobId::random(&mut SystemRandom);
        let row = JobRow {
            id,
            command: request.command.clone(),
            workspace: self.current_row().map(|row| row.name).unwrap_or_default(),
            state: JobState::Running,
            what: String::new(),
            done: 0,
            total: 0,
            started_at: self.clock.now(),
            ended_at: None,
            error: None,
            result: None,
        };
        let cancel = self.jobs.begin(row.clone())?;
        self.hub.job(row.clone());
        let watching = Arc::clone(&host);
        let watch: Watch = Arc::new(move |news| match news {
            News::Step(what, done, total) => {
                if let Some(row) = watching.jobs.step(id, what, done, total) {
                    watching.hub.job(row);
                }
            }
            News::Visit(visit) => watching.bench.visit(visit, &watching.hub),
            News::Visited(place, row) => watching.bench.visited(&place, *row, &watching.hub),
        });
        let work =
            watched(id, watch, cancel.clone(), host.rpc(Window::Main, &request.command, request.request));
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = work => outcome,
                // Waiting for consent is a point where a job may end.
                error = host.canceled(&cancel, id) => Err(error),
            };
            if let Some(row) = host.jobs.end(id, outcome, host.clock.now()) {
                // Receipts went home, or bundles came.
                if row.command.starts_with("bench.") {
                    host.hub.list(List::Bench);
                }
                host.hub.job(row);
            }
        });
        Ok(row)
    }
}

impl Handle<JobList> for Host {
    async fn handle(&self, _: Nothing) -> Result<Page<JobRow>, Error> {
        Ok(Page { rows: self.jobs.rows(), next: None })
    }
}

impl Handle<JobCancel> for Host {
    async fn handle(&self, request: JobName) -> Result<JobRow, Error> {
        self.jobs.cancel(request.job)
    }
}

impl Handle<JobDismiss> for Host {
    async fn handle(&self, request: JobName) -> Result<Done, Error> {
        self.jobs.dismiss(request.job)?;
        Ok(Done {})
    }
}

impl Handle<CeremonyList> for Host {
    async fn handle(&self, _: Nothing) -> Result<Page<Ceremony>, Error> {
        Ok(Page { rows: self.ceremonies.pending(), next: None })
    }
}

impl Handle<CeremonyGive> for Host {
    async fn handle(&self, request: CeremonyName) -> Result<Done, Error> {
        // Still locked: nothing is lost, it goes on waiting.
        self.open_workspace()?.app.unlocked()?;
        let (say, heard) = oneshot::channel();
        let decide = self.ceremonies.take(request.id).ok_or_else(gone)?;
        decide.send(Decision::Given(say)).map_err(|_| gone())?;
        heard.await.map_err(|_| gone())??;
        Ok(Done {})
    }
}

impl Handle<CeremonyRefuse> for Host {
    async fn handle(&self, request: CeremonyName) -> Result<Done, Error> {
        let decide = self.ceremonies.take(request.id).ok_or_else(gone)?;
        decide.send(Decision::Refused).map_err(|_| gone())?;
        Ok(Done {})
    }
}

impl Host {
    /// Sets the training fleet up and gives the name of its first workspace.
    async fn begin_training(&self, devices: Option<u32>) -> Result<String, Error> {
        let mut training = self.training.lock().await;
        if training.is_some() {
            return Err(Error::new(ErrorCode::Conflict, "the training fleet is there already"));
        }
        let begun = Training::begin(devices).await?;
        let workspaces = begun.workspaces()?;
        self.bench.train(begun.ports());
        *training = Some(begun);
        let first = workspaces.first().map(|(entry, _)| entry.name.clone()).unwrap_or_default();
        {
            let mut opened = self.opened();
            for (entry, app) in workspaces {
                opened.apps.insert(entry.name.clone(), app);
                opened.registry.entries.push(entry);
            }
        }
        self.hub.list(List::Workspace);
        Ok(first)
    }

    /// Returns once the job is canceled while what it asked for waits for consent.
    async fn canceled(&self, cancel: &crate::Shutdown, job: JobId) -> Error {
        cancel.cancelled().await;
        let mut events = self.events();
        while !self.ceremonies.wait_for(job) {
            if events.next().await.is_none() {
                return super::ended();
            }
        }
        Error::new(ErrorCode::Canceled, "the job was canceled before it was given")
    }
}

fn gone() -> Error {
    Error::new(ErrorCode::NotFound, "nothing of that number waits for consent any more")
}
