use std::{fmt, sync::Arc};

use axum::Router;
use protocol::operator::{Adopt, BackendIdentity};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Error, api, executor, founding, http, keys::Keys, server::Server, upkeep};

/// One backend: the server that devices and people talk to.
pub struct Backend {
    server: Arc<Server>,
}

impl Backend {
    /// Makes the backend's own keys, unless they are there, and gives their public halves for the
    /// founding of a fleet.
    ///
    /// # Errors
    /// The origin is none, or the folder cannot be written.
    pub fn init(config: &Config) -> Result<BackendIdentity, Error> {
        config.check()?;
        Keys::init(&config.data_dir)?.identity(&config.origin)
    }

    /// Makes the keys that take the place of those for snapshot, timestamp and links, and gives the public
    /// halves for the trust change that names them. The keys in force go on until it is published.
    ///
    /// # Errors
    /// The origin is none, there are no keys yet, or the folder cannot be written.
    pub fn renew_keys(config: &Config) -> Result<BackendIdentity, Error> {
        config.check()?;
        Keys::renew(&config.data_dir)?.identity(&config.origin)
    }

    /// Takes over a fleet, after everything that its founders hand over was verified. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// Something does not hold together or is not for this backend, or the backend serves another fleet.
    pub async fn adopt(config: &Config, adopt: &Adopt) -> Result<(), Error> {
        config.check()?;
        founding::adopt(config, adopt).await
    }

    /// Opens a backend that was adopted. Only one may have its data open at a time.
    ///
    /// # Errors
    /// It was not adopted, or its data cannot be read.
    pub async fn open(config: Config) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { server: Arc::new(Server::open(config).await?) })
    }

    /// Serves until `shutdown`, then lets requests finish for as long as
    /// [`Limits::drain`](crate::Limits::drain). It is called once.
    ///
    /// # Errors
    /// The listener has no address.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), Error> {
        let server = &self.server;
        let address = listener.local_addr().map_err(Error::file("listener"))?;
        tracing::info!(%address, origin = server.config.origin, "serving");
        let tasks = TaskTracker::new();
        tasks.spawn(executor::run(Arc::clone(server), shutdown.clone()));
        tasks.spawn(upkeep::run(Arc::clone(server), shutdown.clone()));
        let record = tokio::spawn(upkeep::keep_record(Arc::clone(server)));
        let end_streams = {
            let (server, shutdown) = (Arc::clone(server), shutdown.clone());
            tokio::spawn(async move {
                shutdown.cancelled().await;
                server.closing.cancel();
                server.push.close_all();
            })
        };

        let normal = normal_routes(server);
        let enrolment = api::device::enrolment_routes(server).with_state(Arc::clone(server));
        let limits = server.config.limits;
        let tls_limits =
            tls::Limits { connections: limits.connections, handshake: limits.handshake, drain: limits.drain };
        let stop = shutdown.clone();
        let handler = move |stream, peer: tls::PeerIdentity, address| {
            let router = if peer.enrolling { enrolment.clone() } else { normal.clone() };
            http::serve(stream, peer, address, router, limits, stop.clone())
        };
        tls::serve(listener, Arc::clone(&server.tls), tls_limits, shutdown, handler).await;
        tasks.close();
        tasks.wait().await;
        end_streams.abort();
        // Nothing is sent any more: what is on its way to the record gets there.
        server.downloads.close().await;
        record.abort();
        // Aborted or not: whoever opens the data next must find it closed.
        let _ = tokio::join!(record, end_streams);
        tracing::info!("stopped serving");
        Ok(())
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({})", self.server.config.origin)
    }
}

fn normal_routes(server: &Arc<Server>) -> Router {
    api::device::routes(server)
        .merge(api::operator::routes(server))
        .fallback(api::nothing_here)
        .method_not_allowed_fallback(api::wrong_method)
        .with_state(Arc::clone(server))
}
