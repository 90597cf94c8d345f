use std::sync::Arc;

use model::Digest;
use pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, client::Resumption, sign::SingleCertAndKey, version::TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    ALPN_ENROL, ALPN_HTTP, Clock, Error, Identity,
    clock::RustlsTime,
    provider::provider,
    verifier::{Anchor, FleetServer},
};

/// By which time a client judges a server's certificate.
#[derive(Clone, Debug)]
pub enum Time {
    /// A clock that is right, as people's computers have.
    Clock(Arc<dyn Clock>),
    /// A device's floor, which may be far behind: the newest notBefore that the server presents
    /// counts as well. Nothing that keeps a device from going backwards rests on it.
    Floor(Arc<dyn Clock>),
}

/// The client's end.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// To the normal endpoint, as `identity`, of a server under one of `roots`.
    ///
    /// # Errors
    /// There is no usable root.
    pub fn fleet(identity: &Identity, roots: &[CertificateDer<'_>], time: Time) -> Result<Self, Error> {
        Self::new(identity, Anchor::roots(roots)?, time, ALPN_HTTP)
    }

    /// To the enrolment endpoint, for a device that knows of its fleet only the SHA-256 of the CA root
    /// that its token names. `identity` is a self-signed certificate.
    ///
    /// # Errors
    /// The configuration does not hold together.
    pub fn enrolment(identity: &Identity, ca_root: Digest, time: Time) -> Result<Self, Error> {
        Self::new(identity, Anchor::Pin(ca_root), time, ALPN_ENROL)
    }

    /// To the enrolment endpoint, for a device whose certificate lapsed and that still knows its
    /// fleet's roots.
    ///
    /// # Errors
    /// There is no usable root.
    pub fn renewal(identity: &Identity, roots: &[CertificateDer<'_>], time: Time) -> Result<Self, Error> {
        Self::new(identity, Anchor::roots(roots)?, time, ALPN_ENROL)
    }

    fn new(identity: &Identity, anchor: Anchor, time: Time, alpn: &[u8]) -> Result<Self, Error> {
        let (clock, floor) = match time {
            Time::Clock(clock) => (clock, false),
            Time::Floor(clock) => (clock, true),
        };
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(RustlsTime(clock)))
            .with_protocol_versions(&[&TLS13])
            .map_err(Error::Setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(FleetServer { anchor, floor }))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_early_data = false;
        config.resumption =
            if alpn == ALPN_HTTP { Resumption::in_memory_sessions(2) } else { Resumption::disabled() };
        Ok(Self { config: Arc::new(config) })
    }

    /// The configuration, for an HTTP client that takes one.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Shakes hands with the server `name`, a host name or an IP address.
    ///
    /// # Errors
    /// The name is none, the server is not who it should be, or it refuses this client.
    pub async fn connect<IO>(&self, name: &str, io: IO) -> Result<TlsStream<IO>, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| Error::ServerName { name: name.to_owned() })?;
        TlsConnector::from(self.config()).connect(name, io).await.map_err(Error::Handshake)
    }
}
