use model::{Digest, SpkiDigest, UnixTime};
use pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use x509_cert::der::Decode as _;

use crate::Error;

/// Who is at the other end of a connection, as its handshake proved. It says nothing about whether
/// they are still welcome: a resumed session verifies nothing anew, so that is looked up at every
/// request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerIdentity {
    /// SHA-256 of the certificate.
    pub certificate_sha256: Digest,
    /// SHA-256 of its public key.
    pub spki: SpkiDigest,
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Whether they came by the enrolment endpoint: then the key is proven and nothing else is.
    pub enrolling: bool,
}

/// What SubjectPublicKeyInfo begins with when the key is an uncompressed point on P-256 (RFC 5480).
const P256_SPKI_HEAD: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

impl PeerIdentity {
    /// The identity that a certificate stands for.
    ///
    /// # Errors
    /// It is no certificate over a P-256 key.
    pub fn of(certificate: CertificateDer<'static>, enrolling: bool) -> Result<Self, Error> {
        let spki = p256_spki(&certificate)?;
        Ok(Self {
            certificate_sha256: Digest::new(sha256(&certificate)),
            spki: SpkiDigest::new(sha256(&spki)),
            certificate,
            enrolling,
        })
    }
}

/// The certificate's SubjectPublicKeyInfo, if it is one over P-256.
pub(crate) fn p256_spki(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate)
        .map_err(|_| Error::Certificate { reason: "it is not X.509 version 3 in DER" })?;
    let spki = parsed.subject_public_key_info();
    if spki.len() != P256_SPKI_HEAD.len() + 64 || !spki.starts_with(&P256_SPKI_HEAD) {
        return Err(Error::Certificate { reason: "its key is not on P-256" });
    }
    Ok(spki)
}

/// From when to when a certificate holds.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Result<(UnixTime, UnixTime), Error> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|_| Error::Certificate { reason: "it is not X.509 version 3 in DER" })?;
    let validity = parsed.tbs_certificate().validity();
    let instant = |time: x509_cert::time::Time| UnixTime::from_secs(time.to_unix_duration().as_secs());
    Ok((instant(validity.not_before), instant(validity.not_after)))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}
