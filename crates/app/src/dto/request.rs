use model::{Digest, FleetId, PersonName, ReleaseId, RequestId, UnixTime};
use protocol::operator::{Purpose, RequestState};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One request for signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RequestName {
    /// Its id.
    pub request: RequestId,
}

/// Signs a request as it was shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct SignRequest {
    /// Which.
    pub request: RequestId,
    /// [`Statement::digest`] as the key holder saw it: nothing else is signed.
    pub digest: Digest,
    /// The release that the key holder means to sign; nothing else is signed for it.
    #[serde(default)]
    #[ts(optional)]
    pub release: Option<ReleaseId>,
}

/// Writes a request into a file, for a key holder without a network.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct ExportRequest {
    /// Which.
    pub request: RequestId,
    /// Where to.
    pub file: String,
}

/// A request that came as a file.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct RequestFileName {
    /// The file.
    pub file: String,
}

/// Signs a request that came as a file, as it was shown.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct SignRequestFile {
    /// The file.
    pub file: String,
    /// [`Statement::digest`] as the key holder saw it.
    pub digest: Digest,
    /// Where the signature is written.
    pub out: String,
}

/// Brings back a signature that was made elsewhere: one of the two is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct AddSignatureFile {
    /// The file with the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub file: Option<String>,
    /// What the QR code of the signature says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub text: Option<String>,
}

/// Exactly what a signature would say, read from the very bytes that it covers.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct Statement {
    /// The request.
    pub request: RequestId,
    /// The fleet.
    pub fleet: FleetId,
    /// What it is for and where it stands, as the backend reports it; none for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reported: Option<Reported>,
    /// The TUF role whose metadata is signed: `root` or `targets`.
    pub role: String,
    /// The version that it becomes.
    #[ts(type = "number")]
    pub version: u64,
    /// When the metadata lapses.
    pub metadata_expires_at: UnixTime,
    /// SHA-256 of the bytes that are signed.
    pub digest: Digest,
    /// The digest as eight words, to compare on a second machine.
    pub words: Vec<String>,
    /// The digest as a QR code, SVG.
    pub qr_svg: String,
    /// The digest as a QR code for a terminal.
    pub qr_text: String,
    /// How many bytes are signed.
    #[ts(type = "number")]
    pub length_bytes: u64,
    /// What would be different from what is in force, one thing a line. Nothing else would.
    pub changes: Vec<Change>,
    /// Who asks, as they say.
    pub author: PersonName,
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
    /// Everybody who may sign.
    pub key_holders: Vec<KeyHolder>,
    /// One person alone can meet the threshold.
    pub no_separation_of_duties: bool,
}

/// What only the backend says of a request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, TS)]
pub struct Reported {
    /// What it is for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Where it stands.
    pub state: RequestState,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Change {
    /// Whether something comes, goes or becomes another.
    pub kind: ChangeKind,
    /// What, in words.
    pub what: String,
    /// The SHA-256 that stands for it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub digest: Option<Digest>,
}

/// What happens to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// It becomes another.
    Changed,
}

/// Somebody who may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KeyHolder {
    /// Who, where the root says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<PersonName>,
    /// The TUF key id.
    pub key_id: String,
    /// Whether this key's signature counts already.
    pub signed: bool,
    /// Whether this workspace's vault holds the key.
    pub mine: bool,
}

/// A signature to take back to whoever asked.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct SignatureFile {
    /// The request that it answers.
    pub request: RequestId,
    /// SHA-256 of what was signed.
    pub digest: Digest,
    /// The digest as eight words.
    pub words: Vec<String>,
    /// The TUF key id.
    pub key_id: String,
    /// Where it was written.
    pub file: String,
    /// The signature as text, which is what its QR code says.
    pub text: String,
    /// The same as a QR code, SVG.
    pub qr_svg: String,
    /// The same as a QR code for a terminal.
    pub qr_text: String,
}
