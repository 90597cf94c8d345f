use std::sync::Arc;

use pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::{Error, peer};

/// What one end shows of itself: a certificate chain and the key of its first certificate.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// An identity whose key signs elsewhere, such as in a vault or a secure element. `chain` begins
    /// with the certificate of `key`; a server's ends with the root, so that an enrolling device can
    /// compare that with its token.
    ///
    /// # Errors
    /// The chain is empty or does not begin with a P-256 certificate, or the key tells that it is
    /// another one.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Result<Self, Error> {
        let first = chain.first().ok_or(Error::Certificate { reason: "the chain is empty" })?;
        peer::p256_spki(first)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self { certified: Arc::new(certified) })
            }
            Err(source) => Err(Error::Key(source)),
        }
    }

    /// An identity whose P-256 key is at hand, as PKCS#8 (RFC 5958) in DER.
    ///
    /// # Errors
    /// As [`Identity::new`], or the key cannot be read.
    pub fn from_pkcs8(chain: Vec<CertificateDer<'static>>, pkcs8: &[u8]) -> Result<Self, Error> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8));
        let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).map_err(Error::Key)?;
        Self::new(chain, key)
    }

    /// The certificate chain, the own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}
