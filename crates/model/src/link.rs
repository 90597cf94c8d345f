use serde::{Deserialize, Serialize};

/// What became of a download link. A link is never extended, only reissued.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Made and pushed; no byte was fetched with it.
    Issued,
    /// The device fetches with it.
    Active,
    /// Its download is complete: it is gone.
    Consumed,
    /// Not used in time: it is gone, and a fresh one was made if the device is there.
    Expired,
    /// Taken back by a person or with its device: it is gone.
    Revoked,
}

/// Why a link was removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LinkEnd {
    /// Every byte was served, or the device confirmed the download.
    Consumed,
    /// Its time ran out.
    Expired,
    /// A person, or the revocation of its device, took it back.
    Revoked,
}

impl LinkState {
    /// The state as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Active => "active",
            Self::Consumed => "consumed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the link still opens anything.
    pub const fn open(self) -> bool {
        matches!(self, Self::Issued | Self::Active)
    }
}

impl From<LinkEnd> for LinkState {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Consumed => Self::Consumed,
            LinkEnd::Expired => Self::Expired,
            LinkEnd::Revoked => Self::Revoked,
        }
    }
}
