//! The application as a desktop runs it: several workspaces, backends inside this program, jobs, consent,
//! and one channel of events. It knows no window: a shell passes on what a window asks, and says which
//! window that was.

mod backend;
mod bench;
mod boards;
mod ceremony;
mod event;
mod job;
mod registry;
mod status;
pub mod table;
mod training;
mod watch;
mod work;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use protocol::ErrorCode;
use serde_json::Value;
use tls::{Clock, SystemClock};
use tokio::sync::Notify;

pub use ceremony::{Ceremony, CeremonyLine};
pub use event::{Changed, Connection, ConnectionState, Events, HostEvent, List, VaultState};
pub use job::{JobRow, JobState};
pub use registry::{CreateWorkspace, WorkspaceKind, WorkspaceName, WorkspaceRow};
pub use status::HostStatus;

use crate::{
    App, Error, Shutdown,
    command::{self, Command, Handle, Way},
    workspace::Workspace,
};
use backend::Backends;
use ceremony::{Ceremonies, Decision, Shown};
use event::Hub;
use job::Jobs;
use registry::{Entry, Registry};
use training::Training;
use watch::Watcher;

/// 32 random bytes as text: for a key that one page shows once.
pub fn secret() -> zeroize::Zeroizing<String> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    model::Random::fill(&mut envelope::SystemRandom, &mut *bytes);
    zeroize::Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The window that a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// The screens.
    Main,
    /// The vault's own window, which has no third-party code.
    Vault,
}

/// The answer to a request.
pub type Reply = Pin<Box<dyn Future<Output = Result<Value, Error>> + Send>>;

/// The application at work on a desktop.
#[derive(Debug)]
pub struct Host {
    me: Weak<Host>,
    home: PathBuf,
    clock: Arc<dyn Clock>,
    hub: Arc<Hub>,
    open: Mutex<Opened>,
    backends: Backends,
    training: tokio::sync::Mutex<Option<Training>>,
    ceremonies: Ceremonies,
    jobs: Jobs,
    bench: bench::Bench,
    again: Arc<Notify>,
    stop: Shutdown,
    /// Held for as long as this program runs: one at a time.
    _lock: fs::File,
}

#[derive(Debug)]
struct Opened {
    registry: Registry,
    /// Workspaces that were in use, with their vaults.
    apps: HashMap<String, Arc<App>>,
    current: Option<Open>,
}

/// The workspace in use.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) entry: Entry,
    pub(crate) app: Arc<App>,
    watch: Shutdown,
}

impl Host {
    /// Starts in `home`, where workspaces are kept, with the workspace that was in use the last time.
    /// Runs within a Tokio runtime.
    ///
    /// # Errors
    /// Another desktop of this user is at work, or the folder cannot be used.
    pub async fn start(home: &Path) -> Result<Arc<Self>, Error> {
        Self::with_clock(home, Arc::new(SystemClock)).await
    }

