use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $status:literal;)*) => {
        /// What went wrong, as a closed set that programs and screens switch on. The text beside it
        /// is for people and may change; a code never does.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "ts", derive(ts_rs::TS))]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// The HTTP status (RFC 9110) that carries it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The request could not be read.
    InvalidRequest = "invalid_request", 400;
    /// A certificate signing request breaks the policy.
    InvalidCsr = "invalid_csr", 400;
    /// A signed or sealed object could not be read or does not verify.
    InvalidObject = "invalid_object", 400;
    /// TUF metadata does not verify or does not follow on the present one.
    InvalidMetadata = "invalid_metadata", 400;
    /// An artifact does not fit what it is declared to be.
    InvalidArtifact = "invalid_artifact", 400;
    /// The fleet knows no such model, or no such revision of its hardware.
    UnknownModel = "unknown_model", 400;
    /// The artifact is larger than the slot that it is for.
    SlotTooSmall = "slot_too_small", 400;
    /// The version is not above what is out already.
    VersionNotRising = "version_not_rising", 400;
    /// The security counter is below what is out already.
    CounterFalls = "counter_falls", 400;
    /// No rollout can follow this policy.
    InvalidPolicy = "invalid_policy", 400;
    /// The body is larger than is taken here.
    TooLarge = "too_large", 413;
    /// There is nothing of that name, or it is not for you.
    NotFound = "not_found", 404;
    /// The state of the thing does not allow this now.
    Conflict = "conflict", 409;
    /// What was previewed is no longer what would happen.
    PreviewStale = "preview_stale", 409;
    /// Something has to be done first.
    PreconditionFailed = "precondition_failed", 412;
    /// Your role does not allow this.
    Forbidden = "forbidden", 403;
    /// The vault is locked.
    VaultLocked = "vault_locked", 423;
    /// The passphrase is wrong, or it is too early for another try.
    WrongPassphrase = "wrong_passphrase", 403;
    /// The vault file is damaged, edited, older than last seen or readable by others.
    VaultUntrusted = "vault_untrusted", 412;
    /// Too few signatures.
    ThresholdNotMet = "threshold_not_met", 412;
    /// You have signed this, or another key of yours has: one person is one voice.
    AlreadySigned = "already_signed", 409;
    /// Who proposed something does not approve it.
    OwnProposal = "own_proposal", 403;
    /// The signature or verdict is over something else than is asked for.
    OtherContent = "other_content", 409;
    /// The keys or the threshold changed since: it must be asked for anew.
    PolicyChanged = "policy_changed", 409;
    /// Nobody may sign this any more.
    RequestExpired = "request_expired", 410;
    /// The key was taken out of the fleet's root.
    KeyRevoked = "key_revoked", 403;
    /// The fleet's metadata does not list the key for this.
    KeyNotListed = "key_not_listed", 403;
    /// The enrolment token is unknown, lapsed or used by another key.
    TokenRefused = "token_refused", 403;
    /// This key was seen before, at another device.
    KeySeen = "key_seen", 409;
    /// This serial number has another key: only an explicit replace may change it.
    SerialTaken = "serial_taken", 409;
    /// No device of this certificate is known.
    DeviceUnrecognized = "device_unrecognized", 403;
    /// The certificate, or the device, was revoked.
    Revoked = "revoked", 403;
    /// The device's counter forked: its disk was copied.
    DeviceCloned = "device_cloned", 409;
    /// The device is not there.
    DeviceLost = "device_lost", 409;
    /// The link is unknown, used, lapsed or another device's. Which of them, it does not say.
    LinkGone = "link_gone", 404;
    /// The range asked for lies outside the sealed payload.
    RangeUnsatisfiable = "range_unsatisfiable", 416;
    /// The disk is full.
    StorageFull = "storage_full", 507;
    /// Too many requests: come back later.
    Busy = "busy", 503;
    /// The request or its body took too long.
    Timeout = "timeout", 408;
    /// The other end could not be reached.
    NetworkUnreachable = "network_unreachable", 502;
    /// The other end is not who it should be, or what it sent does not verify.
    Untrusted = "untrusted", 502;
    /// Somebody stopped it.
    Canceled = "canceled", 499;
    /// A rule of the device was broken by what it was offered.
    Refused = "refused", 409;
    /// A log was cut or rewritten: its head does not follow on the one that was seen before.
    LogForked = "log_forked", 409;
    /// The backend was restored from a backup, and serves nothing until an admin has recovered it.
    BackendRestored = "backend_restored", 503;
    /// Our fault.
    Internal = "internal", 500;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every answer that is not a success.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[error("{message}")]
pub struct ErrorBody {
    /// What went wrong.
    pub code: ErrorCode,
    /// What happened, in English, as one sentence.
    pub message: String,
    /// Why, where more is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub detail: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub hint: Option<String>,
    /// Which fields of the request are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldError>,
    /// Finds the request in the backend's log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
}

/// What is wrong with one field of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FieldError {
    /// The field's path, such as `policy.phases.0.devices`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl ErrorBody {
    /// An error of this code with this sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            fields: Vec::new(),
            trace_id: String::new(),
        }
    }

    /// With the reason why.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_spelling_and_an_error_status() {
        let mut spellings: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        spellings.sort_unstable();
        spellings.dedup();
        assert_eq!(spellings.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&code.status()), "{code}");
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        }
    }
}
