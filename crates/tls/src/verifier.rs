//! What each end asks of the other's certificate.

use std::sync::Arc;

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

pub(crate) fn root_store(roots: &[CertificateDer<'_>]) -> Result<Arc<RootCertStore>, crate::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone().into_owned()).map_err(|_| crate::Error::NoRoot)?;
    }
    if store.is_empty() { Err(crate::Error::NoRoot) } else { Ok(Arc::new(store)) }
}

/// Clients of the normal endpoint: a certificate of the fleet that is in force.
pub(crate) fn fleet_client(roots: Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, crate::Error> {
    WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(|_| crate::Error::NoRoot)
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
