use model::{Digest, FleetId, PersonName, StationName};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Founds a fleet from this workspace's vault. What comes out is a founding file: it grows by one
/// signature per key holder, and once the threshold is met a backend adopts it.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct FoundFleet {
    /// The file that the backend's `init` wrote: the public halves of its own keys.
    pub backend: String,
    /// Who runs the fleet, as it will stand in every certificate.
    pub organization: String,
    /// The name of the first station; devices' names end in it.
    pub station: StationName,
    /// The other key holders' cards, as files.
    pub cards: Vec<String>,
    /// How many of them must sign. One of one is marked for good: no separation of duties.
    pub threshold: u32,
    /// Where to write the founding file.
    pub file: String,
}

/// A founding file to sign, or to join by.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct FoundingFile {
    /// Where it is.
    pub file: String,
}

/// How far a founding has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FoundingStatus {
    /// The fleet.
    pub fleet: FleetId,
    /// Who signed.
    pub signed_by: Vec<PersonName>,
    /// How many it takes.
    pub threshold: u32,
    /// Whether a backend can adopt it.
    pub complete: bool,
    /// One person alone decides everything in this fleet.
    pub no_separation_of_duties: bool,
    /// The SHA-256 of everything in the file but the signatures, to compare by voice.
    pub digest: Digest,
}
