use model::{FleetId, UnixTime};
use pki::{CaCertificate, Chain, Usage};
use protocol::Base64;
use serde::{Deserialize, Serialize};
use tls::CertificateDer;

/// Which fleet a backend serves, and the certificates around it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Fleet {
    pub(crate) id: FleetId,
    pub(crate) ca_root: Base64,
    pub(crate) issuing_cas: Vec<Base64>,
    pub(crate) server_certificate: Base64,
}

/// Where it stands among the store's documents.
pub(crate) const FLEET: &str = "private/fleet.json";

impl Fleet {
    /// Verifies a certificate under the fleet's root.
    pub(crate) fn verify(&self, leaf: &[u8], now: UnixTime, usage: Usage) -> Result<Chain, pki::Error> {
        pki::verify_chain(leaf, &self.intermediates(), &[der(&self.ca_root)], Some(now), usage)
    }

    pub(crate) fn intermediates(&self) -> Vec<CertificateDer<'static>> {
        self.issuing_cas.iter().map(der).collect()
    }

    /// What the server shows: its certificate, the CA that issued it, and the root, which an enrolling
    /// device compares with its token.
    pub(crate) fn server_chain(&self, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, pki::Error> {
        let chain = self.verify(&self.server_certificate, now, Usage::Server)?;
        Ok(vec![
            der(&self.server_certificate),
            chain.issuer().certificate().der().clone(),
            der(&self.ca_root),
        ])
    }

    /// Takes another issuing CA on record; whether it is new. That the root signed it shows whenever a
    /// certificate is verified over it.
    pub(crate) fn add_ca(&mut self, certificate: &Base64) -> Result<bool, pki::Error> {
        CaCertificate::parse(certificate)?;
        if self.issuing_cas.contains(certificate) {
            return Ok(false);
        }
        self.issuing_cas.push(certificate.clone());
        Ok(true)
    }
}

fn der(bytes: &Base64) -> CertificateDer<'static> {
    CertificateDer::from(bytes.0.clone())
}
