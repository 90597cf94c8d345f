use model::{
    DeviceId, HardwareRevision, KemKeyId, ModelName, Serial, SpkiDigest, StationName, TokenId, UnixTime,
};
use serde::{Deserialize, Serialize};

use crate::{Base64, ErrorBody};

/// Announces a one-time token. Its secret never reaches the backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct NewToken {
    /// The token.
    pub token: TokenId,
    /// The serial number that the device must ask for.
    pub serial: Serial,
    /// What it will be.
    pub model: ModelName,
    /// The revision of its hardware.
    pub hardware_revision: HardwareRevision,
    /// The station whose name space it joins.
    pub station: StationName,
    /// When the token lapses.
    pub expires_at: UnixTime,
    /// The record whose place the device takes, where another key takes over a serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub replaces: Option<DeviceId>,
}

/// Where an enrolment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// The token was not presented yet.
    Announced,
    /// A CSR waits for a vault to decide.
    Pending,
    /// A certificate was issued.
    Issued,
    /// The device proved both keys.
    Proven,
    /// Refused.
    Refused,
}

/// An enrolment, first or repeated, as a vault sees it. Nothing in it is to be believed: the vault
/// checks the token's MAC, the CSR and its own record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Enrolment {
    /// As announced.
    pub token: NewToken,
    /// Where it stands.
    pub state: EnrolmentState,
    /// The CSR, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub csr: Option<Base64>,
    /// HMAC over the CSR; none in a renewal, which is proven by the known key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub mac: Option<Base64>,
    /// The device that renews, in a renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub renews: Option<DeviceId>,
    /// What the device was given, once issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub certificate: Option<Base64>,
    /// The device's signature over the challenge, once proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub proof: Option<Base64>,
}

/// Reserves what must be unique, before anything is signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// The key of the CSR.
    pub spki: SpkiDigest,
    /// Its KEM key.
    pub kem_public: Base64,
    /// The id of that KEM key.
    pub kem_key: KemKeyId,
    /// The certificate's serial number, 16 octets.
    pub certificate_serial: Base64,
    /// The device id that a new device would get.
    pub device: DeviceId,
    /// A vault-signed `fleetseal-replace/1`, where another key takes over a serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<Base64>,
}

/// What the backend's unique record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Reservation {
    /// All is unique and held for this token: sign.
    Reserved {
        /// The device's id: the one proposed, or the one it has.
        device: DeviceId,
    },
    /// The same device with the same keys was here before: this is its certificate.
    Known {
        /// Its id.
        device: DeviceId,
        /// DER.
        certificate: Base64,
    },
}

/// Hands over a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueCertificate {
    /// DER.
    pub certificate: Base64,
    /// Chain and challenge, sealed to the device.
    pub sealed_certificate: Base64,
}

/// Turns an enrolment down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefuseEnrolment {
    /// Told to the device.
    pub error: ErrorBody,
}
