//! Running a backend: its configuration, its founding, its life until it is told to stop.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use backend::{Backend, Config};
use model::Seconds;
use protocol::{ErrorCode, operator::BackendIdentity};
use serde::Deserialize;
use tls::{Clock, SystemClock};
use tokio::net::TcpListener;

use crate::{Error, Founding, descriptors, founding::FOUNDING_FILE, workspace::read_as};

/// Tells running servers to finish.
pub use tokio_util::sync::CancellationToken as Shutdown;

/// How a backend runs, as its configuration file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Keys, database and artifacts: a folder that nobody else reads.
    pub data: PathBuf,
    /// The address to listen on.
    #[serde(default = "any_address")]
    pub bind: SocketAddr,
    /// Where devices and people reach it: `https://host:port`.
    pub origin: String,
    /// How long a device without a push stream waits before it asks again, in seconds.
    #[serde(default = "five_minutes")]
    pub poll_after: Seconds,
    /// How many connections it keeps at once.
    #[serde(default = "many")]
    pub connections: usize,
    /// How much ciphertext it keeps, in bytes; as much as the disk holds if left out.
    #[serde(default)]
    pub ciphertext_bytes: Option<u64>,
}

impl ServerConfig {
    /// The defaults for this folder and origin.
    pub fn new(data: PathBuf, bind: SocketAddr, origin: String) -> Self {
        Self { data, bind, origin, poll_after: five_minutes(), connections: many(), ciphertext_bytes: None }
    }

    fn backend(&self, clock: Arc<dyn Clock>) -> Config {
        let mut config = Config::new(&self.data, &self.origin);
        config.clock = clock;
        config.poll_after = self.poll_after;
        config.limits.connections = self.connections;
        config.limits.ciphertext_bytes = self.ciphertext_bytes;
        config
    }
}

/// Makes the backend's own keys, unless they are there; what comes out goes to whoever founds the fleet.
///
/// # Errors
/// The folder cannot be written.
pub fn init_backend(config: &ServerConfig) -> Result<BackendIdentity, Error> {
    Ok(Backend::init(&config.backend(Arc::new(SystemClock)))?)
}

/// Makes the keys that take the place of the backend's for snapshot, timestamp and links, once a trust change
/// names them; what comes out goes to whoever drafts it.
///
/// # Errors
/// There are no keys yet, or the folder cannot be written.
pub fn renew_backend_keys(config: &ServerConfig) -> Result<BackendIdentity, Error> {
    Ok(Backend::renew_keys(&config.backend(Arc::new(SystemClock)))?)
}

/// Takes over the fleet of a founding file. The same again changes nothing.
///
/// # Errors
/// The founding is not complete, does not hold together or is not for this backend.
pub async fn adopt_fleet(config: &ServerConfig, founding: &Path) -> Result<(), Error> {
    let founding: Founding = read_as(founding, FOUNDING_FILE)?;
    Ok(Backend::adopt(&config.backend(Arc::new(SystemClock)), &founding.adopt()?).await?)
}

/// Serves until `shutdown`; calls `ready` once its data is open and it listens.
///
/// # Errors
/// The address is taken, no fleet was adopted, or the data cannot be used or is in use.
pub async fn serve(config: &ServerConfig, shutdown: Shutdown, ready: impl FnOnce()) -> Result<(), Error> {
    let backend = Backend::open(config.backend(Arc::new(SystemClock))).await?;
    let listener = TcpListener::bind(config.bind).await.map_err(|source| {
        Error::because(ErrorCode::PreconditionFailed, format!("cannot listen on {}", config.bind), source)
            .hint("another program may use the port: choose one with --bind")
    })?;
    ready();
    Ok(backend.serve(listener, shutdown).await?)
}

/// As [`serve`], on a listener that is open already.
///
/// # Errors
/// As [`serve`].
pub async fn serve_on(config: &ServerConfig, listener: TcpListener, shutdown: Shutdown) -> Result<(), Error> {
    if let Err(few) = descriptors::make_room(config.connections) {
        tracing::warn!(%few, "fewer connections than were asked for");
    }
    let backend = Backend::open(config.backend(Arc::new(SystemClock))).await?;
    Ok(backend.serve(listener, shutdown).await?)
}

fn any_address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 8443))
}

const fn five_minutes() -> Seconds {
    Seconds::minutes(5)
}

const fn many() -> usize {
    100_000
}
