//! The embedded backends: the same server as everywhere, in this process, on loopback.

use std::{collections::HashMap, net::SocketAddr, path::Path};

use model::StationName;
use protocol::{ErrorBody, ErrorCode};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};
use ts_rs::TS;

use super::{
    Host,
    registry::{ADOPTED, Entry, FOUNDING, WorkspaceKind},
    table::{BackendAdopt, BackendFound},
};
use crate::{
    Error, ServerConfig, Shutdown, adopt_fleet,
    command::{FleetFound, FleetJoin, Handle},
    dto::{FoundFleet, FoundingFile, FoundingStatus, Nothing},
    init_backend, serve_on,
    workspace::{Workspace, write_json},
};

/// Founds a fleet on a backend inside this program, from the workspace in use. Where one signature is
/// enough it is in service at once; else the other key holders sign the founding file first.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct FoundHere {
    /// Who runs the fleet, as it will stand in every certificate.
    pub organization: String,
    /// The name of the first station.
    pub station: StationName,
    /// The other key holders' cards, as files.
    pub cards: Vec<String>,
    /// How many key holders must sign.
    pub threshold: u32,
}

/// Those that run, by the name of their workspace.
#[derive(Debug, Default)]
pub(crate) struct Backends(Mutex<HashMap<String, Backend>>);

#[derive(Debug)]
enum Backend {
    Running { shutdown: Shutdown, task: JoinHandle<Result<(), Error>> },
    Failed(Error),
}

impl Backends {
    /// Starts the backend of a workspace, if it has one that has adopted its fleet.
    pub(crate) async fn start(&self, entry: &Entry) {
        let workspace = Workspace::new(&entry.dir);
        if entry.kind != WorkspaceKind::Local || !workspace.file(ADOPTED).exists() {
            return;
        }
        let mut all = self.0.lock().await;
        if matches!(all.get(&entry.name), Some(Backend::Running { task, .. }) if !task.is_finished()) {
            return;
        }
        let backend = start(&workspace).await.unwrap_or_else(|error| {
            tracing::error!(%error, workspace = entry.name, "the embedded backend could not be started");
            Backend::Failed(error)
        });
        all.insert(entry.name.clone(), backend);
    }

    pub(crate) async fn problems(&self) -> Vec<(String, ErrorBody)> {
        let all = self.0.lock().await;
        let problem = |(name, backend): (&String, &Backend)| match backend {
            Backend::Running { task, .. } if task.is_finished() => {
                let error = Error::new(ErrorCode::Internal, "the embedded backend has ended");
                Some((name.clone(), error.body().clone()))
            }
            Backend::Running { .. } => None,
            Backend::Failed(error) => Some((name.clone(), error.body().clone())),
        };
        all.iter().filter_map(problem).collect()
    }

    /// Ends all of them and waits for them.
    pub(crate) async fn stop(&self) {
        for (name, backend) in self.0.lock().await.drain() {
            let Backend::Running { shutdown, task } = backend else { continue };
            shutdown.cancel();
            if let Ok(Err(error)) = task.await {
                tracing::error!(%error, workspace = name, "the embedded backend failed");
            }
        }
    }
}

impl Handle<BackendFound> for Host {
    async fn handle(&self, request: FoundHere) -> Result<FoundingStatus, Error> {
        let open = self.open_workspace()?;
        if open.entry.kind != WorkspaceKind::Local {
            return Err(Error::new(
                ErrorCode::PreconditionFailed,
                "this workspace is for a backend elsewhere",
            )
            .hint("make a workspace for this computer first"));
        }
        let workspace = Workspace::new(&open.entry.dir);
        let origin = free_origin().await?;
        let config = config(&workspace, &origin)?;
        let identity = workspace.file("backend-identity.json");
        write_json(&identity, &init_backend(&config)?)?;
        let found = FoundFleet {
            backend: identity.display().to_string(),
            organization: request.organization,
            station: request.station,
            cards: request.cards,
            threshold: request.threshold,
            file: workspace.file(FOUNDING).display().to_string(),
        };
        let status = open.app.run::<FleetFound>(found).await?;
        self.registered();
        if status.complete { self.run::<BackendAdopt>(Nothing {}).await } else { Ok(status) }
    }
}

impl Handle<BackendAdopt> for Host {
    async fn handle(&self, _: Nothing) -> Result<FoundingStatus, Error> {
        let open = self.open_workspace()?;
        let workspace = Workspace::new(&open.entry.dir);
        let file = workspace.file(FOUNDING);
        let status = open.app.run::<FleetJoin>(FoundingFile { file: file.display().to_string() }).await?;
        let origin = workspace.membership()?.origin;
        adopt_fleet(&config(&workspace, &origin)?, &file).await?;
        write_json(&workspace.file(ADOPTED), &origin)?;
        self.backends().start(&open.entry).await;
        self.registered();
        Ok(status)
    }
}

async fn start(workspace: &Workspace) -> Result<Backend, Error> {
    let config = config(workspace, &workspace.membership()?.origin)?;
    let listener = TcpListener::bind(config.bind).await.map_err(|source| {
        Error::because(ErrorCode::PreconditionFailed, format!("cannot listen on {}", config.bind), source)
            .hint("another program uses the port of this fleet's backend: close it, then start again")
    })?;
    let shutdown = Shutdown::new();
    let told = shutdown.clone();
    let task = tokio::spawn(async move { serve_on(&config, listener, told).await });
    Ok(Backend::Running { shutdown, task })
}

/// An address on loopback that nobody uses.
async fn free_origin() -> Result<String, Error> {
    let none = |source| Error::internal("there is no port to listen on", source);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(none)?;
    Ok(format!("https://{}", listener.local_addr().map_err(none)?))
}

fn config(workspace: &Workspace, origin: &str) -> Result<ServerConfig, Error> {
    let bind: SocketAddr = origin.trim_start_matches("https://").parse().map_err(|source| {
        Error::because(
            ErrorCode::PreconditionFailed,
            "the backend's address is not one of this computer",
            source,
        )
    })?;
    Ok(ServerConfig::new(data(workspace.dir()), bind, origin.to_owned()))
}

fn data(dir: &Path) -> std::path::PathBuf {
    dir.join("backend")
}