    /// As [`Self::start`], with another clock.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn with_clock(home: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        Workspace::new(home).prepare()?;
        let home = home.canonicalize().map_err(|source| Error::file("use the folder", home, &source))?;
        let lock = lock(&home)?;
        let registry = Registry::open(&home)?;
        let hub = Arc::new(Hub::new(clock.now()));
        let jobs = Jobs::open(home.join("jobs.json"));
        let host = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            home,
            clock,
            hub,
            open: Mutex::new(Opened { registry, apps: HashMap::new(), current: None }),
            backends: Backends::default(),
            training: tokio::sync::Mutex::new(None),
            ceremonies: Ceremonies::default(),
            jobs,
            bench: bench::Bench::default(),
            again: Arc::new(Notify::new()),
            stop: Shutdown::new(),
            _lock: lock,
        });
        let (hub, stop) = (Arc::clone(&host.hub), host.stop.clone());
        tokio::spawn(async move { hub.run(stop).await });
        let entries = host.opened().registry.entries.clone();
        for entry in &entries {
            host.backends.start(entry).await;
        }
        let current = host.opened().registry.current.clone();
        if let Some(name) = current {
            host.switch(&name)?;
        }
        Ok(host)
    }

    /// Carries out what a window asks: a command by its name, with its request as JSON.
    pub fn rpc(&self, window: Window, name: &str, request: Value) -> Reply {
        let (host, name) = (self.me.upgrade(), name.to_owned());
        Box::pin(async move {
            let host = host.ok_or_else(ended)?;
            match (way(&name)?, window) {
                (Way::Open, Window::Main | Window::Vault) | (Way::Secret, Window::Vault) => {
                    host.perform(&name, request, None).await
                }
                (Way::Consent, Window::Main) => host.ask(&name, request).await,
                (Way::Secret, Window::Main) => {
                    Err(Error::new(ErrorCode::Forbidden, format!("`{name}` is for the vault's window alone")))
                }
                (Way::Consent, Window::Vault) => Err(Error::new(
                    ErrorCode::Forbidden,
                    format!("`{name}` is asked for elsewhere; here it is only given or refused"),
                )),
            }
        })
    }

    /// What happens, from now on, after everything as it stands.
    pub fn events(&self) -> Events {
        self.hub.subscribe()
    }

    /// Begins with the training fleet, as on a first run that chose it.
    ///
    /// # Errors
    /// It could not be set up.
    pub async fn train(&self, devices: Option<u32>) -> Result<(), Error> {
        let create = CreateWorkspace { name: String::new(), kind: WorkspaceKind::Training, devices };
        self.run::<table::WorkspaceCreate>(create).await.map(drop)
    }

    /// Locks the vaults and ends backends and simulated devices.
    pub async fn stop(&self) {
        self.stop.cancel();
        let apps: Vec<_> = {
            let mut opened = self.opened();
            if let Some(open) = opened.current.take() {
                open.watch.cancel();
            }
            opened.apps.drain().map(|(_, app)| app).collect()
        };
        apps.iter().for_each(|app| app.lock_vault());
        if let Some(training) = self.training.lock().await.take() {
            training.stop().await;
        }
        self.backends.stop().await;
    }

    /// Runs one of the host's own commands.
    ///
    /// # Errors
    /// What the command says.
    pub async fn run<C: Command>(&self, request: C::Request) -> Result<C::Response, Error>
    where
        Self: Handle<C>,
    {
        self.handle(request).await
    }

    /// As [`Self::run`], with a request that is read first.
    pub(crate) async fn run_read<C: Command>(
        &self,
        read: impl FnOnce() -> Result<C::Request, Error>,
    ) -> Result<C::Response, Error>
    where
        Self: Handle<C>,
    {
        self.handle(read()?).await
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The workspace in use.
    pub(crate) fn open_workspace(&self) -> Result<Open, Error> {
        self.opened().current.clone().ok_or_else(|| {
            Error::new(ErrorCode::PreconditionFailed, "no workspace is in use").hint("make one first")
        })
    }

    pub(crate) fn current_row(&self) -> Option<WorkspaceRow> {
        let opened = self.opened();
        opened.current.as_ref().map(|open| open.entry.row(Some(&open.entry.name)))
    }

    /// Says anew what is on record of workspaces, and tries the connection again.
    pub(crate) fn registered(&self) {
        self.hub.workspace(self.current_row());
        self.hub.list(List::Workspace);
        self.again.notify_one();
    }

    /// Makes another workspace the one in use. The vault of the one before is locked.
    fn switch(&self, name: &str) -> Result<(), Error> {
        {
            let mut opened = self.opened();
            let entry =
                opened.registry.entry(name).cloned().ok_or_else(|| {
                    Error::new(ErrorCode::NotFound, format!("there is no workspace `{name}`"))
                })?;
            let app = match opened.apps.get(name) {
                Some(app) => Arc::clone(app),
                None => Arc::new(App::with_clock(&entry.dir, Arc::clone(&self.clock))?),
            };
            opened.apps.insert(name.to_owned(), Arc::clone(&app));
            if let Some(before) = opened.current.take() {
                before.watch.cancel();
                before.app.lock_vault();
            }
            let watch = self.stop.child_token();
            let watcher = Watcher {
                app: Arc::clone(&app),
                hub: Arc::clone(&self.hub),
                clock: Arc::clone(&self.clock),
                again: Arc::clone(&self.again),
            };
            tokio::spawn(watcher.run(watch.clone()));
            opened.current = Some(Open { entry, app, watch });
            opened.registry.current = Some(name.to_owned());
            opened.registry.save(&self.home)?;
        }
        // What was asked for in the workspace before is not given in this one.
        self.ceremonies.clear();
        self.hub.ceremonies(Vec::new());
        self.hub.connection(ConnectionState::Connecting, self.clock.now(), None);
        self.hub.everything();
        self.registered();
        Ok(())
    }

    /// Carries it out in this workspace, or in the one in use.
    async fn perform(&self, name: &str, request: Value, open: Option<Open>) -> Result<Value, Error> {
        if table::TABLE.iter().any(|(own, _)| *own == name) {
            return table::dispatch(self, name, request).await;
        }
        let open = open.map_or_else(|| self.open_workspace(), Ok)?;
        let answer = command::dispatch(&open.app, name, request).await;
        if name.starts_with("fleet.") || name.starts_with("vault.") {
            let (state, locks_at) = open.app.vault_state();
            self.hub.vault(state, locks_at);
            self.registered();
        }
        answer
    }

    /// Has it shown in the vault's window, and carries it out once it is given there.
    async fn ask(&self, name: &str, request: Value) -> Result<Value, Error> {
        let open = self.open_workspace()?;
        let shown = Shown::of(&open.app, name, &request).await?;
        let training = open.entry.kind == WorkspaceKind::Training;
        let place = (open.entry.name.clone(), training);
        let (id, decision) = self.ceremonies.add(name, shown, place, self.clock.now())?;
        // Whoever asked may go away: then nobody is left to be answered.
        let waiting = Waiting { host: self, id };
        self.hub.ceremonies(self.ceremonies.pending());
        let decision = decision.await;
        drop(waiting);
        match decision {
            Ok(Decision::Given(outcome)) => {
                let answer = self.perform(name, request, Some(open)).await;
                // The vault's window may be gone.
                drop(outcome.send(answer.as_ref().map(drop).map_err(Clone::clone)));
                answer
            }
            Ok(Decision::Refused) | Err(_) => {
                Err(Error::new(ErrorCode::Canceled, "it was refused in the vault's window"))
            }
        }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that was asked for and is not decided yet.
struct Waiting<'a> {
    host: &'a Host,
    id: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.host.ceremonies.take(self.id));
        self.host.hub.ceremonies(self.host.ceremonies.pending());
    }
}

/// Through which window a command may come.
fn way(name: &str) -> Result<Way, Error> {
    let all = table::WAYS.iter().chain(command::WAYS);
    let found = all.into_iter().find(|(other, _)| *other == name);
    found.map(|(_, way)| *way).ok_or_else(|| Error::unknown_command(name))
}

fn lock(home: &Path) -> Result<fs::File, Error> {
    let path = home.join("desk.lock");
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| Error::file("open", &path, &source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::new(ErrorCode::Conflict, "Fleetseal is open already")
                .hint("close the other one first"))
        }
        Err(fs::TryLockError::Error(source)) => Err(Error::file("lock", &path, &source)),
    }
}

fn ended() -> Error {
    Error::new(ErrorCode::Canceled, "the program is ending")
}

#[cfg(test)]
mod tests;
