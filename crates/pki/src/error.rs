/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is behind a lock.
    #[error("the vault is locked")]
    Locked,
    /// The key refused or its container failed.
    #[error("failed to sign: {reason}")]
    Failed {
        /// What its container said.
        reason: String,
    },
}

/// Why no certificate was issued, or why one is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not strict DER of the expected structure, or a part of it breaks the profile.
    #[error("malformed {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// Bytes that are no point on P-256.
    #[error("not a public key on P-256")]
    NotP256,
    /// The signer's key is not the one in the CA's certificate.
    #[error("the signing key does not belong to the CA's certificate")]
    SignerMismatch,
    /// The CA may not issue this kind of certificate.
    #[error("this CA may not issue {what}")]
    WrongCa {
        /// What was asked of it.
        what: &'static str,
    },
    /// The certificate would be valid beyond its CA, or end before it begins.
    #[error("the validity asked for is outside that of the CA")]
    Validity,
    /// A name does not fit where it should go.
    #[error("{what} does not fit into a certificate")]
    Name {
        /// Whose name it is.
        what: &'static str,
    },
    /// The finished certificate does not carry the key that was asked for.
    #[error("the issued certificate carries another key")]
    KeyChanged,
    /// The key's container signed nothing.
    #[error("failed to sign the certificate")]
    Sign(#[from] SignError),
    /// No valid path leads to a trusted root.
    #[error("failed to verify the certificate's path: {reason}")]
    Path {
        /// What was wrong with the most promising path.
        reason: webpki::Error,
    },
}

impl Error {
    pub(crate) fn malformed(what: &'static str) -> impl Fn(der::Error) -> Self {
        move |_| Self::Malformed { what }
    }
}
