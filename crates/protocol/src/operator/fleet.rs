use model::{FleetId, PersonName, Role, SpkiDigest, UnixTime};
use serde::{Deserialize, Serialize};

use super::{DeviceCounts, LinkCounts};
use crate::Base64;

/// What a backend's `init` hands out: the public halves of the keys that it made for itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct BackendIdentity {
    /// Where devices and people reach it: `https://host:port`.
    pub origin: String,
    /// A certificate request (PKCS#10, DER) for its TLS key.
    pub csr: Base64,
    /// Ed25519: signs TUF snapshot metadata.
    pub snapshot: Base64,
    /// Ed25519: signs TUF timestamp metadata.
    pub timestamp: Base64,
    /// Ed25519: signs links and check-ins.
    pub link: Base64,
    /// Ed25519: signs the head of its audit log.
    pub audit: Base64,
}

/// What founding hands to a backend once: from here on it serves this fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adopt {
    /// The fleet.
    pub fleet: FleetId,
    /// TUF root metadata, signed by the threshold.
    pub root: Base64,
    /// The first TUF targets metadata, signed by the threshold; it lists `trust/keys.cbor`.
    pub targets: Base64,
    /// `trust/keys.cbor`.
    pub trust_keys: Base64,
    /// The X.509 root, DER.
    pub ca_root: Base64,
    /// The issuing CAs: devices, people, servers; DER.
    pub issuing_cas: Vec<Base64>,
    /// The backend's own certificate, DER, over the key that it made.
    pub server_certificate: Base64,
    /// The first people, one of them an admin.
    pub people: Vec<PutPerson>,
}

/// A person, or a station, as the backend knows them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Person {
    /// The key of their certificate.
    pub spki: SpkiDigest,
    /// Their name.
    pub name: PersonName,
    /// What they may do.
    pub roles: Vec<Role>,
    /// Their certificate, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub certificate: Option<Base64>,
    /// When their access ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub revoked_at: Option<UnixTime>,
}

/// Gives a person roles, or other roles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutPerson {
    /// Their certificate, DER, issued by the fleet's CA for people.
    pub certificate: Base64,
    /// Their name.
    pub name: PersonName,
    /// What they may do from now on.
    pub roles: Vec<Role>,
}

/// Hands over a certificate that the fleet's CAs issued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutCertificate {
    /// DER.
    pub certificate: Base64,
}

/// New threshold-signed metadata. The backend checks it as any client would, then makes snapshot and
/// timestamp for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublishMetadata {
    /// Root metadata, one after the other, if it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<Base64>,
    /// Targets metadata, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Base64>,
    /// `trust/keys.cbor`, if it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_keys: Option<Base64>,
}

/// Asks for fresh snapshot and timestamp metadata.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// Confirms a version that jumps by more than seven days: a person has looked.
    #[serde(default)]
    pub confirm_jump: bool,
}

/// The fleet at a glance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct FleetSummary {
    /// The fleet.
    pub fleet: FleetId,
    /// The backend's clock: countdowns run on it.
    pub server_time: UnixTime,
    /// The caller's roles.
    pub roles: Vec<Role>,
    /// Devices by state.
    pub devices: DeviceCounts,
    /// Links by state.
    pub links: LinkCounts,
    /// Rollouts that run or are paused.
    pub open_rollouts: u32,
    /// Alarms that nobody has looked at.
    pub open_alarms: u32,
    /// The version of each TUF role in force.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub root_version: u64,
    /// See [`root_version`](Self::root_version).
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub targets_version: u64,
    /// One person alone can sign the root, or a release: there is no separation of duties.
    #[serde(default)]
    pub no_separation_of_duties: bool,
    /// When the targets metadata lapses.
    pub targets_expire_at: UnixTime,
    /// When the root metadata lapses.
    pub root_expires_at: UnixTime,
    /// When the backend's own certificate lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub server_certificate_expires_at: Option<UnixTime>,
}
