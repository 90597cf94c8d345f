use model::{Component, ModelName, SecurityCounter, TargetName, UnixTime, Version};

use crate::{Error, KeyId};

/// Why a device refuses what it was offered: one code for each check, stable on the wire.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The metadata in force has lapsed.
    #[error("the metadata expired at {expires}")]
    MetadataExpired {
        /// When.
        expires: UnixTime,
    },
    /// The trust keys are not those that the targets in force vouch for.
    #[error("the trust keys are not those in force")]
    TrustKeysMismatch,
    /// The trust keys do not parse.
    #[error("the trust keys are malformed")]
    TrustKeysMalformed,
    /// The ticket is not sealed to this device's key, or was altered.
    #[error("the ticket cannot be opened")]
    TicketUndecipherable,
    /// What is sealed is no ticket that keeps the rules of one.
    #[error("what is sealed is no sound ticket")]
    TicketMalformed,
    /// The key that signed the ticket is not trusted.
    #[error("the ticket's key {kid} is not trusted")]
    TicketKeyUnknown {
        /// The key.
        kid: KeyId,
    },
    /// The key that signed the ticket is trusted for something else, or for other models.
    #[error("the ticket's key {kid} is not trusted for this")]
    TicketKeyOutOfScope {
        /// The key.
        kid: KeyId,
    },
    /// The key that signed the ticket is trusted no longer.
    #[error("the ticket's key {kid} lapsed")]
    TicketKeyLapsed {
        /// The key.
        kid: KeyId,
    },
    /// The ticket's signature is not that of its key.
    #[error("the ticket's signature does not verify")]
    TicketSignatureInvalid,
    /// The ticket is for another fleet.
    #[error("the ticket is for another fleet")]
    WrongFleet,
    /// The ticket is for another device.
    #[error("the ticket is for another device")]
    WrongDevice,
    /// The ticket is for another KEM key.
    #[error("the ticket is for another KEM key")]
    WrongKemKey,
    /// The ticket is for another identity key.
    #[error("the ticket is for another identity key")]
    WrongIdentity,
    /// The ticket is for a bench to act on, or for a device that has no bench in between.
    #[error("the ticket names another deputy")]
    WrongDeputy,
    /// The ticket lives longer than a ticket may.
    #[error("the ticket lives too long")]
    LifeTooLong,
    /// The ticket's phase has not begun.
    #[error("the ticket counts from {not_before}")]
    NotYet {
        /// When it begins.
        not_before: UnixTime,
    },
    /// The ticket has lapsed.
    #[error("the ticket lapsed at {not_after}")]
    Expired {
        /// When.
        not_after: UnixTime,
    },
    /// The ticket, or its `seq`, is dated after the targets in force lapse: its signer's clock is
    /// wrong, and taking its `seq` would shut out every ticket to come.
    #[error("the ticket is dated after the targets in force")]
    DatedAhead,
    /// A ticket as new or newer was accepted before.
    #[error("a ticket of seq {stored} was accepted before")]
    SeqReplayed {
        /// The stored `seq`, for an honest signer to go above.
        stored: u64,
    },
    /// This ticket was carried out before.
    #[error("the ticket was carried out before")]
    TicketSpent {
        /// The stored `seq`, for an honest signer to go above.
        stored: u64,
    },
    /// This ticket was tried as often as a ticket is.
    #[error("the ticket has no attempts left")]
    AttemptsExhausted {
        /// The stored `seq`, for an honest signer to go above.
        stored: u64,
    },
    /// The installer is at work or new software runs on trial; nothing comes in between.
    #[error("{component} is between installer and confirmation")]
    TrialRunning {
        /// What is being updated.
        component: Component,
    },
    /// The targets in force are older than the ticket asks for.
    #[error("the ticket asks for targets metadata {needed}, in force is {found}")]
    TargetsTooOld {
        /// The lowest version that it asks for.
        needed: u64,
        /// The version in force.
        found: u64,
    },
    /// The targets in force do not list the ticket's target.
    #[error("{target} is not among the targets in force")]
    TargetUnknown {
        /// The target.
        target: TargetName,
    },
    /// Ticket and targets metadata say different things of the target.
    #[error("ticket and metadata differ about {target}")]
    TargetMismatch {
        /// The target.
        target: TargetName,
    },
    /// The target is for another model.
    #[error("the target is for {model}")]
    WrongModel {
        /// That model.
        model: ModelName,
    },
    /// The target is not for this hardware revision.
    #[error("the target is for other hardware revisions")]
    WrongHardware,
    /// The target is for another component, or for one that this device has not.
    #[error("the target is not for this device's {component}")]
    WrongComponent {
        /// What the ticket names.
        component: Component,
    },
    /// The sealed payload cannot hold the target.
    #[error("the sealed payload is not of the target's size")]
    PayloadMismatch,
    /// The version is not above the confirmed one.
    #[error("version {confirmed} is confirmed already")]
    NotNewer {
        /// The confirmed version.
        confirmed: Version,
    },
    /// Another component must be updated first.
    #[error("{component} must be {version} or newer")]
    RequiresUnmet {
        /// That component.
        component: Component,
        /// The lowest version that will do.
        version: Version,
    },
    /// A release in between must be installed first.
    #[error("{version} must be installed first")]
    MustPass {
        /// That release's version.
        version: Version,
    },
    /// The security counter is below the confirmed one.
    #[error("security counter {confirmed} is confirmed already")]
    SecurityCounterLower {
        /// The confirmed counter.
        confirmed: SecurityCounter,
    },
    /// The payload does not fit.
    #[error("{needed} bytes are needed")]
    NoSpace {
        /// How many bytes it takes.
        needed: u64,
    },
    /// The link is not sealed to this device's key, or was altered.
    #[error("the link cannot be opened")]
    LinkUndecipherable,
    /// What is sealed is no link that keeps the rules of one.
    #[error("what is sealed is no sound link")]
    LinkMalformed,
    /// The key that signed the link is not trusted for links, or no longer.
    #[error("the link's key {kid} is not trusted")]
    LinkKeyUnknown {
        /// The key.
        kid: KeyId,
    },
    /// The link's signature is not that of its key.
    #[error("the link's signature does not verify")]
    LinkSignatureInvalid,
    /// The link is for another device.
    #[error("the link is for another device")]
    LinkWrongDevice,
    /// The link is for another identity key.
    #[error("the link is for another identity key")]
    LinkWrongIdentity,
    /// The link leads to another server.
    #[error("the link leads to another server")]
    LinkWrongOrigin,
    /// The link leads to another payload than the ticket's.
    #[error("the link leads to another payload")]
    LinkWrongPayload,
    /// The link has lapsed.
    #[error("the link lapsed at {not_after}")]
    LinkExpired {
        /// When.
        not_after: UnixTime,
    },
}

