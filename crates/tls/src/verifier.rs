//! What each end asks of the other's certificate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::Digest;
use pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::verify_tls13_signature,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{
    clock::to_pki,
    peer,
    provider::{P256, provider},
};

/// Handshakes are signed as TLS 1.3 has it, by keys on P-256 alone: what every verifier here asks for.
macro_rules! p256_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, signature, &P256)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            P256.supported_schemes()
        }
    };
}

pub(crate) fn root_store(roots: &[CertificateDer<'_>]) -> Result<Arc<RootCertStore>, crate::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone().into_owned()).map_err(|_| crate::Error::NoRoot)?;
    }
    if store.is_empty() { Err(crate::Error::NoRoot) } else { Ok(Arc::new(store)) }
}

/// Clients of the normal endpoint: a certificate of the fleet that is in force.
///
/// Two of the three signatures of a handshake are those of the chain. A certificate whose chain held is
/// taken without looking again for an hour, or until something in the chain lapses; that its holder has
/// the key is verified each time.
#[derive(Debug)]
pub(crate) struct FleetClient {
    chains: Arc<dyn ClientCertVerifier>,
    held: Mutex<HashMap<Digest, UnixTime>>,
}

/// How long a verdict over a chain counts.
const HOUR: Duration = Duration::from_secs(3_600);
/// So many verdicts are remembered, some 64 bytes each.
const HELD_MOST: usize = 200_000;

impl FleetClient {
    pub(crate) fn new(roots: Arc<RootCertStore>) -> Result<Self, crate::Error> {
        let chains = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|_| crate::Error::NoRoot)?;
        Ok(Self { chains, held: Mutex::default() })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, UnixTime>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientCertVerifier for FleetClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let digest = Digest::new(peer::sha256(end_entity));
        if self.held().get(&digest).is_some_and(|until| now <= *until) {
            return Ok(ClientCertVerified::assertion());
        }
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now)?;
        let hour = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + HOUR);
        let until =
            std::iter::once(end_entity).chain(intermediates).try_fold(hour, |until, certificate| {
                let (_, not_after) = peer::validity(certificate).map_err(bad_certificate)?;
                Ok::<_, Error>(until.min(to_pki(not_after)))
            })?;
        let mut held = self.held();
        if held.len() >= HELD_MOST {
            held.clear();
        }
        held.insert(digest, until);
        Ok(verified)
    }

    p256_signatures!();
}

/// Clients of the enrolment endpoint: a certificate that nobody vouches for, or one of the fleet that
/// has lapsed. Either way only possession of the key is proven.
#[derive(Debug)]
pub(crate) struct EnrollingClient {
    pub(crate) fleet: Arc<dyn ClientCertVerifier>,
}

/// Servers, as a client sees them: under the fleet's roots, or for now under the one root whose
/// digest a token names.
#[derive(Debug)]
pub(crate) struct FleetServer {
    pub(crate) anchor: Anchor,
    /// The client's clock is a mere floor: it is behind, and a certificate's own notBefore may lift it.
    pub(crate) floor: bool,
}

#[derive(Debug)]
pub(crate) enum Anchor {
    Roots(Arc<WebPkiServerVerifier>),
    Pin(Digest),
}

impl Anchor {
    pub(crate) fn roots(roots: &[CertificateDer<'_>]) -> Result<Self, crate::Error> {
        server_verifier(root_store(roots)?).map(Self::Roots).map_err(crate::Error::Setup)
    }
}

fn server_verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|_| Error::General("no usable root".into()))
}

impl ClientCertVerifier for EnrollingClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        peer::p256_spki(end_entity).map_err(bad_certificate)?;
        if intermediates.is_empty() {
            return Ok(ClientCertVerified::assertion());
        }
        let (_, not_after) = peer::validity(end_entity).map_err(bad_certificate)?;
        self.fleet.verify_client_cert(end_entity, intermediates, now.min(to_pki(not_after)))
    }

    p256_signatures!();
}

impl ServerCertVerifier for FleetServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let now = if self.floor { lifted(now, end_entity, intermediates)? } else { now };
        match &self.anchor {
            Anchor::Roots(fleet) => fleet.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            Anchor::Pin(digest) => {
                let (root, intermediates) = intermediates
                    .split_last()
                    .filter(|(root, _)| Digest::new(peer::sha256(root)) == *digest)
                    .ok_or(CertificateError::UnknownIssuer)?;
                let mut roots = RootCertStore::empty();
                roots.add(root.clone().into_owned())?;
                server_verifier(Arc::new(roots))?.verify_server_cert(
                    end_entity,
                    intermediates,
                    name,
                    ocsp,
                    now,
                )
            }
        }
    }

    p256_signatures!();
}

/// `now`, or the newest notBefore of the certificates, whichever is later.
fn lifted(
    now: UnixTime,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<UnixTime, Error> {
    std::iter::once(end_entity).chain(intermediates).try_fold(now, |now, certificate| {
        let (not_before, _) = peer::validity(certificate).map_err(bad_certificate)?;
        Ok(now.max(to_pki(not_before)))
    })
}

fn bad_certificate(_: crate::Error) -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}
