//! Certificate profiles, CSR policy, issuing, reading and verifying (X.509, RFC 5280).
//!
//! Pure: keys are behind [`P256Signer`], time and randomness come in as arguments. Everything is
//! ECDSA over P-256 with SHA-256, written and read as strict DER; nothing else is issued, and nothing
//! else is taken in a request.

mod asn1;
mod ca;
mod certificate;
mod chain;
mod crl;
mod csr;
mod draft;
mod error;
mod kem;
mod key;
mod name;
mod oid;
mod profile;

pub use ca::{Ca, CaCertificate, CaKind, CaProfile, CaRole, RootProfile};
pub use certificate::{Certificate, DeviceCertificate, PersonCertificate, ServerCertificate};
pub use chain::{Chain, Usage, verify_chain};
pub use crl::{Revoked, crl};
pub use csr::{Csr, CsrError, IdentityCsr};
pub use draft::certificate_serial;
pub use error::{Error, SignError};
pub use key::{P256PublicKey, P256Signer};
pub use name::{FleetDomain, FleetDomainError, Organization};
pub use pki_types::CertificateDer;
pub use profile::{DeviceProfile, PersonProfile, ServerProfile, self_signed};

pub mod request {
    //! The asking side: what a device or a workspace sends to be given a certificate.
    pub use crate::csr::{build, build_identity};
}

#[cfg(test)]
mod tests;