impl Refusal {
    /// The code under which it is reported.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::MetadataExpired { .. } => "metadata_expired",
            Self::TrustKeysMismatch => "trust_keys_mismatch",
            Self::TrustKeysMalformed => "trust_keys_malformed",
            Self::TicketUndecipherable => "ticket_undecipherable",
            Self::TicketMalformed => "ticket_malformed",
            Self::TicketKeyUnknown { .. } => "ticket_key_unknown",
            Self::TicketKeyOutOfScope { .. } => "ticket_key_out_of_scope",
            Self::TicketKeyLapsed { .. } => "ticket_key_lapsed",
            Self::TicketSignatureInvalid => "ticket_signature_invalid",
            Self::WrongFleet => "wrong_fleet",
            Self::WrongDevice => "wrong_device",
            Self::WrongKemKey => "wrong_kem_key",
            Self::WrongIdentity => "wrong_identity",
            Self::WrongDeputy => "wrong_deputy",
            Self::LifeTooLong => "life_too_long",
            Self::NotYet { .. } => "not_yet",
            Self::Expired { .. } => "expired",
            Self::DatedAhead => "dated_ahead",
            Self::SeqReplayed { .. } => "seq_replayed",
            Self::TicketSpent { .. } => "ticket_spent",
            Self::AttemptsExhausted { .. } => "attempts_exhausted",
            Self::TrialRunning { .. } => "trial_running",
            Self::TargetsTooOld { .. } => "targets_too_old",
            Self::TargetUnknown { .. } => "target_unknown",
            Self::TargetMismatch { .. } => "target_mismatch",
            Self::WrongModel { .. } => "wrong_model",
            Self::WrongHardware => "wrong_hardware",
            Self::WrongComponent { .. } => "wrong_component",
            Self::PayloadMismatch => "payload_mismatch",
            Self::NotNewer { .. } => "not_newer",
            Self::RequiresUnmet { .. } => "requires_unmet",
            Self::MustPass { .. } => "must_pass",
            Self::SecurityCounterLower { .. } => "security_counter_lower",
            Self::NoSpace { .. } => "no_space",
            Self::LinkUndecipherable => "link_undecipherable",
            Self::LinkMalformed => "link_malformed",
            Self::LinkKeyUnknown { .. } => "link_key_unknown",
            Self::LinkSignatureInvalid => "link_signature_invalid",
            Self::LinkWrongDevice => "link_wrong_device",
            Self::LinkWrongIdentity => "link_wrong_identity",
            Self::LinkWrongOrigin => "link_wrong_origin",
            Self::LinkWrongPayload => "link_wrong_payload",
            Self::LinkExpired { .. } => "link_expired",
        }
    }

    /// The stored `seq` that a signed refusal carries home, where the ticket was refused for its own.
    pub const fn stored_seq(&self) -> Option<u64> {
        if let Self::SeqReplayed { stored }
        | Self::TicketSpent { stored }
        | Self::AttemptsExhausted { stored } = self
        {
            Some(*stored)
        } else {
            None
        }
    }

    /// What a ticket that was opened failed at.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong, it is no sound ticket")]
    pub(super) fn of_ticket(error: &Error) -> Self {
        match error {
            Error::UnknownKey { kid } => Self::TicketKeyUnknown { kid: *kid },
            Error::Role { kid, .. } | Error::Scope { kid, .. } => Self::TicketKeyOutOfScope { kid: *kid },
            Error::KeyLapsed { kid, .. } => Self::TicketKeyLapsed { kid: *kid },
            Error::Signature | Error::Algorithm { .. } => Self::TicketSignatureInvalid,
            Error::Foreign { field: "fleet" } => Self::WrongFleet,
            Error::Foreign { field: "device_id" } => Self::WrongDevice,
            Error::Foreign { field: "kem" } => Self::WrongKemKey,
            Error::Foreign { field: "spki" } => Self::WrongIdentity,
            Error::Foreign { field: "deputy" } => Self::WrongDeputy,
            _ => Self::TicketMalformed,
        }
    }

    /// What a link that was opened failed at.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong, it is no sound link")]
    pub(super) fn of_link(error: &Error) -> Self {
        match error {
            Error::UnknownKey { kid } | Error::Role { kid, .. } | Error::KeyLapsed { kid, .. } => {
                Self::LinkKeyUnknown { kid: *kid }
            }
            Error::Signature | Error::Algorithm { .. } => Self::LinkSignatureInvalid,
            Error::Foreign { field: "device_id" } => Self::LinkWrongDevice,
            Error::Foreign { field: "spki" } => Self::LinkWrongIdentity,
            Error::Foreign { field: "origin" } => Self::LinkWrongOrigin,
            Error::Foreign { field: "segment_list" } => Self::LinkWrongPayload,
            Error::Lapsed { not_after } => Self::LinkExpired { not_after: *not_after },
            _ => Self::LinkMalformed,
        }
    }
}
