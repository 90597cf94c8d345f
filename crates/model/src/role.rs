use serde::{Deserialize, Serialize};

/// What a person or station may ask of a backend. A role hangs on a key's SPKI in the backend's
/// record, never on what a certificate says of itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the fleet's membership: people, stations, revocation, the backend itself.
    Admin,
    /// Proposes, signs, seals and publishes releases.
    ReleaseManager,
    /// Plans, starts and watches rollouts.
    Operator,
    /// Updates the device on the bench.
    Technician,
    /// Provisions devices on the line.
    Station,
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Admin, Self::ReleaseManager, Self::Operator, Self::Technician, Self::Station, Self::Auditor];

    /// The role as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ReleaseManager => "release_manager",
            Self::Operator => "operator",
            Self::Technician => "technician",
            Self::Station => "station",
            Self::Auditor => "auditor",
        }
    }
}
