use std::io;

use protocol::{ErrorBody, ErrorCode};

use crate::disk;

/// Why the device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The medium failed or is full.
    #[error("failed to {action}")]
    Storage {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The device has no certificate yet.
    #[error("the device is not enrolled")]
    NotEnrolled,
    /// There is no enrolment under way that could be taken up.
    #[error("no enrolment is under way, and no token was given")]
    NoToken,
    /// What the device must not go back behind is damaged in both copies, or gone; or its identity is.
    #[error("the stored state is lost: it is damaged or missing")]
    StateLost,
    /// The backend's address cannot stand in a request.
    #[error("the backend's address is none")]
    Address,
    /// The backend could not be reached, or the connection broke.
    #[error("failed to {action} over the network")]
    Network {
        /// What was attempted.
        action: &'static str,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The other end is not who it should be, or refuses this device.
    #[error("no secure connection to the backend")]
    Tls(#[source] tls::Error),
    /// The backend answered with an error.
    #[error("the backend refused with status {status}")]
    Backend {
        /// The HTTP status (RFC 9110).
        status: u16,
        /// What it says.
        #[source]
        error: Box<ErrorBody>,
    },
    /// The backend answered with something else than what was asked for.
    #[error("{reason}")]
    Answer {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No certificate is issued for this request.
    #[error("the enrolment was refused")]
    Refused(#[source] Box<ErrorBody>),
    /// The certificate that came back is not this device's, or not of this fleet.
    #[error("the certificate is not to be trusted: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// The metadata does not verify.
    #[error("the metadata is not to be trusted")]
    Metadata(#[from] envelope::tuf::Error),
    /// The trusted keys are not those that the metadata vouches for.
    #[error("the fleet's keys are not to be trusted: {reason}")]
    Keys {
        /// What is wrong with them.
        reason: String,
    },
    /// A signed or sealed object does not verify.
    #[error("what came is not to be trusted")]
    Object(#[from] envelope::Error),
    /// A key could not be made or used.
    #[error("a key of the device failed")]
    Key {
        /// Which one and how.
        reason: String,
    },
}

impl Error {
    pub(crate) fn storage(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Storage { action, source }
    }

    /// The code that programs switch on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Storage { source, .. } if disk::is_full(source) => ErrorCode::StorageFull,
            Self::Storage { .. } => ErrorCode::Internal,
            Self::NotEnrolled | Self::NoToken | Self::StateLost => ErrorCode::PreconditionFailed,
            Self::Address => ErrorCode::InvalidRequest,
            Self::Network { .. } => ErrorCode::NetworkUnreachable,
            Self::Backend { error, .. } | Self::Refused(error) => error.code,
            Self::Tls(_)
            | Self::Answer { .. }
            | Self::Certificate { .. }
            | Self::Metadata(_)
            | Self::Keys { .. }
            | Self::Object(_) => ErrorCode::Untrusted,
            Self::Key { .. } => ErrorCode::Internal,
        }
    }

    /// What a person may do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Storage { .. } => "check the data folder's disk: space, permissions, health",
            Self::NotEnrolled => "run `fleetseal-agent enrol` with a token for this device",
            Self::NoToken => "hand over the token with --token-file, --token-fd or --token -",
            Self::StateLost => "issue a fresh token for this device and run `fleetseal-agent enrol` with it",
            Self::Address => "issue a token with the backend's address as host and port",
            Self::Network { .. } => "check the device's network, and that the backend is up",
            Self::Tls(_) => "check that the device is not revoked and that the address is the backend's",
            Self::Backend { .. } | Self::Refused(_) => "look the device up in the operator's screens",
            Self::Answer { .. } => "check that agent and backend are of matching versions",
            Self::Certificate { .. } | Self::Metadata(_) | Self::Keys { .. } | Self::Object(_) => {
                "nothing was changed; if it stays, tell the operator: somebody may be interfering"
            }
            Self::Key { .. } => "check the data folder; a lost key needs a replacement and a fresh token",
        }
    }

    /// Whether trying again later may help without anybody's doing.
    pub const fn passes(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Tls(_) | Self::Answer { .. } => true,
            Self::Backend { status, .. } => *status >= 500 || *status == 408 || *status == 429,
            Self::Storage { .. }
            | Self::NotEnrolled
            | Self::NoToken
            | Self::StateLost
            | Self::Address
            | Self::Refused(_)
            | Self::Certificate { .. }
            | Self::Metadata(_)
            | Self::Keys { .. }
            | Self::Object(_)
            | Self::Key { .. } => false,
        }
    }
}
