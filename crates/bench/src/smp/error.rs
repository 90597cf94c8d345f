use std::io;

/// Why an exchange with a device came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The line is gone.
    #[error("the line is gone")]
    Line(#[from] io::Error),
    /// Nobody answered, however often asked.
    #[error("no answer to {what}")]
    NoAnswer {
        /// What was asked.
        what: &'static str,
    },
    /// The device refused.
    #[error("the device refused {what}: result {code} of group {group}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The group whose result it is.
        group: u16,
        /// The result, as the group defines it; for version 1 of the protocol, one of
        /// [`protocol::smp::group::result`].
        code: u64,
    },
    /// The answer lacks what it must have.
    #[error("malformed answer to {what}")]
    Malformed {
        /// What was asked.
        what: &'static str,
    },
    /// The device went back to an earlier offset again and again.
    #[error("the device keeps losing what was uploaded")]
    Regressed,
    /// What arrived in the device is not what was sent, by the device's own hash.
    #[error("the device has other bytes than were sent")]
    Corrupt,
    /// A message of the device's size has no room for anything.
    #[error("the device's buffer of {bytes} bytes is too small")]
    BufferTooSmall {
        /// Its size.
        bytes: usize,
    },
    /// Somebody canceled.
    #[error("canceled")]
    Canceled,
}

impl Error {
    /// Whether the device is there and will not: asking again leads to the same.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::BufferTooSmall { .. })
    }

    /// Whether the device does not know the command: it answers, and cannot do this.
    pub const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == protocol::smp::group::result::UNSUPPORTED)
    }
}
