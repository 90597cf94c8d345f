//! The device API.
//!
//! | request | for |
//! |---|---|
//! | `POST /v1/enrol` | hand in a CSR, and ask again until the certificate is there (ALPN `fleetseal-enrol/1`) |
//! | `POST /v1/enrol/proof` | prove possession of both keys (ALPN `fleetseal-enrol/1`) |
//! | `POST /v1/renew` | a fresh certificate for the same keys (either ALPN; a lapsed certificate only on the enrolment one) |
//! | `GET /v1/tuf/{file}` | TUF metadata and targets (both) |
//! | `POST /v1/check-in` | say hello, learn the time, fetch what is offered |
//! | `GET /v1/push` | a stream of [`PushEvent`], one JSON object a line |
//! | `GET /v1/links/{id}/segments` | the segment list of a link's sealed payload |
//! | `GET /v1/links/{id}` | its bytes; `Range` is honoured |
//! | `POST /v1/reports` | device-signed reports |

use model::{Component, DeploymentId, LinkId, Seconds, SecurityCounter, TokenId, UnixTime, Version};
use serde::{Deserialize, Serialize};

use crate::{Base64, ErrorBody};

/// The paths of the device API.
pub mod path {
    /// [`super::EnrolRequest`] to [`super::EnrolStatus`].
    pub const ENROL: &str = "/v1/enrol";
    /// [`super::ProofRequest`], nothing back.
    pub const PROOF: &str = "/v1/enrol/proof";
    /// [`super::RenewRequest`] to [`super::EnrolStatus`].
    pub const RENEW: &str = "/v1/renew";
    /// [`super::CheckInRequest`] to [`super::CheckInResponse`].
    pub const CHECK_IN: &str = "/v1/check-in";
    /// A stream of [`super::PushEvent`].
    pub const PUSH: &str = "/v1/push";
    /// [`super::ReportsRequest`] to [`super::ReportsResponse`].
    pub const REPORTS: &str = "/v1/reports";
    /// TUF metadata and targets lie below.
    pub const TUF: &str = "/v1/tuf/";
    /// Download links lie below.
    pub const LINKS: &str = "/v1/links/";
}

/// A device asks for its first certificate. Repeating the same request is how it polls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The one-time token.
    pub token: TokenId,
    /// PKCS#10 (RFC 2986), DER, with the KEM key as a signed attribute.
    pub csr: Base64,
    /// HMAC-SHA256 over the CSR under the token's secret, which the backend never learns.
    pub mac: Base64,
    /// How long the backend may hold the answer back while there is none, in seconds; at most 30.
    #[serde(default)]
    pub wait: Seconds,
}

/// What became of a request for a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrolStatus {
    /// A vault or station has yet to decide.
    Pending {
        /// Ask again after so long.
        retry_after: Seconds,
    },
    /// Here it is.
    Issued {
        /// The certificate chain and a challenge, sealed to the KEM key of the CSR.
        sealed_certificate: Base64,
    },
    /// No certificate is issued for this request.
    Refused {
        /// Why.
        error: ErrorBody,
    },
}

/// A device proves that it holds both keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofRequest {
    /// The one-time token.
    pub token: TokenId,
    /// The challenge, signed by the identity key (`fleetseal-proof/1`).
    pub proof: Base64,
}

/// A device asks for a fresh certificate over the keys that it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// PKCS#10, DER, over the same keys.
    pub csr: Base64,
    /// As in [`EnrolRequest`].
    #[serde(default)]
    pub wait: Seconds,
}

/// What runs in one component.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct ComponentStatus {
    /// Which.
    pub component: Component,
    /// The version that confirmed itself.
    pub version: Version,
    /// Its security counter.
    pub security_counter: SecurityCounter,
    /// The sequence number of the last accepted ticket.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub seq: u64,
}

/// A device says hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckInRequest {
    /// Rises with every check-in. A repeat with another nonce, or a fork, is a copied disk.
    pub counter: u64,
    /// 16 random bytes, signed into the answer.
    pub nonce: Base64,
    /// What it runs.
    pub components: Vec<ComponentStatus>,
}

/// The backend's answer to a hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckInResponse {
    /// Nonce and time, signed by the link key (`fleetseal-checkin/1`).
    pub check_in: Base64,
    /// Without a push stream, come back after about this long.
    pub poll_after: Seconds,
    /// Everything that is on offer for this device now.
    pub offers: Vec<Offer>,
}

/// What a device may install: the ticket says what, the link says where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The deployment that its reports name.
    pub deployment: DeploymentId,
    /// Signed and sealed to the device (`fleetseal-ticket/1`).
    pub sealed_ticket: Base64,
    /// The ticket's non-secret fields, signed (`fleetseal-label/1`).
    pub label: Base64,
    /// Signed by the link key and sealed to the device (`fleetseal-link/1`). A hold has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_link: Option<Base64>,
}

/// A line of the push stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PushEvent {
    /// The stream is open.
    Hello {
        /// The backend's clock, as it says.
        server_time: UnixTime,
    },
    /// Something to install, a fresh link for what was offered before, or a hold.
    Offer(Offer),
    /// The metadata changed: refresh before going on.
    Metadata,
    /// Nothing happened for a while; the line is alive.
    Ping,
}

/// Device-signed reports (`fleetseal-report/1`), oldest first. Repeating them is harmless.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportsRequest {
    /// At most 100.
    pub reports: Vec<Base64>,
}

/// What became of each report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportsResponse {
    /// One per report: nothing where it was taken (or known already), the reason where it was not.
    pub refused: Vec<Option<ErrorBody>>,
}

/// Where a link's bytes are: the path that stands in the sealed link.
pub fn link_path(link: LinkId) -> String {
    format!("{}{link}", path::LINKS)
}

/// Where a link's segment list is.
pub fn segments_path(link: LinkId) -> String {
    format!("{}{link}/segments", path::LINKS)
}
