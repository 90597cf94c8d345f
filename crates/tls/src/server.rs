use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use pki_types::CertificateDer;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{Acceptor, ClientHello, NoServerSessionStorage, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::{
    ALPN_ENROL, ALPN_HTTP, Clock, Error, Identity, PeerIdentity, clock::RustlsTime, provider::provider,
    ticket::ticketer, verifier,
};

/// The server's end: one port, two endpoints, replaced as a whole when certificates change.
#[derive(Debug)]
pub struct ServerTls {
    clock: Arc<dyn Clock>,
    endpoints: RwLock<Arc<Endpoints>>,
}

#[derive(Debug)]
struct Endpoints {
    normal: Arc<ServerConfig>,
    enrolment: Arc<ServerConfig>,
}

impl ServerTls {
    /// Serves as `identity` whoever has a certificate under one of `roots`.
    ///
    /// # Errors
    /// There is no usable root, or the system has no randomness for ticket keys.
    pub fn new(
        identity: &Identity,
        roots: &[CertificateDer<'_>],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let endpoints = RwLock::new(Endpoints::new(identity, roots, &clock)?);
        Ok(Self { clock, endpoints })
    }

    /// Goes on with another identity and other roots. Connections that stand are not dropped;
    /// sessions of before are not resumed.
    ///
    /// # Errors
    /// As [`ServerTls::new`]; then all stays as it was.
    pub fn reload(&self, identity: &Identity, roots: &[CertificateDer<'_>]) -> Result<(), Error> {
        let endpoints = Endpoints::new(identity, roots, &self.clock)?;
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
        Ok(())
    }

    /// Shakes hands and says who is there. Bound its time: a client may fall silent at any point.
    ///
    /// # Errors
    /// The client shows no certificate, or one that is not trusted, or speaks something else.
    pub async fn accept<IO>(&self, io: IO) -> Result<(TlsStream<IO>, PeerIdentity), Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(Error::Handshake)?;
        let endpoints = Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner));
        let enrolling = asks_to_enrol(&start.client_hello());
        let config = if enrolling { &endpoints.enrolment } else { &endpoints.normal };
        let stream = start.into_stream(Arc::clone(config)).await.map_err(Error::Handshake)?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let certificate =
            certificate.ok_or_else(|| Error::Handshake(io::Error::from(io::ErrorKind::PermissionDenied)))?;
        let peer = PeerIdentity::of(certificate, enrolling)?;
        Ok((stream, peer))
    }
}

/// Whether a client wants the enrolment endpoint and nothing but.
fn asks_to_enrol(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut protocols| protocols.next() == Some(ALPN_ENROL) && protocols.next().is_none())
}

impl Endpoints {
    fn new(
        identity: &Identity,
        roots: &[CertificateDer<'_>],
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let provider = provider();
        let fleet: Arc<dyn ClientCertVerifier> =
            Arc::new(verifier::FleetClient::new(verifier::root_store(roots)?)?);
        let enrolling = Arc::new(verifier::EnrollingClient { fleet: Arc::clone(&fleet) });

        let mut normal = config(&provider, identity, fleet, clock)?;
        normal.alpn_protocols = vec![ALPN_HTTP.to_vec()];
        normal.ticketer = ticketer()?;
        normal.send_tls13_tickets = 1;

        // No session of the enrolment endpoint is ever resumed: its peers are not verified, and a
        // ticket that opened the other endpoint would carry such a peer in.
        let mut enrolment = config(&provider, identity, enrolling, clock)?;
        enrolment.alpn_protocols = vec![ALPN_ENROL.to_vec()];
        enrolment.send_tls13_tickets = 0;

        Ok(Arc::new(Self { normal: Arc::new(normal), enrolment: Arc::new(enrolment) }))
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    identity: &Identity,
    client: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let time = Arc::new(RustlsTime(Arc::clone(clock)));
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&TLS13])
        .map_err(Error::Setup)?
        .with_client_cert_verifier(client)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}
