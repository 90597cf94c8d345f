use model::{DeploymentId, DeviceId, LinkId, LinkState, Serial, UnixTime};
use serde::{Deserialize, Serialize};

/// A download link in a list. Its id says nothing to anybody but its device's certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LinkRow {
    /// The link.
    pub id: LinkId,
    /// Whose it is.
    pub device: DeviceId,
    /// Its label.
    pub serial: Serial,
    /// For which deployment.
    pub deployment: DeploymentId,
    /// What became of it.
    pub state: LinkState,
    /// When it was made.
    pub issued_at: UnixTime,
    /// When it lapses.
    pub expires_at: UnixTime,
    /// Which of the deployment's links it is, counted from 1.
    pub issue: u32,
    /// Ciphertext bytes served for the deployment.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub served_bytes: u64,
    /// Ciphertext bytes in all.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub total_bytes: u64,
}

/// Links since the fleet was founded, by what became of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct LinkCounts {
    /// Made in all.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub issued: u64,
    /// Of these, to take the place of one that lapsed.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub reissued: u64,
    /// Open now.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub open: u64,
    /// Ended by a complete download.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub consumed: u64,
    /// Ended by time.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub expired: u64,
    /// Taken back.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub revoked: u64,
}
