use model::{DeviceId, ModelName, PersonName, ReleaseId, Role, RolloutId, SpkiDigest, UnixTime, Version};
use protocol::{
    Base64,
    operator::{Person, SignatureRequest},
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::MemberCard;

/// What one of a member's keys is listed for in `trust/keys.cbor`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ListedFor {
    /// Signing tickets.
    Ticket,
    /// Signing sealed-artifact records.
    Seal,
    /// Signing grants, replacements and revocation lists.
    Grant,
    /// Signing the head of the vault's audit log.
    Audit,
    /// Receiving content keys.
    Member,
    /// Opening tickets on the service bench in a device's stead.
    Bench,
}

/// A TUF role that people sign for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum SignedBy {
    /// The root.
    Root,
    /// Releases and the trust keys.
    Targets,
}

/// One edit of whom the fleet trusts for what.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// Lists keys of a person's card.
    List {
        /// Their card.
        card: MemberCard,
        /// Which keys.
        keys: Vec<ListedFor>,
        /// For which models; all if none is named.
        models: Vec<ModelName>,
        /// Until when; for good if left out.
        #[serde(default)]
        #[ts(optional)]
        not_after: Option<UnixTime>,
    },
    /// Puts the keys of a person's new card in the place of those that are listed. What the old ones signed
    /// holds until it lapses; the old KEM key receives nothing more.
    Rotate {
        /// The new card.
        card: MemberCard,
    },
    /// Takes one key off the list.
    Unlist {
        /// Its id.
        key: String,
    },
    /// Gives a listed key another scope.
    Scope {
        /// Its id.
        key: String,
        /// For which models; all if none is named.
        models: Vec<ModelName>,
        /// Until when; for good if left out.
        #[serde(default)]
        #[ts(optional)]
        not_after: Option<UnixTime>,
    },
    /// Takes all of a person's keys away: those that are listed, and those of root and targets.
    RemovePerson {
        /// Who.
        holder: PersonName,
    },
    /// Lets a person sign for root and targets, with the keys of their card in the place of any that they
    /// had.
    AddKeyHolder {
        /// Their card.
        card: MemberCard,
    },
    /// Takes a key away from root and targets.
    RemoveKey {
        /// Its TUF id.
        key: String,
    },
    /// Asks for another number of signatures.
    Threshold {
        /// For what.
        role: SignedBy,
        /// How many.
        threshold: u32,
    },
    /// Names new keys of the backend: for snapshot, timestamp and links.
    Online {
        /// Ed25519.
        snapshot: Base64,
        /// Ed25519.
        timestamp: Base64,
        /// Ed25519.
        link: Base64,
    },
    /// Lists another X.509 root beside those in force.
    ListRoot {
        /// The certificate, DER.
        certificate: Base64,
    },
    /// Signs the metadata anew, so that it lives longer.
    Renew {
        /// What.
        role: SignedBy,
    },
}

/// Asks key holders to sign a change of whom the fleet trusts.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct DraftChange {
    /// What it changes, in this order.
    pub edits: Vec<Edit>,
    /// Why.
    pub reason: String,
}

/// What key holders were asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DraftedChange {
    /// The requests, in the order in which they are to be signed.
    pub requests: Vec<SignatureRequest>,
    /// The root cannot follow yet: draft the same change again once these requests are in force.
    pub root_follows: bool,
}

/// A key that the fleet trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TrustedKeyRow {
    /// Its id: eight bytes in hexadecimal, or a TUF key id.
    pub id: String,
    /// What for: a role of the trust keys, or of the TUF root.
    pub role: String,
    /// Who holds it, if the metadata says.
    pub holder: String,
    /// For which models; all if none is named.
    pub models: Vec<ModelName>,
    /// Until when, if not for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub not_after: Option<UnixTime>,
}

/// Whom the fleet trusts for what, as this workspace verified it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FleetKeys {
    /// The keys.
    pub keys: Vec<TrustedKeyRow>,
    /// How many must sign a root.
    pub root_threshold: u32,
    /// How many must sign a release.
    pub targets_threshold: u32,
}

/// Gives a member other roles.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct SetRoles {
    /// The key of their certificate.
    pub spki: SpkiDigest,
    /// What they may do from now on.
    pub roles: Vec<Role>,
}

/// Makes somebody a member, by their card: a certificate, their keys, an invitation.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct AddPerson {
    /// Their card.
    pub card: MemberCard,
    /// What they may do.
    pub roles: Vec<Role>,
    /// For which models their keys are listed; all if none is named.
    #[serde(default)]
    pub models: Vec<ModelName>,
    /// Until when their keys are listed; for good if left out.
    #[serde(default)]
    #[ts(optional)]
    pub not_after: Option<UnixTime>,
    /// They sign for root and targets as well.
    #[serde(default)]
    pub key_holder: bool,
    /// Where to write the invitation by which they join.
    pub invitation: String,
}

/// A new member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AddedPerson {
    /// As the backend knows them.
    pub person: Person,
    /// What key holders have to sign before the member's keys count.
    pub change: DraftedChange,
}

/// Gives a member a fresh certificate over the key that they have.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct RenewPerson {
    /// Their card.
    pub card: MemberCard,
    /// Where to write the invitation with the certificate.
    pub invitation: String,
}

/// Ends somebody's membership at once.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct RemovePerson {
    /// The key of their certificate.
    pub spki: SpkiDigest,
    /// Why.
    pub reason: String,
}

/// A release whose content key somebody's vault could open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ExposedRelease {
    /// Which.
    pub release: ReleaseId,
    /// What people call it.
    pub version: Version,
    /// Rollouts that still offer it.
    pub rollouts: Vec<RolloutId>,
}

/// What became of a membership's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RemovedPerson {
    /// What key holders have to sign before the person's keys count no more; none if nothing was listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub change: Option<DraftedChange>,
    /// What their vault could open: seal it again.
    pub exposed: Vec<ExposedRelease>,
}

/// How soon something lapses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It has lapsed.
    Lapsed,
    /// In less than 30 days.
    Urgent,
    /// In less than 90 days.
    Soon,
    /// Later.
    Later,
}

/// Something that lapses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Expiry {
    /// What.
    pub what: String,
    /// When.
    pub expires_at: UnixTime,
    /// How soon that is.
    pub urgency: Urgency,
    /// What to do about it.
    pub remedy: String,
}

/// Somebody looked at an alarm.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct AlarmNumber {
    /// Its number.
    #[ts(type = "number")]
    pub number: u64,
}

/// A person found that no disk was copied after all.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ClearCloned {
    /// The device.
    pub device: DeviceId,
    /// The preview's token.
    pub token: String,
}
