use model::{Digest, PersonName, ReleaseId, RequestId, SpkiDigest, UnixTime};
use serde::{Deserialize, Serialize};

use crate::Base64;

/// What a request for signatures is for, and so what happens once enough have signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// A release's artifacts enter the targets metadata, once somebody publishes it.
    Release {
        /// Which.
        release: ReleaseId,
    },
    /// A release's artifacts leave the targets metadata at once.
    Withdrawal {
        /// Which.
        release: ReleaseId,
    },
    /// Other trusted keys (`trust/keys.cbor`), or targets that live on: in force at once.
    Trust,
    /// The next root: in force at once.
    Root,
}

/// Where a request for signatures stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Signatures are missing.
    Open,
    /// Enough have signed.
    Complete,
    /// What was signed is in force.
    Published,
    /// Nobody may sign it any more: it lapsed, was taken back, or the fleet has other metadata or other
    /// rules by now.
    Closed,
}

/// A request for signatures over exactly these bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct SignatureRequest {
    /// The request.
    pub id: RequestId,
    /// What it is for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Where it stands.
    pub state: RequestState,
    /// The TUF role whose metadata it is: `root` or `targets`.
    pub role: String,
    /// The version that the metadata would become.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub version: u64,
    /// SHA-256 of the bytes to sign.
    pub digest: Digest,
    /// Who asks.
    pub author: PersonName,
    /// The key of the author's certificate.
    pub author_spki: SpkiDigest,
    /// Why, in the author's words.
    pub reason: String,
    /// When it was made.
    pub made_at: UnixTime,
    /// Until when it may be signed.
    pub expires_at: UnixTime,
    /// Different people whose signatures count, towards the threshold that is furthest from being met.
    pub signatures: u32,
    /// How many it takes.
    pub threshold: u32,
    /// Signatures that count.
    pub signed_by: Vec<Signature>,
    /// One person alone can meet the threshold.
    pub no_separation_of_duties: bool,
}

/// A request with the file (`fleetseal-request/1`) by which a key holder checks it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestFile {
    /// The request.
    #[serde(flatten)]
    pub request: SignatureRequest,
    /// The file.
    pub file: Base64,
}

/// A signature that verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct Signature {
    /// The TUF key id.
    pub key_id: String,
    /// Whose key it is; who handed it in, where the root does not say.
    pub by: PersonName,
    /// Ed25519, 64 bytes.
    pub signature: Base64,
    /// When.
    pub at: UnixTime,
}

/// Asks key holders to sign other trust keys or the next root. Releases and withdrawals ask by
/// themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewRequest {
    /// A fresh id.
    pub id: RequestId,
    /// What it is for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// The canonical `signed` part of the next metadata.
    pub payload: Base64,
    /// The next `trust/keys.cbor`, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_keys: Option<Base64>,
    /// Why.
    pub reason: String,
    /// Until when it may be signed; 14 days if left out, 60 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

/// Hands in a signature over a request's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AddSignature {
    /// SHA-256 of what was signed.
    pub digest: Digest,
    /// The TUF key id.
    pub key_id: String,
    /// Ed25519, 64 bytes.
    pub signature: Base64,
}
