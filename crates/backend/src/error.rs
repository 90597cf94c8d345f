use std::{io, path::PathBuf};

/// Why a backend was not set up, not opened, or does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the backend could not be read or written.
    #[error("failed to access `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key file that others can read, or that holds no key.
    #[error("`{}` is no private key that only this user can read", path.display())]
    KeyFile {
        /// Which.
        path: PathBuf,
    },
    /// The backend has made no keys yet.
    #[error("the backend was not initialised")]
    NotInitialised,
    /// The backend belongs to no fleet yet.
    #[error("the backend was not adopted by a fleet")]
    NotAdopted,
    /// The origin is no `https://host:port`.
    #[error("`{origin}` is no origin such as https://updates.example:8443")]
    Origin {
        /// As given.
        origin: String,
    },
    /// What a fleet handed over does not hold together, or is not for this backend.
    #[error("{reason}")]
    Founding {
        /// What is wrong with it.
        reason: String,
    },
    /// The database or the artifacts failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// The TLS configuration does not hold together.
    #[error("failed to set up TLS")]
    Tls(#[from] tls::Error),
    /// A signed object was not made or does not verify.
    #[error("a signed object does not hold")]
    Envelope(#[from] envelope::Error),
    /// Metadata does not verify.
    #[error("metadata does not hold")]
    Metadata(#[from] envelope::tuf::Error),
    /// A certificate does not hold.
    #[error("a certificate does not hold")]
    Certificate(#[from] pki::Error),
}

impl Error {
    pub(crate) fn founding(reason: impl Into<String>) -> Self {
        Self::Founding { reason: reason.into() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
