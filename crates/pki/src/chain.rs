//! Whether a certificate leads to a trusted root, for a desktop that believes no backend.

use std::time::Duration;

use model::{SpkiDigest, UnixTime};
use pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, aws_lc_rs::ECDSA_P256_SHA256};

use crate::{
    CaCertificate, CaRole, Certificate, DeviceCertificate, Error, PersonCertificate, ServerCertificate, name,
};

/// What a certificate is to be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// As a device.
    Device,
    /// As a person.
    Person,
    /// As a server.
    Server,
}

/// A path that was verified: the issuing CA and the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    issuer: CaCertificate,
    root: SpkiDigest,
}

impl Chain {
    /// The CA that issued the certificate.
    pub const fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    /// The SHA-256 of the root's SubjectPublicKeyInfo.
    pub const fn root(&self) -> SpkiDigest {
        self.root
    }
}

/// Verifies the path from `leaf` over one of `intermediates` to one of `roots` (RFC 5280, 6):
/// signatures, names, name constraints, path lengths, key usages and validity; then that the issuing CA
/// is of the right kind and that `leaf` fits the profile and its CA's name space.
///
/// Without `now`, for those who have no clock, the validity is judged at the instant that `leaf` begins.
/// Revocation is not judged here.
///
/// # Errors
/// A certificate is malformed, or no path holds.
pub fn verify_chain(
    leaf: &[u8],
    intermediates: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    now: Option<UnixTime>,
    usage: Usage,
) -> Result<Chain, Error> {
    let certificate = Certificate::parse(leaf)?;
    let der = CertificateDer::from(leaf);
    let path = |reason| Error::Path { reason };
    let end = EndEntityCert::try_from(&der).map_err(path)?;
    let anchors = roots.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>().map_err(path)?;
    let at = Duration::from_secs(now.unwrap_or(certificate.not_before()).as_secs());
    let key_usage = match usage {
        Usage::Device | Usage::Person => KeyUsage::client_auth(),
        Usage::Server => KeyUsage::server_auth(),
    };
    let verified = end
        .verify_for_usage(
            &[ECDSA_P256_SHA256],
            &anchors,
            intermediates,
            pki_types::UnixTime::since_unix_epoch(at),
            key_usage,
            None,
            None,
        )
        .map_err(path)?;

    let mut between = verified.intermediate_certificates();
    let (Some(issuer), None) = (between.next(), between.next()) else {
        return Err(Error::WrongCa { what: "this certificate without an issuing CA between" });
    };
    let issuer = CaCertificate::parse(&issuer.der())?;
    match (usage, issuer.role()) {
        (Usage::Device, CaRole::Devices { domain }) => {
            if DeviceCertificate::parse(leaf)?.station_domain() != &**domain {
                return Err(Error::Path { reason: webpki::Error::NameConstraintViolation });
            }
        }
        (Usage::Person, CaRole::People { domain }) => {
            if !name::is_below(PersonCertificate::parse(leaf)?.dns_name(), domain) {
                return Err(Error::Path { reason: webpki::Error::NameConstraintViolation });
            }
        }
        (Usage::Server, CaRole::Servers) => {
            ServerCertificate::parse(leaf)?;
        }
        (Usage::Device | Usage::Person | Usage::Server, _) => {
            return Err(Error::WrongCa { what: "certificates for this use" });
        }
    }
    let anchor = verified.anchor();
    let spki = webpki::spki_for_anchor(anchor);
    let root = SpkiDigest::new(*crate::key::sha256(&spki).as_bytes());
    Ok(Chain { issuer, root })
}
